//! What of a chat completions request the model reads, measured.

use bh_base::{PromptSize, Unbounded};

use super::scan::{absent, wrong};
use crate::DecodeError;
use crate::scan::{Needs, note_unbounded};
use crate::strict::{Kind, Reader};

/// Fields of a message whose text the model may read, and those that add nothing.
const MESSAGE_FIELDS: &[&str] = &[
    "annotations",
    "cache_control",
    "extra_content",
    "function_call",
    "name",
    "prefix",
    "reasoning",
    "reasoning_content",
    "reasoning_details",
    "refusal",
    "thought_signature",
    "tool_call_id",
    "tool_calls",
];

/// Reads the parts of a request that make up the prompt.
pub(super) struct Prompt<'s> {
    /// How large it is.
    pub(super) size: &'s mut PromptSize,
    /// What it asks of a model.
    pub(super) needs: &'s mut Needs,
}

/// Where a stretch of text begins, to be measured at its end.
struct Mark {
    unit: Unit,
    bytes: u64,
    non_ascii: u64,
}

/// What of a stretch is text.
#[derive(Clone, Copy)]
enum Unit {
    /// Strings; the provider writes its own marks around them.
    Strings,
    /// Keys and punctuation too, as in schemas.
    Everything,
}

impl Unit {
    fn mark(self, reader: &Reader<'_>) -> Mark {
        let bytes = match self {
            Unit::Strings => reader.string_bytes,
            Unit::Everything => reader.compact_bytes,
        };
        Mark { unit: self, bytes, non_ascii: reader.non_ascii_bytes }
    }
}

