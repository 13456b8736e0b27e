//! Objects as lists of borrowed fields: taken one by one, the rest kept as they were written.

use std::borrow::Cow;
use std::fmt;

use bh_chat::{Extra, Json};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// The fields of one JSON object in their order; values are borrowed text. Known fields are taken out by name, and
/// what nobody took is [`Fields::rest`]. The body has passed `strict::check`, so no name comes twice.
#[derive(Debug, Default)]
pub(crate) struct Fields<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'a> Fields<'a> {
    /// The fields of an object; `None` when the text is something else.
    pub(crate) fn parse(text: &'a str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    /// Takes a field out, whatever its value, `null` included.
    pub(crate) fn take(&mut self, name: &str) -> Option<&'a str> {
        let at = self.0.iter().position(|(key, _)| key == name)?;
        Some(self.0.remove(at).1.get())
    }

    /// Looks at a field and leaves it.
    pub(crate) fn peek(&self, name: &str) -> Option<&'a str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.get())
    }

    /// Takes a field out if `read` understands its value; otherwise it stays for [`Fields::rest`].
    pub(crate) fn take_if<T>(&mut self, name: &str, read: impl FnOnce(&'a str) -> Option<T>) -> Option<T> {
        let value = read(self.peek(name)?)?;
        self.take(name);
        Some(value)
    }

    /// Takes a string out; any other value stays.
    pub(crate) fn take_string(&mut self, name: &str) -> Option<String> {
        self.take_if(name, string)
    }

    /// Takes a number out that is a whole number of at most 64 bits; any other value stays.
    pub(crate) fn take_u64(&mut self, name: &str) -> Option<u64> {
        self.take_if(name, |text| serde_json::from_str(text).ok())
    }

    /// Takes `true` or `false` out; any other value stays.
    pub(crate) fn take_bool(&mut self, name: &str) -> Option<bool> {
        self.take_if(name, |text| serde_json::from_str(text).ok())
    }

    /// Takes any value out that is not `null`.
    pub(crate) fn take_json(&mut self, name: &str) -> Option<Json> {
        self.take_if(name, |text| (text != "null").then(|| Json(text.into())))
    }

    /// What nobody took, in order.
    pub(crate) fn rest(self) -> Vec<Extra> {
        self.0.into_iter().map(|(name, value)| Extra { name: name.into(), value: Json(value.get().into()) }).collect()
    }
}

/// The text of a JSON string; `None` when it is something else.
pub(crate) fn string(text: &str) -> Option<String> {
    serde_json::from_str(text).ok()
}

/// The elements of a JSON array as borrowed text; `None` when it is something else.
pub(crate) fn elements(text: &str) -> Option<Vec<&RawValue>> {
    serde_json::from_str(text).ok()
}

impl<'de: 'a, 'a> Deserialize<'de> for Fields<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Fields<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut fields = Vec::with_capacity(map.size_hint().unwrap_or(8));
                while let Some(key) = map.next_key::<Name<'de>>()? {
                    fields.push((key.0, map.next_value()?));
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(Collect)
    }
}

/// A key, borrowed where it has no escapes.
#[derive(serde::Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);
