//! What is asked of the echo beyond echoing: words of the model's name (`echo-slow-20-fail-503`) or markers that open
//! the last user message (`/slow 20ms /long 200 hello`).

use std::time::Duration;

use super::request::Refused;

/// Most words of a long answer, and most tokens of any: the answer a model of this size could give.
pub(crate) const OUTPUT_TOKENS_MAX: usize = 16_384;
/// Longest pause between two tokens.
pub(crate) const PAUSE_MAX: Duration = Duration::from_secs(10);
/// Longest time a provider may ask a client to wait after a failure, in seconds.
const RETRY_AFTER_S_MAX: u64 = 3600;

const LONG_DEFAULT: u64 = 500;
const THINK_DEFAULT: u64 = 20;
const SLOW_MS_DEFAULT: u64 = 50;
const BREAK_AFTER_DEFAULT: u64 = 3;
const FAIL_DEFAULT: u64 = 500;

/// Every wish, at rest when nothing was asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Wishes {
    /// Answer with this many words instead of the user's.
    pub(crate) long: Option<usize>,
    /// Reason for this many words first.
    pub(crate) think: usize,
    /// Pause before each token but the first.
    pub(crate) slow: Duration,
    /// Call tools, if the client brought any.
    pub(crate) tools: Calls,
    /// Decline.
    pub(crate) refuse: bool,
    /// Do something else than answer.
    pub(crate) instead: Instead,
    /// How the answer ends.
    pub(crate) ending: Ending,
}

/// Which of the client's tools to call.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Calls {
    #[default]
    None,
    First,
    All,
}

/// What takes the place of an answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Instead {
    #[default]
    Nothing,
    /// An error with this status.
    Fail { status: u16, retry_after_s: Option<u64> },
    /// Silence before the headers.
    Hang,
    /// A web page.
    Html,
    /// Something that is not JSON.
    Junk,
}

/// How an answer ends, and after how many tokens if early.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Ending {
    #[default]
    Whole,
    /// The connection breaks.
    Cut(usize),
    /// Silence, then the connection breaks.
    Stall(usize),
    /// An error event inside the 200.
    Error(usize),
    /// A clean end without the terminal event.
    Unfinished(usize),
}

/// A word, how many numbers may follow it, and what it wishes.
#[derive(Clone, Copy)]
struct Word {
    name: &'static str,
    numbers_max: usize,
    wish: fn(&mut Wishes, Numbers) -> Result<(), Refused>,
}

/// The numbers that followed a word.
#[derive(Clone, Copy, Default)]
struct Numbers {
    first: Option<u64>,
    second: Option<u64>,
}

const WORDS: [Word; 14] = [
    word("long", 1, |wishes, numbers| set(&mut wishes.long, tokens("long", numbers.or(LONG_DEFAULT), 1).map(Some))),
    word("think", 1, |wishes, numbers| set(&mut wishes.think, tokens("think", numbers.or(THINK_DEFAULT), 1))),
    word("slow", 1, |wishes, numbers| set(&mut wishes.slow, pause(numbers.or(SLOW_MS_DEFAULT)))),
    word("tool", 0, |wishes, _| set(&mut wishes.tools, Ok(Calls::First))),
    word("tools", 0, |wishes, _| set(&mut wishes.tools, Ok(Calls::All))),
    word("refuse", 0, |wishes, _| set(&mut wishes.refuse, Ok(true))),
    word("fail", 2, |wishes, numbers| set(&mut wishes.instead, failure(numbers.or(FAIL_DEFAULT), numbers.second))),
    word("hang", 0, |wishes, _| set(&mut wishes.instead, Ok(Instead::Hang))),
    word("html", 0, |wishes, _| set(&mut wishes.instead, Ok(Instead::Html))),
    word("junk", 0, |wishes, _| set(&mut wishes.instead, Ok(Instead::Junk))),
    word("cut", 1, |wishes, numbers| set(&mut wishes.ending, early("cut", numbers).map(Ending::Cut))),
    word("stall", 1, |wishes, numbers| set(&mut wishes.ending, early("stall", numbers).map(Ending::Stall))),
    word("error", 1, |wishes, numbers| set(&mut wishes.ending, early("error", numbers).map(Ending::Error))),
    word("unfinished", 1, |wishes, numbers| {
        set(&mut wishes.ending, early("unfinished", numbers).map(Ending::Unfinished))
    }),
];

const fn word(name: &'static str, numbers_max: usize, wish: fn(&mut Wishes, Numbers) -> Result<(), Refused>) -> Word {
    Word { name, numbers_max, wish }
}

fn set<T>(field: &mut T, value: Result<T, Refused>) -> Result<(), Refused> {
    value.map(|value| *field = value)
}

impl Numbers {
    fn or(self, default: u64) -> u64 {
        self.first.unwrap_or(default)
    }

    /// Takes what `next` gives, up to `max` numbers.
    fn take(max: usize, mut next: impl FnMut() -> Option<u64>) -> Self {
        let first = if 0 < max { next() } else { None };
        let second = if 1 < max && first.is_some() { next() } else { None };
        Self { first, second }
    }
}

impl Wishes {
    /// Reads the model's name. A name that does not begin with `echo` wishes nothing, so that the echo can stand in
    /// for any model.
    pub(crate) fn of_model(&mut self, model: &str) -> Result<(), Refused> {
        let Some(rest) = model.strip_prefix("echo").filter(|rest| rest.is_empty() || rest.starts_with('-')) else {
            return Ok(());
        };
        let mut parts = rest.split('-').skip(1).peekable();
        while let Some(name) = parts.next() {
            let known = known(name).ok_or_else(|| Refused::unknown_model(model, WORDS.map(|word| word.name)))?;
            let numbers = Numbers::take(known.numbers_max, || {
                let value = parts.peek().and_then(|text| number(text))?;
                parts.next();
                Some(value)
            });
            (known.wish)(self, numbers)?;
        }
        Ok(())
    }

