//! One strict pass over a messages request.

use bh_base::Unbounded;

use crate::scan::{Limit, Scan, note_unbounded};
use crate::strict::{Kind, Reader, no_lookalike};
use crate::{DecodeError, LimitField};

/// Top-level fields that add nothing to the prompt and nothing to the price.
const SETTINGS: &[&str] = &["betas", "container", "stop_sequences", "temperature", "tool_choice", "top_k", "top_p"];

/// Top-level fields that are read; another spelling of one of them is refused.
const KNOWN: &[&str] = &[
    "cache_control",
    "context_management",
    "inference_geo",
    "max_tokens",
    "mcp_servers",
    "messages",
    "metadata",
    "model",
    "output_config",
    "output_format",
    "service_tier",
    "speed",
    "stream",
    "system",
    "thinking",
    "tools",
];

/// See [`crate::scan`].
pub(crate) fn scan(body: &[u8]) -> Result<Scan, DecodeError> {
    let mut reader = Reader::new(body)?;
    if reader.kind()? != Kind::Object {
        return Err(wrong("body", "a JSON object"));
    }
    let mut found = Found::default();
    found.scan.choices = 1;
    found.scan.stream_usage = true;
    found.scan.spans.first_field = reader.at() + 1;
    reader.object(|reader, key| found.field(reader, key))?;
    reader.finish()?;
    found.whole()
}

/// What the pass has found so far.
#[derive(Default)]
struct Found {
    scan: Scan,
    has_messages: bool,
    shaped: bool,
    cites: bool,
    budgeted: bool,
}

/// Where the content of an image or document is.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Place {
    #[default]
    Nowhere,
    Inline,
    Url,
    File,
    Text,
    Unknown,
}

/// Where a stretch of text begins, to be measured at its end.
#[derive(Clone, Copy)]
struct Mark {
    strings: u64,
    everything: u64,
    non_ascii: u64,
}

impl Mark {
    fn at(reader: &Reader<'_>) -> Self {
        Mark { strings: reader.string_bytes, everything: reader.compact_bytes, non_ascii: reader.non_ascii_bytes }
    }
}

impl Found {
    fn field(&mut self, reader: &mut Reader<'_>, key: &str) -> Result<(), DecodeError> {
        match key {
            "model" => self.model(reader)?,
            "messages" => self.messages(reader)?,
            "system" => {
                if reader.kind()? == Kind::Null {
                    return reader.skip().map(drop);
                }
                self.scan.size.messages += 1;
                self.content(reader)?;
            }
            "max_tokens" => self.limit(reader)?,
            "stream" => self.scan.stream = reader.boolean_or_null("stream")?.unwrap_or(false),
            "tools" => self.tools(reader)?,
            "thinking" => self.scan.needs.reasoning |= thinks(reader)?,
            "output_config" => self.output(reader)?,
            "output_format" => self.format(reader)?,
            "metadata" => self.metadata(reader)?,
            "service_tier" => self.scan.service_tier = reader.text_or_null("service_tier")?,
            "cache_control" => self.cache_control(reader)?,
            "context_management" => self.context_management(reader)?,
            "mcp_servers" => {
                if !reader.is_idle()? {
                    self.scan.needs.server_tools = true;
                    note_unbounded(&mut self.scan.size, Unbounded::ServerTool);
                }
            }
            "speed" | "inference_geo" => self.surcharge(reader)?,
            _ => self.other(reader, key)?,
        }
        Ok(())
    }

    fn other(&mut self, reader: &mut Reader<'_>, key: &str) -> Result<(), DecodeError> {
        if SETTINGS.contains(&key) {
            return reader.skip().map(drop);
        }
        no_lookalike(key, KNOWN)?;
        no_lookalike(key, SETTINGS)?;
        self.unknown(reader)
    }

    /// A value that may add to the prompt or its price in ways nobody here knows, unless it says nothing.
    fn unknown(&mut self, reader: &mut Reader<'_>) -> Result<(), DecodeError> {
        if !reader.is_idle()? {
            note_unbounded(&mut self.scan.size, Unbounded::UnknownPart);
        }
        Ok(())
    }

