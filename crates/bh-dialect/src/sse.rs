//! Server-sent events: bytes in, events out.

use bh_base::limits::EVENT_BYTES_MAX;
use memchr::memchr2;

/// One block of a stream, up to and with its empty line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SseEvent<'a> {
    /// The `event:` field; empty when absent.
    pub name: &'a [u8],
    /// The `data:` lines, joined by line feeds; `None` for a block of comments or other fields only.
    pub data: Option<&'a [u8]>,
    /// Every byte of the block as it came.
    pub raw: &'a [u8],
}

/// An event is larger than [`EVENT_BYTES_MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("one event of the stream is larger than {bytes_max} bytes")]
pub struct TooLarge {
    /// The limit.
    pub bytes_max: usize,
}

/// Cuts a stream into events, however its bytes arrive. Line ends may be LF, CR LF or CR; a byte order mark at the
/// start is skipped; the space behind a colon is optional. Input that holds whole events is not copied.
#[derive(Debug, Default)]
pub struct SseParser {
    /// The tail of the input that is no whole block yet.
    held: Vec<u8>,
    /// How far into `held` the search for its end has come.
    search: Search,
    /// Joined data lines of the event at hand, where there are several.
    joined: Vec<u8>,
    /// Whether the first block is done, so that no byte order mark can follow.
    begun: bool,
}

/// A search for the empty line that ends a block; it goes on where it stopped when more bytes come.
#[derive(Clone, Copy, Debug, Default)]
struct Search {
    /// Where the current line begins.
    line: usize,
    /// Bytes before this are known to hold no line end of the current line.
    scanned: usize,
}

