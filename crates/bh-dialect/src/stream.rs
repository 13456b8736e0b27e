//! A provider's stream on its way to the client.

use bh_base::limits::ERROR_BODY_BYTES_MAX;
use bh_chat::{Event, Fault, FaultClass};
use bytes::BytesMut;

use crate::sse::{SseEvent, SseParser, TooLarge};
use crate::{AnswerFacts, AnswerOptions, Dialect, anthropic, classify, openai};

/// What one event of a provider's stream turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tapped {
    /// Part of the answer that carries no content yet.
    Pass,
    /// Part of the answer with content.
    Content,
    /// A usage report that only a client who asked for it gets.
    UsageOnly,
    /// The terminal event.
    Terminal,
}

/// A provider's streamed answer, turned into the client's as it arrives. The same dialect passes byte for byte, minus
/// a usage report the client did not ask for. Only whole events come out, so keep-alives may stand between two calls.
#[derive(Debug)]
pub struct AnswerStream {
    from: Dialect,
    parser: SseParser,
    walk: Walk,
    opening: Opening,
}

/// What the first bytes show the body to be.
#[derive(Debug)]
enum Opening {
    /// Nothing but white space yet.
    Unseen,
    /// Events.
    Events,
    /// Something else, usually an error with status 200; kept to be classified at its end.
    Bare(Vec<u8>),
}

/// What happens to each event.
#[derive(Debug)]
struct Walk {
    tap: Tap,
    across: Option<Across>,
    show_usage: bool,
    started: bool,
    has_content: bool,
    terminal: bool,
    facts: AnswerFacts,
}

#[derive(Debug)]
enum Tap {
    OpenAiChat(openai::StreamTap),
    AnthropicMessages(anthropic::StreamTap),
}

/// The way through the conversation, when the dialects differ.
#[derive(Debug)]
struct Across {
    decoder: Decoder,
    encoder: Encoder,
    events: Vec<Event>,
}

#[derive(Debug)]
enum Decoder {
    OpenAiChat(openai::StreamDecoder),
    AnthropicMessages(anthropic::StreamDecoder),
}

#[derive(Debug)]
enum Encoder {
    OpenAiChat(openai::StreamEncoder),
    AnthropicMessages(anthropic::StreamEncoder),
}

impl AnswerStream {
    /// A stream from a provider that speaks `from` to a client that speaks `to`.
    #[must_use]
    pub fn new(from: Dialect, to: Dialect, options: AnswerOptions) -> Self {
        let show_usage = options.client_wants_usage;
        let tap = match from {
            Dialect::OpenAiChat => Tap::OpenAiChat(openai::StreamTap::default()),
            Dialect::AnthropicMessages => Tap::AnthropicMessages(anthropic::StreamTap::default()),
        };
        let across = (from != to).then(|| Across::new(from, to, &options));
        AnswerStream {
            from,
            parser: SseParser::default(),
            walk: Walk {
                tap,
                across,
                show_usage,
                started: false,
                has_content: false,
                terminal: false,
                facts: AnswerFacts::default(),
            },
            opening: Opening::Unseen,
        }
    }

    /// Takes what the provider sent, split anywhere, and appends what the client gets. Comments may come out before
    /// [`AnswerStream::started`]; hold them back until then.
    ///
    /// # Errors
    /// The provider reported a failure inside the stream, or what it sent is no stream of its dialect. Nothing may be
    /// pushed afterwards.
    pub fn push(&mut self, input: &[u8], out: &mut BytesMut) -> Result<(), Fault> {
        self.open(input);
        if let Opening::Bare(body) = &mut self.opening {
            body.extend_from_slice(input);
            return if body.len() <= ERROR_BODY_BYTES_MAX { Ok(()) } else { Err(not_a_stream()) };
        }
        let Self { parser, walk, .. } = self;
        parser.feed(input, |event| walk.event(event, out))
    }

    /// The provider closed the stream.
    ///
    /// # Errors
    /// The answer is not complete: [`FaultClass::Cut`]; or the body was no stream at all.
    pub fn finish(&mut self, out: &mut BytesMut) -> Result<(), Fault> {
        if let Opening::Bare(body) = &self.opening {
            return Err(self.bare_fault(body));
        }
        let Self { parser, walk, .. } = self;
        parser.finish(|event| walk.event(event, out))?;
        walk.finish(out)
    }

    /// Whether a first real event of the provider has been seen, so that 200 may be sent.
    #[must_use]
    pub fn started(&self) -> bool {
        self.walk.started
    }