    fn model(&mut self, reader: &mut Reader<'_>) -> Result<(), DecodeError> {
        if reader.kind()? != Kind::String {
            return Err(wrong("model", "a string"));
        }
        let model = reader.string()?;
        if model.raw.is_empty() {
            return Err(wrong("model", "a model's name"));
        }
        self.scan.model = model.decode().into_owned();
        self.scan.model_span = model.span;
        Ok(())
    }

    fn limit(&mut self, reader: &mut Reader<'_>) -> Result<(), DecodeError> {
        let field = LimitField::MaxTokens.as_str();
        reader.kind()?;
        let start = reader.at();
        let tokens = reader.whole_or_null(field)?;
        self.scan.spans.limits.push(Limit { field, span: start..reader.at(), tokens });
        self.scan.max_output = tokens;
        Ok(())
    }

    /// Adds the strings read since `start` to the text of the prompt.
    fn count_strings(&mut self, reader: &Reader<'_>, start: Mark) {
        self.scan.size.text_bytes += reader.string_bytes - start.strings;
        self.scan.size.non_ascii_bytes += reader.non_ascii_bytes - start.non_ascii;
    }

    /// Adds everything read since `start`, keys and punctuation too.
    fn count_everything(&mut self, reader: &Reader<'_>, start: Mark) {
        self.scan.size.text_bytes += reader.compact_bytes - start.everything;
        self.scan.size.non_ascii_bytes += reader.non_ascii_bytes - start.non_ascii;
    }

    fn messages(&mut self, reader: &mut Reader<'_>) -> Result<(), DecodeError> {
        if reader.kind()? != Kind::Array {
            return Err(wrong("messages", "a list"));
        }
        self.has_messages = true;
        reader.array(|reader, index| {
            if reader.kind()? != Kind::Object {
                return Err(wrong(&format!("messages[{index}]"), "an object"));
            }
            self.scan.size.messages += 1;
            reader.object(|reader, key| match key {
                "role" => reader.skip().map(drop),
                "content" => self.content(reader),
                _ => self.unknown(reader),
            })
        })
    }

    /// A bare string or a list of blocks, which may hold lists of blocks themselves.
    fn content(&mut self, reader: &mut Reader<'_>) -> Result<(), DecodeError> {
        let start = Mark::at(reader);
        if reader.kind()? != Kind::Array {
            reader.skip()?;
            self.count_everything(reader, start);
            return Ok(());
        }
        reader.array(|reader, _| {
            if reader.kind()? == Kind::Object {
                return self.block(reader);
            }
            let start = Mark::at(reader);
            reader.skip()?;
            self.count_everything(reader, start);
            Ok(())
        })
    }

    fn block(&mut self, reader: &mut Reader<'_>) -> Result<(), DecodeError> {
        let mut kind = "";
        let mut place = Place::Nowhere;
        reader.object(|reader, key| {
            let start = Mark::at(reader);
            match (key, reader.kind()?) {
                ("type", Kind::String) => kind = reader.string()?.raw,
                ("source", Kind::Object) => place = self.source(reader)?,
                ("content", Kind::Array) => self.content(reader)?,
                ("cache_control", _) => self.cache_control(reader)?,
                ("citations", Kind::Object) => {
                    self.cites = true;
                    reader.skip()?;
                }
                ("input" | "content", _) => {
                    reader.skip()?;
                    self.count_everything(reader, start);
                }
                // Signatures and encrypted text stand for text that the provider reads, and are longer than it.
                _ => {
                    reader.skip()?;
                    self.count_strings(reader, start);
                }
            }
            Ok(())
        })?;
        self.judge(kind, place);
        Ok(())
    }

    /// What a block means for the bound, once all of it is read.
    fn judge(&mut self, kind: &str, place: Place) {
        let Scan { size, needs, .. } = &mut self.scan;
        match kind {
            "text" | "thinking" | "redacted_thinking" => {}
            // The provider writes its own marks around these, as around a message.
            "tool_use" | "tool_result" | "search_result" => size.messages += 1,
            "image" => {
                needs.images = true;
                size.images += 1;
            }
            "document" => {
                needs.documents = true;
                size.messages += 1;
            }
            _ => note_unbounded(size, Unbounded::UnknownPart),
        }
        match place {
            Place::Inline if kind == "document" => note_unbounded(size, Unbounded::Document),
            Place::Url => note_unbounded(size, Unbounded::RemoteUrl),
            Place::File => note_unbounded(size, Unbounded::StoredFile),
            Place::Unknown => note_unbounded(size, Unbounded::UnknownPart),
            Place::Inline | Place::Text | Place::Nowhere => {}
        }
    }

