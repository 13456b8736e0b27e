//! Strict JSON: one pass that believes nothing it has not checked.
//!
//! Two parsers that disagree about a body are a way around every check made on it, so what parsers disagree about is
//! refused: invalid UTF-8, a key twice in one object, unpaired surrogates, control characters, trailing bytes, deep
//! nesting, and keys that differ from a known one only in case.

use std::borrow::Cow;
use std::ops::Range;

use bh_base::limits::JSON_DEPTH_MAX;

use crate::DecodeError;

/// Most fields one object may have. No request comes near; beyond it the check for duplicates would cost memory.
pub(crate) const OBJECT_FIELDS_MAX: usize = 16_384;
/// Up to here duplicates are sought by comparing; above it by sorting once.
const FIELDS_COMPARED_MAX: usize = 8;

/// What the next value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `{`
    Object,
    /// `[`
    Array,
    /// `"`
    String,
    /// A digit or `-`.
    Number,
    /// `true` or `false`.
    Bool,
    /// `null`
    Null,
}

/// A string as it stands in the body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Text<'a> {
    /// Between the quotes, escapes as written.
    pub(crate) raw: &'a str,
    /// Whether there are escapes.
    pub(crate) escaped: bool,
    /// Its place, quotes included.
    pub(crate) span: Range<usize>,
}

/// Reads a body value by value. Every method that reads checks what it reads.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
    /// Keys of the objects that are open, outermost first.
    keys: Vec<Cow<'a, str>>,
    /// Bytes of string values read so far, as written between their quotes; keys are not counted.
    pub(crate) string_bytes: u64,
    /// Bytes read so far without the white space between tokens.
    pub(crate) compact_bytes: u64,
    /// Bytes outside ASCII in strings read so far, keys included, once escapes are resolved.
    pub(crate) non_ascii_bytes: u64,
}

/// Checks a whole body and keeps nothing of it.
pub(crate) fn check(body: &[u8]) -> Result<&str, DecodeError> {
    let mut reader = Reader::new(body)?;
    reader.skip()?;
    reader.finish()?;
    Ok(reader.text)
}

/// Refuses a key that is not known but looks like a known one to a parser that ignores case.
pub(crate) fn no_lookalike(key: &str, known: &[&'static str]) -> Result<(), DecodeError> {
    // Some parsers fold these two letters onto ASCII ones as well.
    let folded =
        if key.is_ascii() { Cow::Borrowed(key) } else { Cow::Owned(key.replace('ſ', "s").replace('\u{212a}', "k")) };
    match known.iter().find(|name| name.eq_ignore_ascii_case(&folded) && **name != key) {
        Some(known) => Err(DecodeError::Lookalike { field: key.to_owned(), known }),
        None => Ok(()),
    }
}

impl<'a> Text<'a> {
    /// The text with escapes resolved.
    pub(crate) fn decode(&self) -> Cow<'a, str> {
        if self.escaped { Cow::Owned(unescape(self.raw)) } else { Cow::Borrowed(self.raw) }
    }
}

impl<'a> Reader<'a> {
    /// A reader at the start of a body.
    pub(crate) fn new(body: &'a [u8]) -> Result<Self, DecodeError> {
        let text = str::from_utf8(body).map_err(|error| DecodeError::Utf8 { at: error.valid_up_to() })?;
        Ok(Reader {
            text,
            at: 0,
            depth: 0,
            keys: Vec::with_capacity(16),
            string_bytes: 0,
            compact_bytes: 0,
            non_ascii_bytes: 0,
        })
    }

    /// Where the next byte is, white space not yet skipped.
    pub(crate) fn at(&self) -> usize {
        self.at
    }

    /// Nothing but white space may be left.
    pub(crate) fn finish(&mut self) -> Result<(), DecodeError> {
        self.space();
        if self.at == self.text.len() { Ok(()) } else { Err(self.fault("unexpected bytes after the value")) }
    }

    /// What the next value is, by its first byte.
    pub(crate) fn kind(&mut self) -> Result<Kind, DecodeError> {
        self.space();
        match self.peek() {
            Some(b'{') => Ok(Kind::Object),
            Some(b'[') => Ok(Kind::Array),
            Some(b'"') => Ok(Kind::String),
            Some(b'-' | b'0'..=b'9') => Ok(Kind::Number),
            Some(b't' | b'f') => Ok(Kind::Bool),
            Some(b'n') => Ok(Kind::Null),
            Some(_) => Err(self.fault("expected a value")),
            None => Err(self.fault("it ends where a value is expected")),
        }
    }