    /// Reads the markers that open a text and gives back what follows them. An unknown `/word` is text.
    pub(crate) fn of_text<'a>(&mut self, text: &'a str) -> Result<&'a str, Refused> {
        let mut rest = text.trim_start();
        while let Some((known, after)) = marker(rest) {
            rest = after;
            let numbers = Numbers::take(known.numbers_max, || {
                let (first, after) = first_word(rest);
                let value = number(first)?;
                rest = after;
                Some(value)
            });
            (known.wish)(self, numbers)?;
        }
        Ok(rest)
    }
}

fn known(name: &str) -> Option<Word> {
    WORDS.into_iter().find(|word| word.name == name)
}

fn marker(text: &str) -> Option<(Word, &str)> {
    let (first, rest) = first_word(text);
    known(first.strip_prefix('/')?).map(|word| (word, rest))
}

fn first_word(text: &str) -> (&str, &str) {
    let end = text.find(char::is_whitespace).unwrap_or(text.len());
    (&text[..end], text[end..].trim_start())
}

/// A number, alone or as a time: `200`, `50ms` (50), `2s` (2000).
fn number(text: &str) -> Option<u64> {
    let (digits, unit) = match text.strip_suffix("ms") {
        Some(digits) => (digits, 1),
        None => text.strip_suffix('s').map_or((text, 1), |digits| (digits, 1000)),
    };
    let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    plain.then(|| digits.parse::<u64>().ok())?.and_then(|value| value.checked_mul(unit))
}

fn tokens(name: &str, value: u64, min: usize) -> Result<usize, Refused> {
    usize::try_from(value)
        .ok()
        .filter(|value| (min..=OUTPUT_TOKENS_MAX).contains(value))
        .ok_or_else(|| Refused::out_of_bounds(name, min, OUTPUT_TOKENS_MAX as u128))
}

fn early(name: &str, numbers: Numbers) -> Result<usize, Refused> {
    tokens(name, numbers.or(BREAK_AFTER_DEFAULT), 0)
}

fn pause(ms: u64) -> Result<Duration, Refused> {
    let pause = Duration::from_millis(ms);
    if pause <= PAUSE_MAX { Ok(pause) } else { Err(Refused::out_of_bounds("slow", 0, PAUSE_MAX.as_millis())) }
}

fn failure(status: u64, retry_after_s: Option<u64>) -> Result<Instead, Refused> {
    let status = u16::try_from(status)
        .ok()
        .filter(|status| (400..=599).contains(status))
        .ok_or_else(|| Refused::out_of_bounds("fail", 400, 599))?;
    if retry_after_s.is_some_and(|seconds| RETRY_AFTER_S_MAX < seconds) {
        return Err(Refused::out_of_bounds("fail", 0, u128::from(RETRY_AFTER_S_MAX)));
    }
    Ok(Instead::Fail { status, retry_after_s })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_model(model: &str) -> Result<Wishes, Refused> {
        let mut wishes = Wishes::default();
        wishes.of_model(model).map(|()| wishes)
    }

    fn check_text(text: &str, rest: &str, want: &Wishes) {
        let mut wishes = Wishes::default();
        assert_eq!(wishes.of_text(text).ok(), Some(rest), "{text}");
        assert_eq!(&wishes, want, "{text}");
    }

    #[test]
    fn words_of_the_model_name_add_up() {
        let want = Wishes { slow: Duration::from_millis(20), long: Some(100), ..Wishes::default() };
        assert_eq!(of_model("echo-slow-20-long-100").ok(), Some(want));
        let want = Wishes { instead: Instead::Fail { status: 429, retry_after_s: Some(2) }, ..Wishes::default() };
        assert_eq!(of_model("echo-fail-429-2").ok(), Some(want));
        assert_eq!(of_model("echo").ok(), Some(Wishes::default()));
        assert_eq!(of_model("gpt-4o").ok(), Some(Wishes::default()));
        assert_eq!(of_model("echoes").ok(), Some(Wishes::default()));
    }

    #[test]
    fn an_unknown_word_is_an_unknown_model() {
        assert_eq!(of_model("echo-fast").unwrap_err().status, 404);
        assert_eq!(of_model("echo-").unwrap_err().status, 404);
        assert_eq!(of_model("echo-tool-5").unwrap_err().status, 404);
    }

    #[test]
    fn every_word_of_the_table_has_a_meaning() {
        for word in WORDS {
            assert!(of_model(&format!("echo-{}", word.name)).is_ok(), "{}", word.name);
        }
    }

    #[test]
    fn markers_open_a_text_and_leave_the_rest() {
        let slow = Wishes { slow: Duration::from_secs(2), long: Some(200), ..Wishes::default() };
        check_text("/slow 2s /long 200 hello /cut", "hello /cut", &slow);
        check_text("/tool 5 apples", "5 apples", &Wishes { tools: Calls::First, ..Wishes::default() });
        check_text("/etc/passwd is a file", "/etc/passwd is a file", &Wishes::default());
        check_text("  /cut", "", &Wishes { ending: Ending::Cut(3), ..Wishes::default() });
        check_text("", "", &Wishes::default());
    }

    #[test]
    fn a_wish_past_its_bound_is_refused_with_the_bound() {
        for model in [
            "echo-long-16385",
            "echo-long-0",
            "echo-slow-10001",
            "echo-fail-200",
            "echo-fail-429-3601",
            "echo-cut-99999",
        ] {
            assert_eq!(of_model(model).unwrap_err().status, 400, "{model}");
        }
        assert!(of_model("echo-long-16384").is_ok());
    }
}