    /// The source of an image or document. Its `data` is text or base64, which its `type` tells, before or after.
    fn source(&mut self, reader: &mut Reader<'_>) -> Result<Place, DecodeError> {
        let mut place = Place::Unknown;
        let (mut data_bytes, mut data_non_ascii) = (0, 0);
        reader.object(|reader, key| {
            let start = Mark::at(reader);
            match (key, reader.kind()?) {
                ("type", Kind::String) => {
                    place = match reader.string()?.raw {
                        "base64" => Place::Inline,
                        "url" => Place::Url,
                        "file" => Place::File,
                        "text" | "content" => Place::Text,
                        _ => Place::Unknown,
                    };
                }
                ("data", _) => {
                    reader.skip()?;
                    data_bytes = reader.string_bytes - start.strings;
                    data_non_ascii = reader.non_ascii_bytes - start.non_ascii;
                }
                ("content", _) => self.content(reader)?,
                _ => {
                    reader.skip()?;
                }
            }
            Ok(())
        })?;
        if place == Place::Text {
            self.scan.size.text_bytes += data_bytes;
            self.scan.size.non_ascii_bytes += data_non_ascii;
        }
        Ok(place)
    }

    fn cache_control(&mut self, reader: &mut Reader<'_>) -> Result<(), DecodeError> {
        self.scan.size.cache_writes |= !reader.is_idle()?;
        Ok(())
    }

    fn tools(&mut self, reader: &mut Reader<'_>) -> Result<(), DecodeError> {
        if reader.kind()? == Kind::Null {
            return reader.skip().map(drop);
        }
        let start = Mark::at(reader);
        reader.array(|reader, index| {
            if reader.kind()? != Kind::Object {
                return Err(wrong(&format!("tools[{index}]"), "an object"));
            }
            self.tool(reader)
        })?;
        self.count_everything(reader, start);
        Ok(())
    }

    /// One tool. Those with a type of their own bring text, and some a model, of the provider's choice.
    fn tool(&mut self, reader: &mut Reader<'_>) -> Result<(), DecodeError> {
        let mut custom = true;
        let mut model = None;
        reader.object(|reader, key| {
            match (key, reader.kind()?) {
                ("type", Kind::String) => custom = reader.string()?.raw == "custom",
                ("model", Kind::String) => model = Some(reader.string()?.decode().into_owned()),
                ("cache_control", _) => self.cache_control(reader)?,
                _ => {
                    reader.skip()?;
                }
            }
            Ok(())
        })?;
        self.scan.size.tools += 1;
        if custom {
            self.scan.needs.tools = true;
        } else {
            self.scan.needs.server_tools = true;
            self.scan.other_models.extend(model);
            note_unbounded(&mut self.scan.size, Unbounded::ServerTool);
        }
        Ok(())
    }

    /// `effort`, `format` and `task_budget`, of which the model is told; each later member may cost what it likes.
    fn output(&mut self, reader: &mut Reader<'_>) -> Result<(), DecodeError> {
        if reader.kind()? != Kind::Object {
            return self.unknown(reader);
        }
        reader.object(|reader, key| match key {
            "effort" => reader.skip().map(drop),
            "format" => self.format(reader),
            "task_budget" => {
                self.budgeted |= !reader.is_idle()?;
                Ok(())
            }
            _ => self.unknown(reader),
        })
    }

    fn format(&mut self, reader: &mut Reader<'_>) -> Result<(), DecodeError> {
        let start = Mark::at(reader);
        if !reader.is_idle()? {
            self.shaped = true;
            self.scan.needs.json_schema = true;
            self.count_everything(reader, start);
        }
        Ok(())
    }

    fn metadata(&mut self, reader: &mut Reader<'_>) -> Result<(), DecodeError> {
        if reader.kind()? != Kind::Object {
            return reader.skip().map(drop);
        }
        reader.object(|reader, key| {
            if key == "user_id" {
                self.scan.user = reader.text_or_null("metadata.user_id")?;
                return Ok(());
            }
            reader.skip().map(drop)
        })
    }