    /// Reads any value; its place.
    pub(crate) fn skip(&mut self) -> Result<Range<usize>, DecodeError> {
        let kind = self.kind()?;
        let start = self.at;
        match kind {
            Kind::Object => self.object(|reader, _| reader.skip().map(drop))?,
            Kind::Array => self.array(|reader, _| reader.skip().map(drop))?,
            Kind::String => {
                self.string()?;
            }
            Kind::Number => self.number()?,
            Kind::Bool if self.peek() == Some(b't') => self.literal("true")?,
            Kind::Bool => self.literal("false")?,
            Kind::Null => self.literal("null")?,
        }
        Ok(start..self.at)
    }

    /// Reads an object: `field` is called behind each key and must read exactly one value.
    pub(crate) fn object(
        &mut self,
        mut field: impl FnMut(&mut Self, &str) -> Result<(), DecodeError>,
    ) -> Result<(), DecodeError> {
        self.enter(b'{', "expected an object")?;
        let base = self.keys.len();
        self.space();
        if self.peek() != Some(b'}') {
            loop {
                self.space();
                let key = self.read_string("expected a field name in quotes")?.decode();
                self.space();
                self.punctuation(b':', "expected `:` after a field name")?;
                self.note_key(base, key.clone())?;
                field(self, &key)?;
                self.space();
                if self.peek() != Some(b',') {
                    break;
                }
                self.punctuation(b',', "expected `,`")?;
            }
        }
        self.no_duplicates(base)?;
        self.keys.truncate(base);
        self.leave(b'}', "expected `,` or `}`")
    }

    /// Reads an array: `element` is called before each element and must read exactly one value.
    pub(crate) fn array(
        &mut self,
        mut element: impl FnMut(&mut Self, usize) -> Result<(), DecodeError>,
    ) -> Result<(), DecodeError> {
        self.enter(b'[', "expected an array")?;
        self.space();
        if self.peek() != Some(b']') {
            for index in 0.. {
                element(self, index)?;
                self.space();
                if self.peek() != Some(b',') {
                    break;
                }
                self.punctuation(b',', "expected `,`")?;
            }
        }
        self.leave(b']', "expected `,` or `]`")
    }

