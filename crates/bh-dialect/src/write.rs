//! Writing JSON straight into a buffer.

use bh_chat::{Extra, Json};
use bytes::BytesMut;

/// Appends JSON to a buffer that holds nothing else. Commas are set by looking at the last byte written: no JSON value
/// ends in `{`, `[` or `:`.
#[derive(Debug)]
pub(crate) struct Writer<'a>(pub(crate) &'a mut Vec<u8>);

/// Appends one server-sent event with `json` as its data, and empties `json` for the next one.
pub(crate) fn frame(name: Option<&str>, json: &mut Vec<u8>, out: &mut BytesMut) {
    if let Some(name) = name {
        out.extend_from_slice(b"event: ");
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b"\n");
    }
    // Line ends are only white space between the tokens of JSON, but they would end the event's data.
    json.iter_mut().filter(|byte| matches!(byte, b'\n' | b'\r')).for_each(|byte| *byte = b' ');
    out.extend_from_slice(b"data: ");
    out.extend_from_slice(json);
    out.extend_from_slice(b"\n\n");
    json.clear();
}

impl Writer<'_> {
    /// Opens an object as the next value.
    pub(crate) fn open(&mut self) {
        self.comma();
        self.0.push(b'{');
    }

    /// Closes the innermost object.
    pub(crate) fn close(&mut self) {
        self.0.push(b'}');
    }

    /// Opens an array as the next value.
    pub(crate) fn open_list(&mut self) {
        self.comma();
        self.0.push(b'[');
    }

    /// Closes the innermost array.
    pub(crate) fn close_list(&mut self) {
        self.0.push(b']');
    }

    /// A field's name; its value must follow.
    pub(crate) fn key(&mut self, name: &str) {
        self.comma();
        self.quoted(name);
        self.0.push(b':');
    }

    /// A string as the next value.
    pub(crate) fn string(&mut self, text: &str) {
        self.comma();
        self.quoted(text);
    }

    /// JSON text as the next value, as it is.
    pub(crate) fn raw(&mut self, json: &str) {
        self.comma();
        self.0.extend_from_slice(json.as_bytes());
    }

    /// A whole number as the next value.
    pub(crate) fn number(&mut self, number: u64) {
        self.comma();
        self.0.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
    }

    /// `true` or `false` as the next value.
    pub(crate) fn bool(&mut self, value: bool) {
        self.raw(if value { "true" } else { "false" });
    }

    /// A field with a string.
    pub(crate) fn field(&mut self, name: &str, text: &str) {
        self.key(name);
        self.string(text);
    }

    /// A field with a string or `null`.
    pub(crate) fn field_or_null(&mut self, name: &str, text: Option<&str>) {
        self.key(name);
        match text {
            Some(text) => self.string(text),
            None => self.raw("null"),
        }
    }

    /// A field with a whole number.
    pub(crate) fn field_number(&mut self, name: &str, number: u64) {
        self.key(name);
        self.number(number);
    }

    /// A field with `true` or `false`.
    pub(crate) fn field_bool(&mut self, name: &str, value: bool) {
        self.key(name);
        self.bool(value);
    }

    /// A field with JSON text.
    pub(crate) fn field_json(&mut self, name: &str, json: &Json) {
        self.key(name);
        self.raw(json.as_str());
    }

    /// Fields that travelled through, as they were.
    pub(crate) fn extras(&mut self, extras: &[Extra]) {
        for extra in extras {
            self.field_json(&extra.name, &extra.value);
        }
    }

    fn comma(&mut self) {
        match self.0.last() {
            None | Some(b'{' | b'[' | b':') => {}
            Some(_) => self.0.push(b','),
        }
    }

    fn quoted(&mut self, text: &str) {
        serde_json::to_writer(&mut *self.0, text).expect("writing a string to memory cannot fail");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commas_stand_between_values_and_nowhere_else() {
        let mut out = Vec::new();
        let mut json = Writer(&mut out);
        json.open();
        json.field("a", "x\"[");
        json.key("b");
        json.open_list();
        json.number(1);
        json.bool(true);
        json.open_list();
        json.close_list();
        json.open();
        json.close();
        json.raw("{ }");
        json.close_list();
        json.field_or_null("c", None);
        json.extras(&[Extra { name: "d".into(), value: Json("[:]".into()) }]);
        json.close();
        assert_eq!(str::from_utf8(&out).unwrap(), r#"{"a":"x\"[","b":[1,true,[],{},{ }],"c":null,"d":[:]}"#);
    }

    #[test]
    fn a_frame_is_one_event_whatever_white_space_its_json_has() {
        let mut json = b"{\n\"a\":\r\n1}".to_vec();
        let mut out = BytesMut::new();
        frame(Some("x"), &mut json, &mut out);
        assert_eq!(out, &b"event: x\ndata: { \"a\":  1}\n\n"[..]);
        assert!(json.is_empty());
    }
}
