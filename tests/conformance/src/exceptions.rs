//! What one dialect cannot say and another can: the list of accepted exceptions, one line for each capability.

use std::collections::BTreeSet;

use anyhow::{Result, bail};
use bh_dialect::{Dialect, Unsupported};

/// The list this programme ships with.
const LIST: &str = include_str!("../exceptions.txt");

/// An exception by what happens, the target and the capability; equal ones are one line of the list.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Exception {
    /// `refused`: the request is refused before a provider is called. `left_out`: the field is left out and the client
    /// is told. `malformed`: the request is wrong in its own dialect, which the provider said as well. `unbounded`: its cost has no upper bound, so a hard budget with strict holds refuses it.
    pub what: &'static str,
    /// The dialect that lacks it; for `malformed` and `unbounded` the dialect of the request.
    pub target: &'static str,
    /// The capability, or why there is no bound.
    pub capability: String,
}

/// The list, read.
#[derive(Debug)]
pub struct Exceptions {
    lines: Vec<(Exception, String)>,
}

impl Exception {
    /// The exception that a dialect's own report stands for.
    #[must_use]
    pub fn of(what: &'static str, unsupported: &Unsupported) -> Self {
        let capability = unsupported.capability.as_str().to_owned();
        Exception { what, target: unsupported.target.as_str(), capability }
    }

    /// The exception of a request that is wrong in its own dialect.
    pub(crate) fn malformed(dialect: Dialect) -> Self {
        Exception { what: "malformed", target: dialect.as_str(), capability: "request".to_owned() }
    }

    /// Whether it speaks of the dialect of the request and not of the other.
    pub(crate) fn is_native(&self) -> bool {
        matches!(self.what, "malformed" | "unbounded")
    }

    /// As a line of the list begins.
    #[must_use]
    pub fn line(&self) -> String {
        format!("{} {} {}", self.what, self.target, self.capability)
    }
}

impl Exceptions {
    /// Reads the list.
    ///
    /// # Errors
    /// A line that is no exception, has no reason or stands twice.
    pub fn listed() -> Result<Self> {
        Self::parse(LIST)
    }

    fn parse(text: &str) -> Result<Self> {
        let mut lines: Vec<(Exception, String)> = Vec::new();
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let Some((exception, why)) = line.split_once(':') else { bail!("no reason after a colon: {line}") };
            let words: Vec<&str> = exception.split_whitespace().collect();
            let [what, target, capability] = words[..] else { bail!("not `what target capability`: {line}") };
            let known = |words: &[&'static str], word| words.iter().copied().find(|known| *known == word);
            let what = known(&["refused", "left_out", "malformed", "unbounded"], what);
            let dialects = [Dialect::OpenAiChat.as_str(), Dialect::AnthropicMessages.as_str()];
            let (Some(what), Some(target)) = (what, known(&dialects, target)) else { bail!("unknown word: {line}") };
            let exception = Exception { what, target, capability: capability.to_owned() };
            if lines.iter().any(|(known, _)| *known == exception) {
                bail!("it stands twice: {line}");
            }
            lines.push((exception, why.trim().to_owned()));
        }
        Ok(Exceptions { lines })
    }

    /// Whether the list has it.
    #[must_use]
    pub fn has(&self, exception: &Exception) -> bool {
        self.lines.iter().any(|(known, _)| known == exception)
    }

    /// The lines that nothing needed.
    #[must_use]
    pub fn unused(&self, used: &BTreeSet<Exception>) -> Vec<String> {
        self.lines.iter().filter(|(line, _)| !used.contains(line)).map(|(line, _)| line.line()).collect()
    }

    /// Each line with its reason.
    pub fn lines(&self) -> impl Iterator<Item = (&Exception, &str)> {
        self.lines.iter().map(|(line, why)| (line, why.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_names_what_target_and_capability_and_says_why() {
        let list = Exceptions::parse("# note\n\nrefused openai_chat server_tool: nothing runs it\n").unwrap();
        let exception = Exception { what: "refused", target: "openai_chat", capability: "server_tool".to_owned() };
        assert!(list.has(&exception));
        assert_eq!(list.unused(&BTreeSet::new()), ["refused openai_chat server_tool"]);
        assert!(list.unused(&BTreeSet::from([exception])).is_empty());
    }

    #[test]
    fn a_line_that_says_nothing_is_not_taken() {
        for text in [
            "refused openai_chat image",
            "forgiven openai_chat image: x",
            "refused openai image: x",
            "a: b",
            "refused openai_chat image: x\nrefused openai_chat image: y",
        ] {
            assert!(Exceptions::parse(text).is_err(), "{text}");
        }
    }
}