    /// Reads a string value.
    pub(crate) fn string(&mut self) -> Result<Text<'a>, DecodeError> {
        self.space();
        let text = self.read_string("expected a string")?;
        self.string_bytes += text.raw.len() as u64;
        Ok(text)
    }

    /// Reads a number value; its text.
    pub(crate) fn number_text(&mut self) -> Result<&'a str, DecodeError> {
        self.space();
        let start = self.at;
        self.number()?;
        Ok(&self.text[start..self.at])
    }

    fn enter(&mut self, open: u8, what: &'static str) -> Result<(), DecodeError> {
        self.space();
        self.punctuation(open, what)?;
        self.depth += 1;
        if self.depth <= JSON_DEPTH_MAX {
            return Ok(());
        }
        Err(DecodeError::TooDeep { at: self.at - 1, depth_max: JSON_DEPTH_MAX })
    }

    fn leave(&mut self, close: u8, what: &'static str) -> Result<(), DecodeError> {
        self.depth -= 1;
        self.punctuation(close, what)
    }

    fn note_key(&mut self, base: usize, key: Cow<'a, str>) -> Result<(), DecodeError> {
        let count = self.keys.len() - base;
        if count <= FIELDS_COMPARED_MAX && self.keys[base..].contains(&key) {
            return Err(DecodeError::Duplicate { field: key.into_owned() });
        }
        if count == OBJECT_FIELDS_MAX {
            return Err(self.fault("an object has more than 16384 fields"));
        }
        self.keys.push(key);
        Ok(())
    }

    fn no_duplicates(&mut self, base: usize) -> Result<(), DecodeError> {
        let keys = &mut self.keys[base..];
        if keys.len() <= FIELDS_COMPARED_MAX + 1 {
            return Ok(());
        }
        keys.sort_unstable();
        match keys.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(pair) => Err(DecodeError::Duplicate { field: pair[0].to_string() }),
            None => Ok(()),
        }
    }

    fn read_string(&mut self, what: &'static str) -> Result<Text<'a>, DecodeError> {
        let start = self.at;
        self.punctuation(b'"', what)?;
        let bytes = self.text.as_bytes();
        let mut escaped = false;
        loop {
            self.at += plain_prefix(&bytes[self.at..]);
            match bytes.get(self.at) {
                Some(b'"') => break,
                Some(b'\\') => {
                    escaped = true;
                    self.escape()?;
                }
                Some(0x80..) => {
                    let run = bytes[self.at..].iter().take_while(|byte| !byte.is_ascii()).count();
                    self.non_ascii_bytes += run as u64;
                    self.at += run;
                }
                Some(_) => return Err(self.fault("control characters in a string must be escaped")),
                None => return Err(self.fault("it ends inside a string")),
            }
        }
        let raw = &self.text[start + 1..self.at];
        self.at += 1;
        self.compact_bytes += (raw.len() + 1) as u64;
        Ok(Text { raw, escaped, span: start..self.at })
    }

    /// Reads one escape; a surrogate must come with its other half.
    fn escape(&mut self) -> Result<(), DecodeError> {
        let unit = self.escape_unit()?;
        match unit {
            Some(0xD800..=0xDBFF) => match self.escape_unit() {
                Ok(Some(0xDC00..=0xDFFF)) => self.non_ascii_bytes += 4,
                Ok(_) | Err(_) => return Err(self.fault("a surrogate without its other half")),
            },
            Some(0xDC00..=0xDFFF) => return Err(self.fault("a surrogate without its other half")),
            Some(0x80..=0x7FF) => self.non_ascii_bytes += 2,
            Some(0x800..) => self.non_ascii_bytes += 3,
            Some(_) | None => {}
        }
        Ok(())
    }

    /// Reads one escape; the number behind `\u`, `None` for the short ones.
    fn escape_unit(&mut self) -> Result<Option<u16>, DecodeError> {
        let bytes = self.text.as_bytes();
        if bytes.get(self.at) != Some(&b'\\') {
            return Err(self.fault("expected an escape"));
        }
        match bytes.get(self.at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => {
                self.at += 2;
                Ok(None)
            }
            Some(b'u') => {
                let digits = bytes.get(self.at + 2..self.at + 6).filter(|four| four.iter().all(u8::is_ascii_hexdigit));
                let Some(digits) = digits else { return Err(self.fault("expected four hex digits after `\\u`")) };
                let unit = digits.iter().fold(0_u16, |sum, digit| sum << 4 | u16::from(hex(*digit)));
                self.at += 6;
                Ok(Some(unit))
            }
            Some(_) | None => Err(self.fault("an unknown escape in a string")),
        }
    }

    fn number(&mut self) -> Result<(), DecodeError> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        let whole = self.digits();
        let leading_zero = whole > 1 && self.text.as_bytes()[self.at - whole] == b'0';
        if whole == 0 || leading_zero {
            return Err(self.fault("a malformed number"));
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            if self.digits() == 0 {
                return Err(self.fault("a malformed number"));
            }
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            if self.digits() == 0 {
                return Err(self.fault("a malformed number"));
            }
        }
        self.compact_bytes += (self.at - start) as u64;
        Ok(())
    }

    fn digits(&mut self) -> usize {
        let count = self.text.as_bytes()[self.at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.at += count;
        count
    }

    fn literal(&mut self, word: &'static str) -> Result<(), DecodeError> {
        if !self.text.as_bytes()[self.at..].starts_with(word.as_bytes()) {
            return Err(self.fault("expected a value"));
        }
        self.at += word.len();
        self.compact_bytes += word.len() as u64;
        Ok(())
    }

    fn punctuation(&mut self, byte: u8, what: &'static str) -> Result<(), DecodeError> {
        if self.peek() != Some(byte) {
            return Err(self.fault(what));
        }
        self.at += 1;
        self.compact_bytes += 1;
        Ok(())
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\n' | b'\r' | b'\t')) {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn fault(&self, what: &'static str) -> DecodeError {
        DecodeError::Json { at: self.at, what }
    }
}

/// How many bytes at the start of a string's rest are plain: printable ASCII that is neither a quote nor a backslash.
fn plain_prefix(rest: &[u8]) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHS: u64 = 0x8080_8080_8080_8080;
    // A byte's high bit is set in `special` if it is below 0x20, a quote, a backslash or not ASCII. Borrows between
    // bytes can only set the bit of a byte above a special one, never hide the first.
    let zero = |word: u64| word.wrapping_sub(ONES) & !word & HIGHS;
    let mut at = 0;
    for chunk in rest.chunks_exact(8) {
        let word = u64::from_le_bytes(chunk.try_into().expect("chunks of eight have eight bytes"));
        let below = word.wrapping_sub(ONES * 0x20) & !word & HIGHS;
        let special = below | zero(word ^ (ONES * 0x22)) | zero(word ^ (ONES * 0x5C)) | (word & HIGHS);
        if special != 0 {
            return at + special.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    let plain = |byte: &&u8| matches!(byte, 0x20..0x80) && !matches!(byte, b'"' | b'\\');
    at + rest[at..].iter().take_while(plain).count()
}

fn hex(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        b'a'..=b'f' => digit - b'a' + 10,
        _ => digit - b'A' + 10,
    }
}

/// Resolves the escapes of a string that was read by [`Reader`].
fn unescape(raw: &str) -> String {
    serde_json::from_str(&format!("\"{raw}\"")).expect("the reader checked every escape of this string")
}

#[cfg(test)]
mod tests;
