//! The one pattern language for names of models: `*` stands for any run of characters, all else for itself.

/// Whether a text matches a pattern. Exact but for `*`, which matches any run of characters, also an empty one and
/// one with `/`. Case matters. Takes at most pattern × text steps.
#[must_use]
pub fn glob_matches(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut p, mut t) = (0, 0);
    // The last star seen and how much of the text it stands for: the only place worth coming back to.
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        if pattern.get(p) == Some(&b'*') {
            star = Some((p + 1, t));
            p += 1;
        } else if pattern.get(p) == Some(&text[t]) {
            p += 1;
            t += 1;
        } else if let Some((after, from)) = star {
            star = Some((after, from + 1));
            p = after;
            t = from + 1;
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|b| *b == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_run_of_characters() {
        for (pattern, text, expected) in [
            ("gpt-4o", "gpt-4o", true),
            ("gpt-4o", "gpt-4o-mini", false),
            ("gpt-4o*", "gpt-4o-mini", true),
            ("gpt-4o*", "gpt-4o", true),
            ("*", "", true),
            ("*", "openai/gpt-4o", true),
            ("", "", true),
            ("", "x", false),
            ("*mini", "gpt-4o-mini", true),
            ("*mini", "gpt-4o-mini-2024", false),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-c-b", false),
            ("GPT*", "gpt-4o", false),
            ("**", "x", true),
            ("gpt-?", "gpt-5", false),
        ] {
            assert_eq!(glob_matches(pattern, text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn a_hostile_pattern_is_quick() {
        let pattern = "*a".repeat(64) + "b";
        assert!(!glob_matches(&pattern, &"a".repeat(4096)));
    }
}
