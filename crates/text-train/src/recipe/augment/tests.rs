//! Examples of each change, and what never changes.

use super::*;

fn augmenter(changes: Changes) -> Augmenter {
    let pairs = [("good", "great"), ("good", "fine"), ("phone", "telephone"), ("good", "Good"), (" ", "x")];
    let pairs = pairs.map(|(word, synonym)| (word.to_owned(), synonym.to_owned()));
    Augmenter::new(changes, 42, Synonyms::table(pairs))
}

fn key(row: u64) -> AugmentationKey {
    AugmentationKey { row, copy: 0, epoch: 0 }
}

/// What one text becomes in some rows.
fn several(changes: Changes, text: &str) -> Vec<String> {
    let augmenter = augmenter(changes);
    (0..200).map(|row| augmenter.text(text, &[], key(row)).into_owned()).collect()
}

#[test]
fn words_are_those_of_unicode() {
    let words = |text| Words::of(text).words.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(words("I don't like it, 3.5/5!"), ["I", "don't", "like", "it", "3.5", "5"]);
    assert_eq!(words("很好吃"), ["很", "好", "吃"]);
    assert_eq!(words("!!! 👍🏽 ..."), [""; 0]);
}

#[test]
fn texts_never_change() {
    let all = Changes {
        synonym: 0.5,
        synonym_table: true,
        word_drop: 0.2,
        word_swap: 0.2,
        noise: 0.05,
        ..Changes::default()
    };
    let text = "A good phone, good battery. It isn't cheap, but good phones never are!";
    let augmenter = augmenter(all);
    let epochs = [0, 1]
        .map(|epoch| augmenter.text(text, &[], AugmentationKey { row: 7, copy: 0, epoch }).into_owned());
    assert_eq!(epochs, CHANGED);
}

/// Written down once; a change would give every seed another meaning.
const CHANGED: [&str; 2] = [
    "A good phone, battery. phones, but good sn't never are!",
    "phones It, ogod are. phonte battery, but A never ood!",
];

#[test]
fn nothing_to_change_costs_nothing() {
    let same = augmenter(Changes::default());
    assert!(!same.changes_texts());
    assert!(matches!(same.text(" as it is ", &[], key(1)), Cow::Borrowed(" as it is ")));
    let drops = augmenter(Changes { word_drop: 1.0, ..Changes::default() });
    assert!(matches!(drops.text("?! 👍", &[], key(1)), Cow::Borrowed("?! 👍")));
}

#[test]
fn synonyms_take_over_the_case() {
    let changes = Changes { synonym: 1.0, synonym_table: true, ..Changes::default() };
    let texts = several(changes, "good Good GOOD phone's PHONE");
    assert!(texts.contains(&"great Fine GREAT phone's TELEPHONE".to_owned()), "{texts:?}");
    assert!(texts.iter().all(|text| !text.to_lowercase().contains("good")));
}

#[test]
fn what_is_left_out_leaves_no_gap() {
    let texts = several(Changes { word_drop: 0.5, ..Changes::default() }, "Not good, but (very) cheap");
    for expected in ["Not, but () cheap", "good, but (very)", ", () cheap", "Not good, but (very) cheap"] {
        assert!(texts.iter().any(|text| text.trim() == expected), "{expected}: {texts:?}");
    }
    let texts = several(Changes { word_drop: 1.0, ..Changes::default() }, "很 好吃");
    assert!(texts.iter().all(|text| text.trim().chars().count() == 1), "{texts:?}");
}

#[test]
fn swapped_words_are_all_there() {
    let texts = several(Changes { word_swap: 0.3, ..Changes::default() }, "one, two; three four");
    let sorted = |text: &str| {
        let mut words: Vec<String> = Words::of(text).words.iter().map(ToString::to_string).collect();
        words.sort();
        words
    };
    assert!(texts.iter().all(|text| sorted(text) == ["four", "one", "three", "two"]));
    assert!(texts.contains(&"three, two; one four".to_owned()));
}

#[test]
fn slips_are_of_four_kinds() {
    let texts = several(Changes { noise: 0.2, ..Changes::default() }, "abcd 12");
    for expected in ["bbcd 12", "acd 12", "abccd 12", "bacd 12"] {
        assert!(texts.iter().any(|text| text == expected), "{expected}: {texts:?}");
    }
    assert!(texts.iter().all(|text| text.ends_with(" 12")));
    let accents = several(Changes { noise: 0.5, ..Changes::default() }, "e\u{301}a");
    assert!(accents.contains(&"ae\u{301}".to_owned()), "{accents:?}");
    assert!(accents.iter().all(|text| !text.starts_with('\u{301}') && !text.contains("a\u{301}")));
}

#[test]
fn paraphrases_come_as_often_as_they_should() {
    let augmenter = augmenter(Changes { back_translation: 0.1, ..Changes::default() });
    let others = ["one".to_owned(), "two".to_owned()];
    let texts: Vec<_> = (0..2000).map(|row| augmenter.text("text", &others, key(row))).collect();
    let count = |wanted: &str| texts.iter().filter(|text| **text == wanted).count();
    assert!(["one", "two", "text"].iter().all(|wanted| count(wanted).abs_diff(667) < 90));
    assert_eq!(augmenter.text("text", &[], key(1)), "text");
}

#[test]
fn scarce_classes_are_repeated() {
    let classes = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 2];
    let examples = augmenter(Changes { duplicate: 0.5, ..Changes::default() }).examples(&classes);
    let of = |class| examples.iter().filter(|example| classes[example.row] == class).count();
    assert_eq!([of(0), of(1), of(2)], [10, 5, 5]);
    let copies = |row| examples.iter().filter(move |example| example.row == row).map(|example| example.copy);
    assert_eq!(copies(13).collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
    assert!((10..13).all(|row| copies(row).count() <= 2));
    assert_eq!(augmenter(Changes::default()).examples(&classes).len(), classes.len());
    assert!(augmenter(Changes { duplicate: 1.0, ..Changes::default() }).examples(&[]).is_empty());
}

#[test]
fn neighbours_are_whole_words_that_lie_close() {
    let pieces = ["[PAD]", "good", "##good", "great", "Good", "bad", "x", "the"];
    let embeddings = [
        0.0, 0.0, 1.0, // [PAD]
        1.0, 0.1, 0.0, // good
        1.0, 0.1, 0.0, // ##good
        0.9, 0.2, 0.0, // great
        1.0, 0.1, 0.0, // Good
        -1.0, 0.0, 0.2, // bad
        1.0, 0.1, 0.0, // x
        -1.0, -0.5, 0.0, // the
    ];
    let found = Synonyms::nearest(["GOOD x, bad", "something else"], &pieces, &embeddings);
    assert_eq!((found.all("good"), found.all("x")), (&["great".to_owned()][..], &[][..]));
    assert!(!found.all("bad").iter().any(|other| other == "good" || other == "great"));
    assert!(Synonyms::nearest(["good"], &[] as &[&str], &[]).is_empty());
}
