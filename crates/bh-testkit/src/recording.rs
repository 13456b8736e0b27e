//! Recorded exchanges with real providers, read from a folder outside the project. Bytes stay as they are.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

/// Deepest folder that is searched, so that a link to a parent ends.
const DEPTH_MAX: usize = 8;

/// One recorded exchange.
#[derive(Debug, Clone)]
pub struct Recording {
    /// The file it was read from.
    pub file: PathBuf,
    /// Who answered.
    pub provider: String,
    /// Which interface, such as `chat_completions`.
    pub api: String,
    /// What it shows.
    pub case: String,
    /// The model asked, where one was.
    pub model: Option<String>,
    /// What it contains, such as `tools`.
    pub tags: Vec<String>,
    /// What was asked.
    pub request: RecordedRequest,
    /// What was answered.
    pub response: RecordedResponse,
}

/// What was asked.
#[derive(Debug, Clone)]
pub struct RecordedRequest {
    /// The HTTP method.
    pub method: String,
    /// Path and query, where known.
    pub path: Option<String>,
    /// The headers kept by the recorder; no credentials.
    pub headers: BTreeMap<String, String>,
    /// The body's text; `None` where there was none or it was not JSON.
    pub body: Option<Bytes>,
}

/// What was answered.
#[derive(Debug, Clone)]
pub struct RecordedResponse {
    /// The HTTP status.
    pub status: u16,
    /// The headers kept by the recorder.
    pub headers: BTreeMap<String, String>,
    /// How the body is framed.
    pub form: Form,
    /// The body: a stream's bytes exactly, a JSON body as the recorder laid it out.
    pub body: Bytes,
}

/// How a recorded body is framed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// One JSON value.
    Json,
    /// Server-sent events.
    Sse,
    /// One JSON value per line.
    Ndjson,
    /// Anything else, such as audio or AWS event streams.
    Binary,
}

#[derive(Deserialize)]
struct File {
    provider: String,
    api: String,
    case: String,
    model: Option<String>,
    #[serde(default)]
    tags: Vec<String>,
    request: FileRequest,
    response: FileResponse,
}

#[derive(Deserialize)]
struct FileRequest {
    method: String,
    path: Option<String>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    body: Option<Box<RawValue>>,
}

#[derive(Deserialize)]
struct FileResponse {
    status: u16,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    body: Option<Box<RawValue>>,
    sse: Option<String>,
    ndjson: Option<String>,
    body_base64: Option<String>,
}

impl Form {
    /// The content type to serve it with when the recorder kept none.
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Form::Json => "application/json",
            Form::Sse => "text/event-stream",
            Form::Ndjson => "application/x-ndjson",
            Form::Binary => "application/octet-stream",
        }
    }
}

impl Recording {
    /// Reads one file.
    ///
    /// # Errors
    /// When it is not a recording; names the file.
    pub fn load(file: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
        Self::parse(file, &text).with_context(|| format!("{} is not a recording", file.display()))
    }

    fn parse(file: &Path, text: &str) -> Result<Self> {
        let read: File = serde_json::from_str(text)?;
        let request = RecordedRequest {
            method: read.request.method,
            path: read.request.path,
            headers: read.request.headers,
            body: read.request.body.map(|raw| Bytes::from(String::from(Box::<str>::from(raw)))),
        };
        let response = response(read.response)?;
        let file = file.to_owned();
        Ok(Self {
            file,
            provider: read.provider,
            api: read.api,
            case: read.case,
            model: read.model,
            tags: read.tags,
            request,
            response,
        })
    }

    /// Every recording under a folder, sorted by file; files named `INDEX.json` are skipped.
    ///
    /// # Errors
    /// When the folder or one of its files cannot be read.
    pub fn load_all(folder: &Path) -> Result<Vec<Self>> {
        let mut files = Vec::new();
        collect(folder, DEPTH_MAX, &mut files)?;
        files.sort();
        files.iter().map(|file| Self::load(file)).collect()
    }

