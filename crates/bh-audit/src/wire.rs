//! How ids, money and usage of lower crates look in a record. They have no serde of their own, on purpose.

use bh_base::Usage;
use serde::{Deserialize, Serialize};

/// Serde of ids that print and parse one text form: a prefix and lower-case hex. Written by hand because every record
/// has them and their `Display` formats digit by digit.
macro_rules! as_hex {
    ($module:ident, $type:path, $prefix:literal, $bytes:literal) => {
        pub(crate) mod $module {
            use serde::de::Error as _;
            use serde::{Deserialize, Deserializer, Serializer};

            const LEN: usize = $prefix.len() + 2 * $bytes;

            #[expect(clippy::ref_option, reason = "the signature serde asks for")]
            pub(crate) fn serialize<S: Serializer>(value: &Option<$type>, serializer: S) -> Result<S::Ok, S::Error> {
                let Some(value) = value else {
                    return serializer.serialize_none();
                };
                let mut text = [0; LEN];
                text[..$prefix.len()].copy_from_slice($prefix.as_bytes());
                crate::hash::write_hex(&value.0, &mut text[$prefix.len()..]);
                serializer.serialize_str(std::str::from_utf8(&text).expect("a prefix and hex digits are ASCII"))
            }

            pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<$type>, D::Error> {
                let text = Option::<std::borrow::Cow<'_, str>>::deserialize(deserializer)?;
                text.map(|text| <$type>::parse(&text).map_err(D::Error::custom)).transpose()
            }
        }
    };
}
as_hex!(request_id, bh_base::RequestId, "req_", 16);
as_hex!(token_id, bh_base::TokenId, "", 32);

/// Money as whole nano-dollars.
pub(crate) mod nano_usd {
    use bh_base::NanoUsd;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(value: &NanoUsd, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(value.0)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<NanoUsd, D::Error> {
        u64::deserialize(deserializer).map(NanoUsd)
    }
}

/// Money as whole nano-dollars, where there may be none to speak of.
pub(crate) mod nano_usd_opt {
    use bh_base::NanoUsd;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[expect(clippy::ref_option, reason = "the signature serde asks for")]
    pub(crate) fn serialize<S: Serializer>(value: &Option<NanoUsd>, serializer: S) -> Result<S::Ok, S::Error> {
        value.map(|money| money.0).serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<NanoUsd>, D::Error> {
        Ok(Option::<u64>::deserialize(deserializer)?.map(NanoUsd))
    }
}

/// Usage buckets by their names; empty ones are left out.
pub(crate) mod usage_opt {
    use bh_base::Usage;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::UsageText;

    #[expect(clippy::ref_option, reason = "the signature serde asks for")]
    pub(crate) fn serialize<S: Serializer>(value: &Option<Usage>, serializer: S) -> Result<S::Ok, S::Error> {
        value.map(UsageText::from).serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Usage>, D::Error> {
        Ok(Option::<UsageText>::deserialize(deserializer)?.map(Usage::from))
    }
}

#[derive(Serialize, Deserialize)]
pub(crate) struct UsageText {
    #[serde(default, skip_serializing_if = "is_zero")]
    input_uncached: u64,
    #[serde(default, skip_serializing_if = "is_zero")]
    cache_read: u64,
    #[serde(default, skip_serializing_if = "is_zero")]
    cache_write_5m: u64,
    #[serde(default, skip_serializing_if = "is_zero")]
    cache_write_1h: u64,
    #[serde(default, skip_serializing_if = "is_zero")]
    output: u64,
    #[serde(default, skip_serializing_if = "is_zero")]
    reasoning: u64,
    #[serde(default, skip_serializing_if = "is_zero")]
    audio_input: u64,
    #[serde(default, skip_serializing_if = "is_zero")]
    audio_output: u64,
    #[serde(default, skip_serializing_if = "is_zero")]
    image_input: u64,
    #[serde(default, skip_serializing_if = "is_zero")]
    web_searches: u64,
}

impl From<Usage> for UsageText {
    fn from(usage: Usage) -> Self {
        // Taken apart by name, so that a new bucket does not compile until it is recorded.
        let Usage {
            input_uncached,
            cache_read,
            cache_write_5m,
            cache_write_1h,
            output,
            reasoning,
            audio_input,
            audio_output,
            image_input,
            web_searches,
        } = usage;
        UsageText {
            input_uncached,
            cache_read,
            cache_write_5m,
            cache_write_1h,
            output,
            reasoning,
            audio_input,
            audio_output,
            image_input,
            web_searches,
        }
    }
}

impl From<UsageText> for Usage {
    fn from(text: UsageText) -> Self {
        Usage {
            input_uncached: text.input_uncached,
            cache_read: text.cache_read,
            cache_write_5m: text.cache_write_5m,
            cache_write_1h: text.cache_write_1h,
            output: text.output,
            reasoning: text.reasoning,
            audio_input: text.audio_input,
            audio_output: text.audio_output,
            image_input: text.image_input,
            web_searches: text.web_searches,
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature serde asks for")]
pub(crate) const fn is_zero(value: &u64) -> bool {
    *value == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature serde asks for")]
pub(crate) const fn is_false(value: &bool) -> bool {
    !*value
}