    /// Whether the first piece of content has been seen.
    #[must_use]
    pub fn has_content(&self) -> bool {
        self.walk.has_content
    }

    /// Whether the terminal event has been seen.
    #[must_use]
    pub fn terminal(&self) -> bool {
        self.walk.terminal
    }

    /// What is known of the answer so far.
    #[must_use]
    pub fn facts(&self) -> &AnswerFacts {
        &self.walk.facts
    }

    /// Decides by the first visible byte: no line of an event stream begins like JSON or HTML.
    fn open(&mut self, input: &[u8]) {
        if !matches!(self.opening, Opening::Unseen) {
            return;
        }
        self.opening = match input.iter().find(|byte| !byte.is_ascii_whitespace()) {
            None => return,
            Some(b'{' | b'[' | b'<') => Opening::Bare(Vec::new()),
            Some(_) => Opening::Events,
        };
    }

    fn bare_fault(&self, body: &[u8]) -> Fault {
        let fault = classify(self.from, 200, &|_| None, body);
        if fault.class == FaultClass::Malformed { not_a_stream() } else { fault }
    }
}

impl Walk {
    fn event(&mut self, event: SseEvent<'_>, out: &mut BytesMut) -> Result<(), Fault> {
        let Some(data) = event.data.filter(|_| !self.terminal) else {
            if self.across.is_none() {
                out.extend_from_slice(event.raw);
            }
            return Ok(());
        };
        let tapped = match &mut self.tap {
            Tap::OpenAiChat(tap) => tap.event(event.name, data, &mut self.facts)?,
            Tap::AnthropicMessages(tap) => tap.event(event.name, data, &mut self.facts)?,
        };
        self.started = true;
        self.has_content |= tapped == Tapped::Content;
        self.terminal = tapped == Tapped::Terminal;
        match &mut self.across {
            Some(across) => across.event(event.name, data, out),
            None if tapped == Tapped::UsageOnly && !self.show_usage => Ok(()),
            None => {
                out.extend_from_slice(event.raw);
                Ok(())
            }
        }
    }

    fn finish(&mut self, out: &mut BytesMut) -> Result<(), Fault> {
        if self.terminal {
            return Ok(());
        }
        match &mut self.tap {
            Tap::OpenAiChat(tap) => tap.finish()?,
            Tap::AnthropicMessages(tap) => tap.finish()?,
        }
        self.terminal = true;
        match &mut self.across {
            Some(across) => across.finish(out),
            None => Ok(()),
        }
    }
}

impl Across {
    fn new(from: Dialect, to: Dialect, options: &AnswerOptions) -> Self {
        let decoder = match from {
            Dialect::OpenAiChat => Decoder::OpenAiChat(openai::StreamDecoder::default()),
            Dialect::AnthropicMessages => Decoder::AnthropicMessages(anthropic::StreamDecoder::default()),
        };
        let encoder = match to {
            Dialect::OpenAiChat => Encoder::OpenAiChat(openai::StreamEncoder::new(options)),
            Dialect::AnthropicMessages => Encoder::AnthropicMessages(anthropic::StreamEncoder::new(options)),
        };
        Across { decoder, encoder, events: Vec::new() }
    }

    fn event(&mut self, name: &[u8], data: &[u8], out: &mut BytesMut) -> Result<(), Fault> {
        match &mut self.decoder {
            Decoder::OpenAiChat(decoder) => decoder.event(name, data, &mut self.events)?,
            Decoder::AnthropicMessages(decoder) => decoder.event(name, data, &mut self.events)?,
        }
        self.write(out)
    }

    fn finish(&mut self, out: &mut BytesMut) -> Result<(), Fault> {
        match &mut self.decoder {
            Decoder::OpenAiChat(decoder) => decoder.finish(&mut self.events)?,
            Decoder::AnthropicMessages(decoder) => decoder.finish(&mut self.events)?,
        }
        self.write(out)
    }

    fn write(&mut self, out: &mut BytesMut) -> Result<(), Fault> {
        for event in self.events.drain(..) {
            if let Event::Failed(fault) = event {
                return Err(fault);
            }
            match &mut self.encoder {
                Encoder::OpenAiChat(encoder) => encoder.event(&event, out),
                Encoder::AnthropicMessages(encoder) => encoder.event(&event, out),
            }
        }
        Ok(())
    }
}

impl From<TooLarge> for Fault {
    fn from(error: TooLarge) -> Self {
        Fault::new(FaultClass::Malformed, error.to_string())
    }
}

fn not_a_stream() -> Fault {
    Fault::new(FaultClass::Malformed, "the provider answered a streaming request with something that is no stream")
}
