#![allow(clippy::single_range_in_vec_init, reason = "a text has one unknown piece, not a run of them")]

use super::*;

fn known(names: &[&str]) -> KnownScripts {
    KnownScripts { scripts: Some(names.iter().map(|name| Script::named(name).unwrap()).collect()) }
}

fn english(text: &str) -> bool {
    known(&["Latin"]).can_read(text, &[])
}

#[test]
fn ranges_ascend_and_letters_find_theirs() {
    assert!(RANGES.windows(2).all(|pair| pair[0].1 < pair[1].0));
    let script = |letter| Script::of(letter).map(Script::name);
    for (letters, name) in [
        ("azAZéßøŁệﬁＡ", "Latin"),
        ("λΩἀ", "Greek"),
        ("жЯґ", "Cyrillic"),
        ("של", "Hebrew"),
        ("عﷺ", "Arabic"),
        ("हिंदी", "Devanagari"),
        ("ไทย", "Thai"),
        ("好々〆𠀀", "Han"),
        ("のゝ", "Hiragana"),
        ("カーｶ", "Katakana"),
        ("한ᄒㅎ", "Hangul"),
        ("ქ", "Georgian"),
        ("ሀ", "Ethiopic"),
    ] {
        letters.chars().filter(|letter| letter.is_alphabetic()).for_each(|letter| {
            assert_eq!(script(letter), Some(name), "{letter} of {letters}");
        });
    }
    assert_eq!(script('𐎀'), Some("Unknown"));
    for none in ['1', '٣', ' ', '.', '😀', '★', '\u{301}', 'ª', '𝓖', 'ⓐ', '，', '\u{fe0f}'] {
        assert_eq!(script(none), None, "{none}");
    }
    // Any character at all has an answer.
    assert!(('\0'..=char::MAX).filter(|&c| Script::of(c).is_some()).count() > 100_000);
}

#[test]
fn a_text_in_letters_that_were_not_learned_is_unreadable() {
    for text in
        ["good", "Très déçu, ça ne marche pas", "ok 👍", "", "!!!", "5/5", "10", "😀", "★★★★★", "𝓖𝓻𝓮𝓪𝓽", "Q"]
    {
        assert!(english(text), "{text}");
    }
    for text in [
        "质量很好",
        "非常差劲，不推荐！",
        "отличный товар",
        "منتج رائع",
        "とても良い",
        "최고예요",
        "ดีมาก",
        "κακό",
    ] {
        assert!(!english(text), "{text}");
    }
    // Mostly one or the other, weighted by what a letter says.
    assert!(english("Great phone, my wife says 很好"));
    assert!(!english("iPhone 手机很好，物流也快"));
    assert!(english("half of полови"), "half is read");
    assert!(!english("hal of половин"));
    let both = known(&["Latin", "Han"]);
    assert!(both.can_read("iPhone 手机很好", &[]) && both.can_read("质量很好", &[]));
    assert!(!both.can_read("отличный товар", &[]));
    assert!(KnownScripts::default().can_read("отличный товар", &[]));
}

#[test]
fn what_the_vocabulary_lacks_is_not_read() {
    let scripts = known(&["Latin"]);
    // Bytes of unknown pieces.
    assert!(!scripts.can_read("😡", &[0..4]));
    assert!(!scripts.can_read("😡!!!", &[0..4]));
    assert!(scripts.can_read("Great 😡😡", &[6..14]));
    assert!(scripts.can_read("10 😡", &[3..7]), "two of three signs are read");
    assert!(!scripts.can_read("😡 😡 1", &[0..4, 5..9]));
    assert!(!scripts.can_read("zzzz ok", &[0..4]));
    assert!(scripts.can_read("zzzz okay", &[0..4]));
    let everything = KnownScripts::default();
    assert!(!everything.can_read("质量很好", &[0..12]) && everything.can_read("质量很好", &[0..6]));
    // Ranges that lie elsewhere do no harm.
    let odd = Range { start: 9, end: 2 };
    assert!(scripts.can_read("good", &[odd, 90..99]));
}

#[test]
fn a_vocabulary_reads_the_scripts_that_it_has_words_of() {
    let names = |pieces: &[&str]| KnownScripts::of_vocabulary(pieces.iter().copied()).names();
    let latin = ["the", "##ing", "very", "a", "b", "я", "##ж", "好", "[CLS]", "1", "😀"];
    assert_eq!(names(&latin), Some(vec!["Latin"]));
    assert_eq!(names(&["товар", "ый", "the", "я"]), Some(vec!["Cyrillic", "Latin"]));
    assert_eq!(names(&["1", "!"]), None);
    assert_eq!(names(&[]), None);
    // One by one, if there are enough: the vocabulary of a Chinese BERT.
    let characters: Vec<String> = ('\u{4e00}'..'\u{5400}').map(String::from).collect();
    let pieces = characters.iter().map(String::as_str).chain(["the", "##ing"]);
    assert_eq!(KnownScripts::of_vocabulary(pieces).names(), Some(vec!["Han", "Latin"]));
    let few = characters[..244].iter().map(String::as_str).chain(["the", "##ing"]);
    assert_eq!(KnownScripts::of_vocabulary(few).names(), Some(vec!["Latin"]));
}

#[test]
fn the_built_in_model_reads_latin_letters() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/reviews");
    let vocabulary = std::fs::read_to_string(folder.join("vocab.txt")).unwrap();
    assert_eq!(KnownScripts::of_vocabulary(vocabulary.lines()), known(&["Latin"]));
}

#[test]
fn a_training_teaches_the_script_of_its_texts() {
    let scripts = known(&["Latin"]);
    let texts = |chinese: usize, english: usize| {
        let texts =
            std::iter::repeat_n("物流很快 ok", chinese).chain(std::iter::repeat_n("works well", english));
        scripts.learning_from(texts).names().unwrap()
    };
    assert_eq!(texts(5, 95), ["Han", "Latin"]);
    assert_eq!(texts(4, 96), ["Latin"]);
    assert_eq!(texts(0, 0), ["Latin"]);
    assert_eq!(KnownScripts::default().learning_from(["好"].into_iter()).names(), None);
}

#[test]
fn a_configuration_may_name_them() {
    let of = |json: &str| KnownScripts::of_config(json.as_bytes()).and_then(|scripts| scripts.names());
    assert_eq!(of(r#"{"ecommerce_ml": {"scripts": ["Latin", "Han"]}, "x": 1}"#), Some(vec!["Han", "Latin"]));
    for none in [
        "{}",
        "[",
        r#"{"ecommerce_ml": {}}"#,
        r#"{"ecommerce_ml": {"scripts": []}}"#,
        r#"{"ecommerce_ml": {"scripts": ["Klingon"]}}"#,
        r#"{"ecommerce_ml": {"scripts": "Latin"}}"#,
        r#"{"ecommerce_ml": 7}"#,
    ] {
        assert_eq!(of(none), None, "{none}");
    }
}
