//! Tokenizers against the library's own answers.

use std::path::Path;

use proptest::prelude::*;

use super::*;

/// The tokenizer of the built-in model with another normalizer.
fn with_normalizer(flags: &str) -> Tokenizer {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/reviews");
    let files = ModelFiles::from_directory(&folder).unwrap();
    let config = ModelConfig::load(&files).unwrap();
    let mut files: Vec<(String, Vec<u8>)> =
        files.iter().map(|(name, bytes)| (name.to_owned(), bytes.to_vec())).collect();
    for (_, bytes) in files.iter_mut().filter(|(name, _)| name == "tokenizer.json") {
        let before = r#""clean_text":true,"handle_chinese_chars":true,"strip_accents":null,"lowercase":true"#;
        let text = String::from_utf8_lossy(bytes);
        assert!(text.contains(before));
        *bytes = text.replace(before, flags).into_bytes();
    }
    Tokenizer::load(&ModelFiles::from_parts(files), &config).unwrap()
}

/// Text that is hard on whoever cuts it.
fn awkward_text() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        4 => "[a-zA-Z]{1,8}",
        3 => r"[ \t\n\r]{1,2}",
        2 => r"[!-/:-@\[-`{-~]{1,3}",
        1 => prop::sample::select(vec!["[SEP]", "[MASK]", "[sep]", "[CLS", "[[UNK]]", "[PA\u{0}D]", "##ing", "it's"])
            .prop_map(str::to_owned),
        1 => "[\u{0}-\u{1f}\u{7f}-\u{a0}\u{ad}\u{200b}\u{2028}\u{fffd}]{1,2}",
        1 => "[\u{300}-\u{304}\u{5b0}\u{c0}-\u{17f}\u{130}\u{3a3}\u{1e9e}]{1,3}",
        1 => "[一-三々가-힣あ-お😀-😃،。“”—]{1,3}",
        1 => "(😍|❤|\u{fe0f}|👍🏽|★|☆|⭐|\u{200d}|&#39;|&amp;|&|<br|/>|’){1,4}",
        1 => any::<char>().prop_map(String::from),
    ];
    prop::collection::vec(part, 0..24).prop_map(|parts| parts.concat())
}

#[test]
fn ids_are_those_of_the_text_as_a_whole() {
    let all = [
        r#""clean_text":true,"handle_chinese_chars":true,"strip_accents":null,"lowercase":true"#,
        r#""clean_text":true,"handle_chinese_chars":false,"strip_accents":false,"lowercase":true"#,
        r#""clean_text":false,"handle_chinese_chars":true,"strip_accents":true,"lowercase":false"#,
    ]
    .map(with_normalizer);
    assert!(all.iter().all(|tokenizer| tokenizer.words.is_some()));
    proptest!(ProptestConfig::with_cases(2000), |(text in awkward_text())| {
        for tokenizer in &all {
            // Unknown, and then known.
            for _ in 0..2 {
                prop_assert_eq!(tokenizer.encode(&text).unwrap(), tokenizer.encode_whole(&text).unwrap());
            }
        }
    });
}

#[test]
fn windows_with_places_are_those_without() {
    let tokenizer = with_normalizer(
        r#""clean_text":true,"handle_chinese_chars":true,"strip_accents":null,"lowercase":true"#,
    );
    proptest!(ProptestConfig::with_cases(500), |(text in awkward_text())| {
        let spanned = tokenizer.spanned(&text).unwrap();
        let windows: Vec<Window> = spanned.windows.iter().map(|(window, _)| window.clone()).collect();
        prop_assert_eq!(&windows, &tokenizer.windows(&text).unwrap());
        prop_assert_eq!(spanned.span_of.len(), windows.first().map_or(0, |window| window.content_tokens));
        let length = text.chars().count();
        let mut end = 0;
        for span in &spanned.spans {
            prop_assert!(span.start >= end && span.start + span.length <= length, "{:?}", spanned.spans);
            end = span.start + span.length;
        }
        prop_assert!(spanned.span_of.iter().is_sorted());
    });
}

#[test]
fn places_are_those_of_the_text_as_it_is_written() {
    let tokenizer = with_normalizer(
        r#""clean_text":true,"handle_chinese_chars":true,"strip_accents":null,"lowercase":true"#,
    );
    let text = "Café\r\nécrit en 中文 😀!";
    let spanned = tokenizer.spanned(text).unwrap();
    let part = |span: &Span| text.chars().skip(span.start).take(span.length).collect::<String>();
    let parts: Vec<String> = spanned.spans.iter().map(part).collect();
    assert_eq!(parts.first().map(String::as_str), Some("Café"));
    assert_eq!(parts[parts.len() - 4..], ["中", "文", "😀", "!"]);
    assert_eq!(parts.concat(), text.replace(['\r', '\n', ' '], ""));
}

#[test]
fn the_first_window_is_that_of_the_whole_text() {
    let tokenizer = with_normalizer(
        r#""clean_text":true,"handle_chinese_chars":true,"strip_accents":null,"lowercase":true"#,
    );
    let spaced = "word".to_owned() + &" ".repeat(5000) + &"another, different one; ".repeat(900);
    for text in ["好 ".repeat(3000), "it's \u{200b} fine\n".repeat(400), "x".repeat(9000), spaced] {
        for limit in [8, 60, 512] {
            let window = tokenizer.first_window(&text, limit).unwrap().unwrap();
            let whole = tokenizer.encode_whole(&text).unwrap();
            let room = limit.min(tokenizer.max_length) - tokenizer.special_count();
            assert_eq!(window.ids, tokenizer.surround(&whole[..room.min(whole.len())]), "{limit}");
        }
    }
}

#[test]
fn what_is_in_other_letters_or_not_in_the_vocabulary_is_not_read() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/reviews");
    let files = ModelFiles::from_directory(&folder).unwrap();
    let tokenizer = Tokenizer::load(&files, &ModelConfig::load(&files).unwrap()).unwrap();
    assert_eq!(tokenizer.scripts().names(), Some(vec!["Latin"]));
    let can_read = |text: &str| tokenizer.can_read(text, &tokenizer.windows(text).unwrap()).unwrap();
    for text in [
        "Works well.",
        "Très déçu",
        "Great 😡😡😡😡😡",
        "5/5",
        "!!!",
        "10 €",
        "Works well 很好",
        "",
        "x".repeat(300).as_str(),
    ] {
        assert_eq!(can_read(text), text.len() < 300, "{text}");
    }
    // Single characters of these are in its vocabulary.
    for text in ["日本人", "很好很好,一个人", "и", "отличный товар", "مرحبا", "शानदार", "최고"]
    {
        assert!(!can_read(text), "{text}");
    }
    let long = "отлично. ".repeat(4000) + &"fine ".repeat(9000);
    assert!(can_read(&long) && !can_read(&long[..long.len() / 2]));
    assert!(can_read(&("emoji 🦑 ".repeat(500))));
}

#[test]
fn a_short_text_is_one_window() {
    for tokens in [0, 1, 5, 8] {
        assert_eq!(window_ranges(tokens, 8), std::slice::from_ref(&(0..tokens)));
    }
}

#[test]
fn the_last_window_of_a_long_text_is_as_long_as_the_others() {
    assert_eq!(window_ranges(9, 8), [0..8, 1..9]);
    assert_eq!(window_ranges(15, 8), [0..8, 7..15]);
    assert_eq!(window_ranges(16, 8), [0..8, 7..15, 8..16]);
    assert_eq!(window_ranges(3, 1), [0..1, 1..2, 2..3]);
}
