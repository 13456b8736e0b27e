//! The lists and counts of Anthropic's API.

use crate::ModelCard;
use crate::instant;
use crate::write::Writer;

/// See [`crate::models_body`].
pub(crate) fn models_body(cards: &[ModelCard]) -> Vec<u8> {
    let mut body = Vec::with_capacity(64 + 160 * cards.len());
    let mut json = Writer(&mut body);
    json.open();
    json.key("data");
    json.open_list();
    for card in cards {
        write_card(card, &mut json);
    }
    json.close_list();
    json.key("has_more");
    json.bool(false);
    json.field_or_null("first_id", cards.first().map(|card| card.id.as_str()));
    json.field_or_null("last_id", cards.last().map(|card| card.id.as_str()));
    json.close();
    body
}

/// See [`crate::model_body`].
pub(crate) fn model_body(card: &ModelCard) -> Vec<u8> {
    let mut body = Vec::new();
    write_card(card, &mut Writer(&mut body));
    body
}

/// See [`crate::count_tokens_body`].
pub(crate) fn count_tokens_body(input_tokens: u64) -> Vec<u8> {
    let mut body = Vec::new();
    let mut json = Writer(&mut body);
    json.open();
    json.field_number("input_tokens", input_tokens);
    json.close();
    body
}

fn write_card(card: &ModelCard, json: &mut Writer<'_>) {
    let name = if card.display_name.is_empty() { &card.id } else { &card.display_name };
    json.open();
    json.field("type", "model");
    json.field("id", &card.id);
    json.field("display_name", name);
    json.field("created_at", &instant::to_rfc3339(card.created));
    let prompt = card.context_tokens.map(|context| ("max_input_tokens", context));
    let answer = card.output_tokens_max.map(|most| ("max_tokens", most));
    for (field, tokens) in [prompt, answer].into_iter().flatten() {
        json.field_number(field, tokens);
    }
    json.close();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn card(id: &str) -> ModelCard {
        ModelCard { id: id.into(), created: 1_780_944_425, context_tokens: Some(200_000), ..ModelCard::default() }
    }

    #[test]
    fn the_list_has_the_shape_the_sdk_pages_through() {
        let text = String::from_utf8(models_body(&[card("a"), card("b")])).expect("JSON is text");
        let one = r#""display_name":"a","created_at":"2026-06-08T18:47:05Z","max_input_tokens":200000}"#;
        assert!(text.starts_with(&format!(r#"{{"data":[{{"type":"model","id":"a",{one},{{"#)), "{text}");
        assert!(text.ends_with(r#"],"has_more":false,"first_id":"a","last_id":"b"}"#), "{text}");
        assert!(models_body(&[]).starts_with(br#"{"data":[],"has_more":false,"first_id":null"#));
    }

    #[test]
    fn counts_and_single_models_stand_alone() {
        assert_eq!(count_tokens_body(641), br#"{"input_tokens":641}"#);
        assert!(model_body(&card("a")).starts_with(br#"{"type":"model","id":"a""#));
    }
}