impl Prompt<'_> {
    /// Adds what was read since `start` to the text of the prompt, but for `not_text` bytes of strings.
    fn count(&mut self, reader: &Reader<'_>, start: Mark, not_text: u64) {
        let size = &mut *self.size;
        size.text_bytes += match start.unit {
            Unit::Strings => reader.string_bytes - start.bytes - not_text,
            Unit::Everything => reader.compact_bytes - start.bytes,
        };
        size.non_ascii_bytes += reader.non_ascii_bytes - start.non_ascii;
    }

    /// Reads `tools`.
    pub(super) fn tools(&mut self, reader: &mut Reader<'_>) -> Result<(), DecodeError> {
        if reader.kind()? == Kind::Null {
            return reader.skip().map(drop);
        }
        let start = Unit::Everything.mark(reader);
        let Prompt { size, needs } = self;
        reader.array(|reader, _| {
            size.tools += 1;
            let mut ours = true;
            reader.object(|reader, key| {
                if key != "type" {
                    return reader.skip().map(drop);
                }
                if reader.kind()? == Kind::String {
                    ours = matches!(reader.string()?.raw, "function" | "custom");
                    return Ok(());
                }
                reader.skip().map(drop)
            })?;
            if ours {
                needs.tools = true;
            } else {
                needs.server_tools = true;
                note_unbounded(size, Unbounded::ServerTool);
            }
            Ok(())
        })?;
        self.count(reader, start, 0);
        Ok(())
    }

    /// Reads `functions`, the old form of tools.
    pub(super) fn functions(&mut self, reader: &mut Reader<'_>) -> Result<(), DecodeError> {
        if reader.kind()? != Kind::Array {
            return reader.skip().map(drop);
        }
        let start = Unit::Everything.mark(reader);
        reader.array(|reader, _| {
            self.size.tools += 1;
            self.needs.tools = true;
            reader.skip().map(drop)
        })?;
        self.count(reader, start, 0);
        Ok(())
    }

    /// Reads `response_format`.
    pub(super) fn response_format(&mut self, reader: &mut Reader<'_>) -> Result<(), DecodeError> {
        let start = Unit::Everything.mark(reader);
        if reader.kind()? != Kind::Object {
            return reader.skip().map(drop);
        }
        let mut shaped = true;
        reader.object(|reader, key| {
            if key == "type" && reader.kind()? == Kind::String {
                let kind = reader.string()?;
                shaped = kind.raw != "text";
                self.needs.json_schema = kind.raw == "json_schema";
                return Ok(());
            }
            reader.skip().map(drop)
        })?;
        self.size.features += u64::from(shaped);
        self.count(reader, start, 0);
        Ok(())
    }

    /// Reads `messages`.
    pub(super) fn messages(&mut self, reader: &mut Reader<'_>) -> Result<(), DecodeError> {
        if reader.kind()? != Kind::Array {
            return Err(wrong("messages", "a list"));
        }
        reader.array(|reader, index| {
            if reader.kind()? != Kind::Object {
                return Err(DecodeError::Wrong { field: format!("messages[{index}]"), expected: "an object" });
            }
            self.size.messages += 1;
            reader.object(|reader, key| self.message_field(reader, key))
        })
    }

    fn message_field(&mut self, reader: &mut Reader<'_>, key: &str) -> Result<(), DecodeError> {
        let start = Unit::Strings.mark(reader);
        match key {
            "role" => return reader.skip().map(drop),
            "content" if reader.kind()? == Kind::Array => {
                let mut not_text = 0;
                reader.array(|reader, _| {
                    if reader.kind()? != Kind::Object {
                        return reader.skip().map(drop);
                    }
                    reader.object(|reader, key| {
                        not_text += self.part_field(reader, key)?;
                        Ok(())
                    })
                })?;
                self.count(reader, start, not_text);
                return Ok(());
            }
            "content" if reader.kind()? == Kind::Object => note_unbounded(self.size, Unbounded::UnknownPart),
            "content" => {}
            "audio" => {
                if !absent(reader)? {
                    note_unbounded(self.size, Unbounded::StoredFile);
                }
                return Ok(());
            }
            _ if MESSAGE_FIELDS.contains(&key) => {}
            _ => {
                if !absent(reader)? {
                    note_unbounded(self.size, Unbounded::UnknownPart);
                }
                return Ok(());
            }
        }
        reader.skip()?;
        self.count(reader, start, 0);
        Ok(())
    }

    /// Reads one field of a content part; how many bytes of its strings are no text.
    fn part_field(&mut self, reader: &mut Reader<'_>, key: &str) -> Result<u64, DecodeError> {
        let before = reader.string_bytes;
        match (key, reader.kind()?) {
            ("type", Kind::String) => {
                let kind = reader.string()?;
                if !matches!(kind.raw, "text" | "image_url" | "input_audio" | "file" | "refusal" | "thinking") {
                    note_unbounded(self.size, Unbounded::UnknownPart);
                }
                return Ok(kind.raw.len() as u64);
            }
            ("image_url", Kind::Object | Kind::String) => {
                self.needs.images = true;
                self.size.images += 1;
                return self.image(reader);
            }
            ("input_audio", Kind::Object) => {
                self.needs.audio = true;
                note_unbounded(self.size, Unbounded::Audio);
            }
            ("file", Kind::Object) => {
                self.needs.documents = true;
                return self.file(reader);
            }
            _ => {
                reader.skip()?;
                return Ok(0);
            }
        }
        reader.skip()?;
        Ok(reader.string_bytes - before)
    }

    fn image(&mut self, reader: &mut Reader<'_>) -> Result<u64, DecodeError> {
        let before = reader.string_bytes;
        let mut inline = false;
        if reader.kind()? == Kind::String {
            inline = reader.string()?.raw.starts_with("data:");
        } else {
            reader.object(|reader, key| {
                if key == "url" && reader.kind()? == Kind::String {
                    inline = reader.string()?.raw.starts_with("data:");
                    return Ok(());
                }
                reader.skip().map(drop)
            })?;
        }
        if !inline {
            note_unbounded(self.size, Unbounded::RemoteUrl);
        }
        Ok(reader.string_bytes - before)
    }

    fn file(&mut self, reader: &mut Reader<'_>) -> Result<u64, DecodeError> {
        let before = reader.string_bytes;
        let mut why = Unbounded::Document;
        reader.object(|reader, key| {
            if key == "file_id" && reader.kind()? == Kind::String {
                why = Unbounded::StoredFile;
            }
            reader.skip().map(drop)
        })?;
        note_unbounded(self.size, why);
        Ok(reader.string_bytes - before)
    }
}