    /// Whether it is tagged so.
    #[must_use]
    pub fn has_tag(&self, tag: &str) -> bool {
        self.tags.iter().any(|have| have == tag)
    }

    /// `provider/api/case`, for messages.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}/{}/{}", self.provider, self.api, self.case)
    }
}

/// The folder of recordings beside the project: `BH_RECORDINGS`, or `../shared/recordings`. `None`, with a line that
/// says so, where there is none: tests then have nothing to show and pass.
#[must_use]
pub fn shared_folder() -> Option<PathBuf> {
    let beside = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/recordings");
    let folder = std::env::var_os("BH_RECORDINGS").map_or(beside, PathBuf::from);
    if folder.is_dir() {
        return Some(folder);
    }
    announce_missing(&folder);
    None
}

#[expect(clippy::print_stderr, reason = "a test that shows nothing must say so")]
fn announce_missing(folder: &Path) {
    eprintln!("no recordings at {}: nothing is shown by this test", folder.display());
}

fn response(read: FileResponse) -> Result<RecordedResponse> {
    let (form, body) = if let Some(sse) = read.sse {
        (Form::Sse, Bytes::from(sse))
    } else if let Some(ndjson) = read.ndjson {
        (Form::Ndjson, Bytes::from(ndjson))
    } else if let Some(base64) = read.body_base64 {
        (Form::Binary, Bytes::from(decode_base64(&base64)?))
    } else {
        (Form::Json, read.body.map_or_else(Bytes::new, |raw| Bytes::from(String::from(Box::<str>::from(raw)))))
    };
    Ok(RecordedResponse { status: read.status, headers: read.headers, form, body })
}

fn collect(folder: &Path, depth_left: usize, files: &mut Vec<PathBuf>) -> Result<()> {
    if depth_left == 0 {
        bail!("{} is nested too deep", folder.display());
    }
    for entry in std::fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, depth_left - 1, files)?;
        } else if path.extension().is_some_and(|ext| ext == "json")
            && path.file_name().is_some_and(|n| n != "INDEX.json")
        {
            files.push(path);
        }
    }
    Ok(())
}

fn decode_base64(text: &str) -> Result<Vec<u8>> {
    STANDARD.decode(text).context("body_base64 is not base64")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(response: &str, form: Form, body: &[u8]) {
        let text = format!(
            r#"{{"provider":"p","api":"a","case":"c","request":{{"method":"POST","path":null,"body":{{"b":1,  "a":1.0}}}},
               "response":{{"status":200,{response}}}}}"#
        );
        let recording = Recording::parse(Path::new("x"), &text).unwrap();
        assert_eq!((recording.response.form, &recording.response.body[..]), (form, body));
        assert_eq!(recording.request.body.as_deref(), Some(&br#"{"b":1,  "a":1.0}"#[..]), "order and numbers stay");
    }

    #[test]
    fn a_body_keeps_its_bytes_in_every_form() {
        check(r#""sse":"data: {}\r\n\r\n""#, Form::Sse, b"data: {}\r\n\r\n");
        check(r#""body":{"z":1,"a":2.50}"#, Form::Json, br#"{"z":1,"a":2.50}"#);
        check(r#""ndjson":"{}\n{}\n""#, Form::Ndjson, b"{}\n{}\n");
        check(r#""body_base64":"/wA=""#, Form::Binary, &[0xff, 0]);
    }

    #[test]
    fn every_shared_recording_loads() {
        let Some(folder) = shared_folder() else { return };
        let all = Recording::load_all(&folder).unwrap();
        assert!(200 < all.len(), "{} recordings", all.len());
        assert!(all.iter().any(|recording| recording.response.form == Form::Sse));
    }

    #[test]
    fn a_file_that_is_no_recording_is_named() {
        let error = Recording::load(Path::new("/nonexistent/x.json")).unwrap_err();
        assert!(error.to_string().contains("/nonexistent/x.json"));
    }
}
