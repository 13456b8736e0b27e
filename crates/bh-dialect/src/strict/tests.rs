//! What is refused, and what is measured on the way.

use proptest::prelude::*;

use super::*;

fn refusal(body: &str) -> DecodeError {
    check(body.as_bytes()).expect_err(body)
}

#[test]
fn what_parsers_disagree_about_is_refused() {
    assert_eq!(refusal(r#"{"a":1,"b":{"c":1,"c":2}}"#), DecodeError::Duplicate { field: "c".into() });
    assert_eq!(refusal(r#"{"model":1,"m\u006fdel":2}"#), DecodeError::Duplicate { field: "model".into() });
    assert!(matches!(refusal(r#"{"a":1} x"#), DecodeError::Json { at: 8, .. }));
    assert!(matches!(refusal(r#"{"a":1}{"#), DecodeError::Json { at: 7, .. }));
    for bad in [r#""\ud83d""#, r#""\ude00""#, r#""\ud83d\u0041""#, "\"a\nb\"", "01", "1.", "-", "1e", "+1", ".5", "NaN"]
    {
        assert!(matches!(refusal(bad), DecodeError::Json { .. }), "{bad}");
    }
    for bad in ["", " ", "{", "[1,", "[1,]", r#"{"a":1,}"#, r#"{"a" 1}"#, "{a:1}", "'a'", "tru", "nul", r#""\x""#] {
        assert!(matches!(refusal(bad), DecodeError::Json { .. }), "{bad}");
    }
    assert_eq!(check(b"{\"a\":\"\xff\"}"), Err(DecodeError::Utf8 { at: 6 }));
}

#[test]
fn many_fields_are_checked_for_duplicates_and_then_refused() {
    let object = |count: usize, last: &str| {
        let fields: Vec<String> = (0..count).map(|n| format!("\"k{n}\":0")).collect();
        format!("{{{},\"{last}\":0}}", fields.join(","))
    };
    assert_eq!(refusal(&object(20, "k3")), DecodeError::Duplicate { field: "k3".into() });
    assert!(check(object(20, "k20").as_bytes()).is_ok());
    assert!(check(object(OBJECT_FIELDS_MAX - 1, "last").as_bytes()).is_ok());
    assert!(matches!(refusal(&object(OBJECT_FIELDS_MAX, "last")), DecodeError::Json { .. }));
}

#[test]
fn nesting_ends_at_the_limit() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert!(check(nested(JSON_DEPTH_MAX).as_bytes()).is_ok());
    assert!(matches!(refusal(&nested(JSON_DEPTH_MAX + 1)), DecodeError::TooDeep { at: JSON_DEPTH_MAX, .. }));
    assert!(matches!(refusal(&"[".repeat(1_000_000)), DecodeError::TooDeep { .. }));
}

#[test]
fn lookalikes_of_known_names_are_refused() {
    let known = &["model", "stop", "top_k"];
    for name in ["Model", "MODEL", "ſtop", "top_\u{212a}"] {
        assert!(matches!(no_lookalike(name, known), Err(DecodeError::Lookalike { .. })), "{name}");
    }
    for name in ["model", "models", "stop", "x"] {
        assert_eq!(no_lookalike(name, known), Ok(()), "{name}");
    }
}

#[test]
fn sizes_leave_out_keys_and_white_space() {
    let mut reader = Reader::new(br#" { "key" : [ "ab\n" , 12 , true ] } "#).unwrap();
    reader.skip().unwrap();
    assert_eq!(reader.string_bytes, 4);
    assert_eq!(reader.compact_bytes as usize, r#"{"key":["ab\n",12,true]}"#.len());
    assert_eq!(reader.non_ascii_bytes, 0);
}

#[test]
fn text_outside_ascii_is_counted_however_it_is_written() {
    for (text, bytes) in
        [("é", 2), (r"\u00e9", 2), ("語", 3), (r"\u8a9e", 3), ("😀", 4), (r"\ud83d\ude00", 4), (r"\u0041\n", 0)]
    {
        let body = format!("[\"a{text}\"]");
        let mut reader = Reader::new(body.as_bytes()).unwrap();
        reader.skip().unwrap();
        assert_eq!(reader.non_ascii_bytes, bytes, "{text}");
    }
}

proptest! {
    #[test]
    fn the_plain_prefix_ends_at_the_first_special_byte(bytes in proptest::collection::vec(prop_oneof![0x1e..0x24_u8, 0x5a..0x5e_u8, 0x7e..0x82_u8, any::<u8>()], 0..40)) {
        let special = |byte: &u8| *byte < 0x20 || *byte >= 0x80 || matches!(byte, b'"' | b'\\');
        prop_assert_eq!(plain_prefix(&bytes), bytes.iter().position(special).unwrap_or(bytes.len()));
    }

    #[test]
    fn it_accepts_nothing_that_serde_refuses(text in "[\\[\\]{}:,\"\\\\a-cu0-9eE.+ tfn-]{0,24}") {
        if check(text.as_bytes()).is_ok() {
            prop_assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok() || text.contains(['e', 'E']), "{text}");
        }
    }

    #[test]
    fn it_accepts_what_serde_writes(texts in proptest::collection::vec(any::<String>(), 0..6), number: f64) {
        let value = serde_json::json!({ "texts": texts, "n": number, "o": { "x": null, "y": [true, false] } });
        prop_assert_eq!(check(value.to_string().as_bytes()).map(str::len), Ok(value.to_string().len()));
    }
}
