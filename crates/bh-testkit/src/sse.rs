//! Reads server-sent events as a test wants to see them: one by one, comments included.

/// One thing a stream said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// An event: its name, empty when it has none, and its data lines joined.
    Event {
        /// The name.
        event: String,
        /// The data.
        data: String,
    },
    /// A line that begins with a colon.
    Comment(String),
}

/// Takes bytes, gives items.
#[derive(Debug, Default)]
pub struct Reader {
    buffer: Vec<u8>,
}

impl Item {
    /// The data of an event; `None` for a comment.
    #[must_use]
    pub fn data(&self) -> Option<&str> {
        match self {
            Item::Event { data, .. } => Some(data),
            Item::Comment(_) => None,
        }
    }

    /// The data of an event as JSON; `None` for a comment or anything else, such as `[DONE]`.
    #[must_use]
    pub fn json(&self) -> Option<serde_json::Value> {
        serde_json::from_str(self.data()?).ok()
    }
}

impl Reader {
    /// Adds what arrived.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next complete items, if any.
    pub fn items(&mut self) -> Vec<Item> {
        let mut items = Vec::new();
        while let Some((block, taken)) = block(&self.buffer) {
            items.extend(parse(&block));
            self.buffer.drain(..taken);
        }
        items
    }

    /// What arrived after the last complete event.
    #[must_use]
    pub fn rest(&self) -> &[u8] {
        &self.buffer
    }
}

/// Every item of a whole stream, and what followed the last blank line.
#[must_use]
pub fn read_all(bytes: &[u8]) -> (Vec<Item>, Vec<u8>) {
    let mut reader = Reader::default();
    reader.push(bytes);
    (reader.items(), reader.buffer)
}

/// The text up to the first blank line, and where the next block begins.
fn block(buffer: &[u8]) -> Option<(String, usize)> {
    let mut start = 0;
    for line in buffer.split_inclusive(|byte| *byte == b'\n') {
        let next = start + line.len();
        if line == b"\n" || line == b"\r\n" {
            return Some((String::from_utf8_lossy(&buffer[..start]).into_owned(), next));
        }
        start = next;
    }
    None
}

fn parse(block: &str) -> Vec<Item> {
    let mut items = Vec::new();
    let (mut event, mut data) = (String::new(), Vec::new());
    for line in block.lines() {
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field.trim_start_matches('\u{feff}') {
            "" if !line.is_empty() => items.push(Item::Comment(value.to_owned())),
            "event" => value.clone_into(&mut event),
            "data" => data.push(value),
            _ => {}
        }
    }
    if !data.is_empty() || !event.is_empty() {
        items.push(Item::Event { event, data: data.join("\n") });
    }
    items
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(event: &str, data: &str) -> Item {
        Item::Event { event: event.to_owned(), data: data.to_owned() }
    }

    #[test]
    fn events_and_comments_come_in_order() {
        let (items, rest) = read_all(b": ping\n\nevent: a\ndata: 1\ndata:2\n\r\ndata: x\r\n\r\ndata: half");
        assert_eq!(items[..2], [Item::Comment("ping".to_owned()), event("a", "1\n2")][..]);
        assert_eq!((items.len(), rest.as_slice()), (3, &b"data: half"[..]));
    }

    #[test]
    fn an_event_split_anywhere_is_the_same_event() {
        let whole = b"event: a\ndata: {\"x\":1}\n\n";
        for at in 0..whole.len() {
            let mut reader = Reader::default();
            reader.push(&whole[..at]);
            let mut items = reader.items();
            reader.push(&whole[at..]);
            items.extend(reader.items());
            assert_eq!(items, [event("a", "{\"x\":1}")], "split at {at}");
        }
    }
}
