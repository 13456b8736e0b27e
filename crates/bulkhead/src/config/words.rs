//! Values of the configuration with a form of their own: words of a closed set, dollars, and keys without a feature.

use std::borrow::Cow;

use bh_audit::Durability;
use bh_base::{BudgetMode, HoldMode, NanoUsd, Overage, Window};
use bh_dialect::OnUnsupported;
use bh_policy::Strategy;
use bh_telemetry::LogFormat;
use bh_upstream::Kind;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// Marks, in the schema, a key of the contract whose feature is not built yet (`true`), or lists such words.
pub(super) const NOT_BUILT: &str = "x-not-built";
/// Marks, in the schema, an amount of dollars.
pub(super) const USD: &str = "usd";

/// A key of the contract whose feature is not built yet; there is no value of it.
#[derive(Debug, Clone, Copy)]
pub(crate) enum NotBuilt {}

/// An amount of dollars, written as a number or a decimal string.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Usd(pub(crate) NanoUsd);

/// One word of a closed set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Word<T>(pub(crate) T);

/// A closed set of words.
pub(crate) trait Vocabulary: Copy + 'static {
    /// Words of the contract without a feature behind them: refused by name.
    const NOT_BUILT: &'static [&'static str] = &[];

    /// Every value, in the order people should read them.
    fn all() -> &'static [Self];

    /// The one spelling of a value.
    fn spelling(self) -> &'static str;
}

/// What happens to models without a price; the price itself stands under `pricing.flat`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unpriced {
    /// They are not served.
    Reject,
    /// They cost what `pricing.flat` says.
    Flat,
    /// They are served and cost nothing.
    Allow,
}

/// What the evidence holds of bodies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bodies {
    /// Nothing.
    None,
    /// Salted commitments.
    Commit,
}

macro_rules! vocabulary {
    ($name:ty, $not_built:expr, $all:expr, $spelling:expr) => {
        impl Vocabulary for $name {
            const NOT_BUILT: &'static [&'static str] = $not_built;

            fn all() -> &'static [Self] {
                $all
            }

            fn spelling(self) -> &'static str {
                let spelling: fn(Self) -> &'static str = $spelling;
                spelling(self)
            }
        }
    };
}

vocabulary!(Window, &[], Window::ALL, Window::as_str);
vocabulary!(BudgetMode, &[], BudgetMode::ALL, BudgetMode::as_str);
vocabulary!(HoldMode, &[], HoldMode::ALL, HoldMode::as_str);
vocabulary!(Overage, &[], Overage::ALL, Overage::as_str);
vocabulary!(Durability, &[], &[Durability::Relaxed, Durability::Strict], Durability::as_str);
vocabulary!(
    Strategy,
    &["conditional", "least-latency", "cost-optimized", "complexity", "ab-test", "cache-affinity", "least-used"],
    &[Strategy::Single, Strategy::Fallback, Strategy::Loadbalance],
    Strategy::as_str
);
vocabulary!(
    Kind,
    &[
        "gemini",
        "vertex",
        "bedrock",
        "azure",
        "mistral",
        "cohere",
        "groq",
        "xai",
        "deepseek",
        "fireworks",
        "together",
        "openrouter",
        "perplexity",
        "cerebras",
        "ollama",
    ],
    &[Kind::OpenAi, Kind::Anthropic, Kind::OpenAiCompatible, Kind::Echo],
    Kind::as_str
);
vocabulary!(Unpriced, &[], &[Unpriced::Reject, Unpriced::Flat, Unpriced::Allow], |word| match word {
    Unpriced::Reject => "reject",
    Unpriced::Flat => "flat",
    Unpriced::Allow => "allow",
});
vocabulary!(Bodies, &["store"], &[Bodies::None, Bodies::Commit], |word| match word {
    Bodies::None => "none",
    Bodies::Commit => "commit",
});
vocabulary!(
    OnUnsupported,
    &[],
    &[OnUnsupported::Warn, OnUnsupported::Drop, OnUnsupported::Reject],
    |word| match word {
        OnUnsupported::Warn => "warn",
        OnUnsupported::Drop => "drop",
        OnUnsupported::Reject => "reject",
    }
);
vocabulary!(LogFormat, &[], &[LogFormat::Json, LogFormat::Text], |word| match word {
    LogFormat::Json => "json",
    LogFormat::Text => "text",
});

/// Dollars out of a value as written, or why not.
pub(super) fn dollars(value: &Value) -> Result<NanoUsd, bh_base::InvalidMoney> {
    match value {
        Value::String(text) => NanoUsd::parse_usd(text),
        // A float prints its shortest exact digits, so nothing is rounded that was not rounded by its writer.
        Value::Number(number) => NanoUsd::parse_usd(&match number.as_f64() {
            Some(float) if !number.is_u64() && !number.is_i64() => float.to_string(),
            Some(_) | None => number.to_string(),
        }),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => Err(bh_base::InvalidMoney),
    }
}

impl<'de, T: Vocabulary> Deserialize<'de> for Word<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let word = T::all().iter().copied().find(|word| word.spelling() == text);
        word.map(Word).ok_or_else(|| D::Error::custom("not one of the words"))
    }
}

impl<T: Vocabulary> JsonSchema for Word<T> {
    fn schema_name() -> Cow<'static, str> {
        "Word".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let words: Vec<&str> = T::all().iter().map(|word| word.spelling()).collect();
        if T::NOT_BUILT.is_empty() {
            return json_schema!({ "type": "string", "enum": words });
        }
        json_schema!({ "type": "string", "enum": words, "x-not-built": T::NOT_BUILT })
    }
}

impl<'de> Deserialize<'de> for NotBuilt {
    fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        Err(D::Error::custom("not built yet"))
    }
}

impl JsonSchema for NotBuilt {
    fn schema_name() -> Cow<'static, str> {
        "NotBuilt".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "not": {}, "x-not-built": true })
    }
}

impl<'de> Deserialize<'de> for Usd {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        dollars(&Value::deserialize(deserializer)?).map(Usd).map_err(D::Error::custom)
    }
}

impl JsonSchema for Usd {
    fn schema_name() -> Cow<'static, str> {
        "Usd".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["number", "string"], "format": "usd" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(value: &Value, nano: Option<u64>) {
        assert_eq!(dollars(value).ok(), nano.map(NanoUsd), "{value}");
    }

    #[test]
    fn dollars_are_read_without_rounding() {
        check(&json!(5), Some(5_000_000_000));
        check(&json!(0.1), Some(100_000_000));
        check(&json!("0.000000001"), Some(1));
        check(&json!(0.000_000_001), Some(1));
        check(&json!(-1), None);
        check(&json!(1e300), None);
        check(&json!("five"), None);
        check(&json!(true), None);
    }

    #[test]
    fn strategies_without_code_are_those_of_the_policy() {
        for word in Strategy::NOT_BUILT {
            assert!(matches!(Strategy::parse(word), Err(bh_policy::StrategyError::NotBuiltYet { .. })), "{word}");
        }
    }
}
