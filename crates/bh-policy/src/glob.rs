//! Patterns for model names: `*` stands for any text, `?` for one character, everything else for itself.

use std::fmt;

/// A pattern. Case counts, and `*` also covers `/`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glob(Box<str>);

impl Glob {
    /// Takes any text as a pattern.
    #[must_use]
    pub fn new(pattern: &str) -> Self {
        Glob(pattern.into())
    }

    /// The pattern as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the pattern is a plain name, matching only itself.
    #[must_use]
    pub fn is_literal(&self) -> bool {
        !self.0.contains(['*', '?'])
    }

    /// Whether the pattern matches the whole name. Linear in the common cases, never exponential.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        matches(self.0.as_bytes(), name.as_bytes())
    }
}

impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Greedy matching that remembers only the last star: a later star makes every earlier choice final.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    let (mut p, mut n) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(b'?') => {
                p += 1;
                n += char_len(name[n]);
            }
            Some(&byte) if byte == name[n] => {
                p += 1;
                n += 1;
            }
            Some(_) | None => {
                let Some((at, from)) = star else { return false };
                let from = from + char_len(name[from]);
                star = Some((at, from));
                (p, n) = (at + 1, from);
            }
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

/// Bytes of the character that starts with this byte, so that `?` never stops inside one.
const fn char_len(first: u8) -> usize {
    match first {
        0xf0.. => 4,
        0xe0.. => 3,
        0xc0.. => 2,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pattern: &str, matching: &[&str], others: &[&str]) {
        let glob = Glob::new(pattern);
        for name in matching {
            assert!(glob.matches(name), "{pattern} should match {name}");
        }
        for name in others {
            assert!(!glob.matches(name), "{pattern} should not match {name}");
        }
    }

    #[test]
    fn a_plain_name_matches_only_itself() {
        check("gpt-4o", &["gpt-4o"], &["gpt-4o-mini", "xgpt-4o", "GPT-4o", ""]);
        check("", &[""], &["a"]);
    }

    #[test]
    fn a_star_covers_any_text_and_slashes_too() {
        check("*", &["", "a", "a/b"], &[]);
        check("gpt-*", &["gpt-", "gpt-4o", "gpt-a/b"], &["gpt", "xgpt-4"]);
        check("*-mini", &["gpt-4o-mini", "-mini"], &["mini", "gpt-mini-x"]);
        check("a*b*c", &["abc", "a-b-b-c", "aXbYc"], &["ab", "acb", "abcd"]);
    }

    #[test]
    fn a_question_mark_is_one_character_not_one_byte() {
        check("o?", &["o1", "oé", "o漢"], &["o", "o11"]);
        check("*?", &["a", "漢"], &[""]);
        check("é*?x", &["éax", "éäöx"], &["éx"]);
    }

    #[test]
    fn many_stars_do_not_take_exponential_time() {
        let glob = Glob::new(&"a*".repeat(30));
        assert!(!glob.matches(&format!("{}b", "a".repeat(29))));
    }
}