    /// Edits only shorten the prompt, but compacting it is another call of the model.
    fn context_management(&mut self, reader: &mut Reader<'_>) -> Result<(), DecodeError> {
        if reader.kind()? != Kind::Object {
            return self.unknown(reader);
        }
        let mut compacts = false;
        reader.object(|reader, key| {
            if key != "edits" || reader.kind()? != Kind::Array {
                compacts |= !reader.is_idle()?;
                return Ok(());
            }
            reader.array(|reader, _| {
                if reader.kind()? != Kind::Object {
                    return reader.skip().map(drop);
                }
                reader.object(|reader, key| {
                    if key == "type" && reader.kind()? == Kind::String {
                        compacts |= !reader.string()?.raw.starts_with("clear_");
                        return Ok(());
                    }
                    reader.skip().map(drop)
                })
            })
        })?;
        if compacts {
            note_unbounded(&mut self.scan.size, Unbounded::UnknownPart);
        }
        Ok(())
    }

    /// Speeds and places other than the usual have prices of their own.
    fn surcharge(&mut self, reader: &mut Reader<'_>) -> Result<(), DecodeError> {
        if reader.kind()? == Kind::String {
            if !matches!(reader.string()?.raw, "standard" | "global") {
                note_unbounded(&mut self.scan.size, Unbounded::UnknownPart);
            }
            return Ok(());
        }
        self.unknown(reader)
    }

    fn whole(mut self) -> Result<Scan, DecodeError> {
        if self.scan.model.is_empty() {
            return Err(DecodeError::Missing { field: "model".into() });
        }
        if !self.has_messages {
            return Err(DecodeError::Missing { field: "messages".into() });
        }
        let size = &mut self.scan.size;
        size.features = u64::from(self.shaped) + u64::from(self.cites) + u64::from(self.budgeted);
        size.non_ascii_bytes = size.non_ascii_bytes.min(size.text_bytes);
        Ok(self.scan)
    }
}

/// Whether `thinking` asks for any.
fn thinks(reader: &mut Reader<'_>) -> Result<bool, DecodeError> {
    if reader.kind()? != Kind::Object {
        return Ok(!reader.is_idle()?);
    }
    let mut on = true;
    reader.object(|reader, key| {
        if key == "type" && reader.kind()? == Kind::String {
            on = reader.string()?.raw != "disabled";
            return Ok(());
        }
        reader.skip().map(drop)
    })?;
    Ok(on)
}

fn wrong(field: &str, expected: &'static str) -> DecodeError {
    DecodeError::Wrong { field: field.to_owned(), expected }
}

impl Reader<'_> {
    /// Reads a value and says whether it asks for nothing: `null`, `false`, an empty list or object.
    fn is_idle(&mut self) -> Result<bool, DecodeError> {
        let kind = self.kind()?;
        let before = self.compact_bytes;
        self.skip()?;
        let bytes = self.compact_bytes - before;
        Ok(match kind {
            Kind::Null => true,
            Kind::Bool => bytes == 5,
            Kind::Object | Kind::Array => bytes == 2,
            Kind::String | Kind::Number => false,
        })
    }

    fn boolean_or_null(&mut self, field: &str) -> Result<Option<bool>, DecodeError> {
        match self.kind()? {
            Kind::Null => self.skip().map(|_| None),
            Kind::Bool => self.is_idle().map(|no| Some(!no)),
            Kind::Object | Kind::Array | Kind::String | Kind::Number => Err(wrong(field, "true or false")),
        }
    }

    fn text_or_null(&mut self, field: &str) -> Result<Option<String>, DecodeError> {
        match self.kind()? {
            Kind::Null => self.skip().map(|_| None),
            Kind::String => self.string().map(|text| Some(text.decode().into_owned())),
            Kind::Object | Kind::Array | Kind::Number | Kind::Bool => Err(wrong(field, "a string")),
        }
    }

    fn whole_or_null(&mut self, field: &str) -> Result<Option<u64>, DecodeError> {
        match self.kind()? {
            Kind::Null => self.skip().map(|_| None),
            Kind::Number => self.number_text()?.parse().map(Some).map_err(|_| wrong(field, "a whole number")),
            Kind::Object | Kind::Array | Kind::String | Kind::Bool => Err(wrong(field, "a whole number")),
        }
    }
}
