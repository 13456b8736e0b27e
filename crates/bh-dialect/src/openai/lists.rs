//! Lists of models as OpenAI shows them.

use crate::ModelCard;
use crate::write::Writer;

/// See [`crate::models_body`].
pub(crate) fn models_body(cards: &[ModelCard]) -> Vec<u8> {
    let mut out = Vec::with_capacity(64 + cards.len() * 96);
    let mut json = Writer(&mut out);
    json.open();
    json.field("object", "list");
    json.key("data");
    json.open_list();
    cards.iter().for_each(|card| write_card(card, &mut json));
    json.close_list();
    json.close();
    out
}

/// See [`crate::model_body`].
pub(crate) fn model_body(card: &ModelCard) -> Vec<u8> {
    let mut out = Vec::with_capacity(128);
    write_card(card, &mut Writer(&mut out));
    out
}

fn write_card(card: &ModelCard, json: &mut Writer<'_>) {
    json.open();
    json.field("id", &card.id);
    json.field("object", "model");
    json.field_number("created", card.created);
    json.field("owned_by", &card.owned_by);
    json.close();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_has_the_shape_the_sdk_reads() {
        let card = ModelCard { id: "m".into(), owned_by: "o".into(), created: 7, ..ModelCard::default() };
        let one = r#"{"id":"m","object":"model","created":7,"owned_by":"o"}"#;
        assert_eq!(str::from_utf8(&model_body(&card)).unwrap(), one);
        let list = format!(r#"{{"object":"list","data":[{one},{one}]}}"#);
        assert_eq!(str::from_utf8(&models_body(&[card.clone(), card])).unwrap(), list);
        assert_eq!(models_body(&[]), br#"{"object":"list","data":[]}"#);
    }
}