impl SseParser {
    /// Takes the next bytes of the stream and calls `each` for every block they complete.
    ///
    /// # Errors
    /// An error of `each`, at once; or [`TooLarge`]. Nothing may be fed afterwards.
    pub fn feed<E: From<TooLarge>>(
        &mut self,
        input: &[u8],
        mut each: impl FnMut(SseEvent<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        if self.held.is_empty() {
            let used = self.blocks(input, &mut each)?;
            self.held.extend_from_slice(&input[used..]);
        } else {
            let mut held = std::mem::take(&mut self.held);
            held.extend_from_slice(input);
            let used = self.blocks(&held, &mut each)?;
            held.drain(..used);
            self.held = held;
        }
        if self.held.len() > EVENT_BYTES_MAX {
            return Err(TooLarge { bytes_max: EVENT_BYTES_MAX }.into());
        }
        Ok(())
    }

    /// The stream has ended: a last block without its empty line counts all the same.
    ///
    /// # Errors
    /// An error of `each`.
    pub fn finish<E>(&mut self, mut each: impl FnMut(SseEvent<'_>) -> Result<(), E>) -> Result<(), E> {
        let held = std::mem::take(&mut self.held);
        if held.is_empty() {
            return Ok(());
        }
        let event = read_block(&held, !self.begun, &mut self.joined);
        self.begun = true;
        each(event)
    }

    /// Hands out the whole blocks at the start of `bytes`; how many bytes they are.
    fn blocks<E: From<TooLarge>>(
        &mut self,
        bytes: &[u8],
        each: &mut impl FnMut(SseEvent<'_>) -> Result<(), E>,
    ) -> Result<usize, E> {
        let mut start = 0;
        while let Some(length) = self.search.block(&bytes[start..]) {
            if length > EVENT_BYTES_MAX {
                return Err(TooLarge { bytes_max: EVENT_BYTES_MAX }.into());
            }
            let event = read_block(&bytes[start..start + length], !self.begun, &mut self.joined);
            self.begun = true;
            self.search = Search::default();
            start += length;
            each(event)?;
        }
        Ok(start)
    }
}

impl Search {
    /// The length of the block at the start of `bytes`, its empty line included; `None` if its end is not there yet.
    fn block(&mut self, bytes: &[u8]) -> Option<usize> {
        loop {
            let Some(found) = memchr2(b'\n', b'\r', bytes.get(self.scanned..)?) else {
                self.scanned = bytes.len();
                return None;
            };
            let end = self.scanned + found;
            let after = match (bytes[end], bytes.get(end + 1)) {
                (b'\r', Some(b'\n')) => end + 2,
                // A line feed may follow in the next bytes. An empty line ends the block either way; the late line
                // feed is then an empty block of its own.
                (b'\r', None) if end != self.line => {
                    self.scanned = end;
                    return None;
                }
                _ => end + 1,
            };
            if end == self.line {
                return Some(after);
            }
            self.line = after;
            self.scanned = after;
        }
    }
}

/// Reads the fields of one block.
fn read_block<'a>(raw: &'a [u8], first: bool, joined: &'a mut Vec<u8>) -> SseEvent<'a> {
    let mut rest = if first { raw.strip_prefix(b"\xef\xbb\xbf").unwrap_or(raw) } else { raw };
    let mut name: &[u8] = b"";
    let mut data: Option<&[u8]> = None;
    let mut lines = 0;
    while !rest.is_empty() {
        let end = memchr2(b'\n', b'\r', rest).unwrap_or(rest.len());
        let (line, tail) = rest.split_at(end);
        rest = tail.get(1..).unwrap_or_default();
        if let Some(value) = value_of(line, b"data") {
            lines += 1;
            match (lines, data) {
                (2, Some(first)) => {
                    joined.clear();
                    joined.extend_from_slice(first);
                    append_line(joined, value);
                }
                (1, _) => data = Some(value),
                _ => append_line(joined, value),
            }
        } else if let Some(value) = value_of(line, b"event") {
            name = value;
        }
    }
    SseEvent { name, data: if lines > 1 { Some(joined) } else { data }, raw }
}

fn append_line(joined: &mut Vec<u8>, line: &[u8]) {
    joined.push(b'\n');
    joined.extend_from_slice(line);
}

/// The value of a line if it is the named field.
fn value_of<'a>(line: &'a [u8], field: &[u8]) -> Option<&'a [u8]> {
    match line.strip_prefix(field)? {
        [] => Some(&[]),
        [b':', b' ', value @ ..] | [b':', value @ ..] => Some(value),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Seen = (Vec<u8>, Option<Vec<u8>>);

    /// Feeds `stream` cut at `cuts`; what came out, and all raw bytes in a row.
    fn parse(stream: &[u8], cuts: &[usize]) -> Result<(Vec<Seen>, Vec<u8>), TooLarge> {
        let mut parser = SseParser::default();
        let (mut seen, mut raw) = (Vec::new(), Vec::new());
        let mut each = |event: SseEvent<'_>| {
            if event.data.is_some() || !event.name.is_empty() {
                seen.push((event.name.to_vec(), event.data.map(<[u8]>::to_vec)));
            }
            raw.extend_from_slice(event.raw);
            Ok(())
        };
        let mut from = 0;
        for cut in cuts.iter().copied().chain([stream.len()]) {
            parser.feed(&stream[from..cut], &mut each)?;
            from = cut;
        }
        parser.finish(&mut each)?;
        Ok((seen, raw))
    }

    fn check(stream: &str, expected: &[(&str, Option<&str>)]) {
        let expected: Vec<Seen> = expected
            .iter()
            .map(|(name, data)| (name.as_bytes().to_vec(), data.map(|data| data.as_bytes().to_vec())))
            .collect();
        for cut in 0..=stream.len() {
            for second in cut..=stream.len() {
                let (seen, raw) = parse(stream.as_bytes(), &[cut, second]).unwrap();
                assert_eq!(seen, expected, "cut at {cut} and {second}");
                assert_eq!(raw, stream.as_bytes(), "cut at {cut} and {second}");
            }
        }
    }

    #[test]
    fn every_line_end_and_spacing_is_understood_at_every_split() {
        check("data: a\n\ndata:b\n\n", &[("", Some("a")), ("", Some("b"))]);
        check("data: a\r\n\r\ndata: b\r\n\r\n", &[("", Some("a")), ("", Some("b"))]);
        check("data: a\r\rdata: b\r\r", &[("", Some("a")), ("", Some("b"))]);
        check("\u{feff}event: x\r\ndata:  two\r\n\r\n", &[("x", Some(" two"))]);
    }

    #[test]
    fn data_lines_join_and_comments_pass() {
        check("data: a\ndata\ndata: c\n\n", &[("", Some("a\n\nc"))]);
        check(": hello\n\nevent: ping\n\nid: 7\ndata: é\n\n", &[("ping", None), ("", Some("é"))]);
        check("dataset: no\neventual: no\n\n", &[]);
    }

    #[test]
    fn a_last_event_without_its_empty_line_counts() {
        check("data: a\n\ndata: [DONE]\n", &[("", Some("a")), ("", Some("[DONE]"))]);
        check("data: a\n\ndata: [DONE]", &[("", Some("a")), ("", Some("[DONE]"))]);
    }

    #[test]
    fn one_huge_event_is_bounded() {
        let mut parser = SseParser::default();
        let piece = vec![b'x'; 1024 * 1024];
        let fed = (0..).take_while(|_| parser.feed(&piece, |_| Ok::<(), TooLarge>(())).is_ok()).count();
        assert_eq!(fed, EVENT_BYTES_MAX / piece.len());
        let mut whole = vec![b'x'; EVENT_BYTES_MAX];
        whole.extend_from_slice(b"\n\n");
        assert_eq!(parse(&whole, &[]), Err(TooLarge { bytes_max: EVENT_BYTES_MAX }));
    }

    proptest! {
        #[test]
        fn splits_never_matter(
            stream in "(data: ?|event: ?|: |\u{feff}|[a-cé{}]|\r|\n|\r\n|\n\n){0,40}",
            cuts in proptest::collection::vec(0.0..1.0_f64, 0..6),
        ) {
            let bytes = stream.as_bytes();
            let mut cuts: Vec<usize> = cuts.iter().map(|at| (at * bytes.len() as f64) as usize).collect();
            cuts.sort_unstable();
            let whole = parse(bytes, &[]).unwrap();
            let cut = parse(bytes, &cuts).unwrap();
            prop_assert_eq!(&whole.1, bytes);
            prop_assert_eq!(whole, cut);
        }
    }
}
