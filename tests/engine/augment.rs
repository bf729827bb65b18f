//! What must hold for changes to any text, and how long the neighbours of words take to find.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::time::Instant;

use ecommerce_ml_text_train::recipe::augment::{AugmentationKey, Augmenter, Changes, Synonyms};
use ecommerce_ml_training::random::SplitMix64;
use proptest::prelude::*;

fn share() -> impl Strategy<Value = f64> {
    prop_oneof![Just(0.0), Just(1.0), 0.0..1.0]
}

fn changes() -> impl Strategy<Value = Changes> {
    [share(), share(), share(), share(), share(), share()].prop_map(
        |[duplicate, synonym, word_drop, word_swap, noise, back_translation]| Changes {
            duplicate,
            synonym,
            synonym_table: true,
            word_drop,
            word_swap,
            noise,
            back_translation,
        },
    )
}

/// Words of several scripts, marks, emoji, blanks and controls.
fn text() -> impl Strategy<Value = String> {
    prop_oneof!["\\PC{0,40}", "[a-zA-Z ,.!']{1,60}", "[很好吃不 e\u{301}👍🏽\u{200d}\n\ta-c]{1,30}"]
}

fn table() -> impl Strategy<Value = Vec<(String, String)>> {
    proptest::collection::vec(("[a-c]{1,2}", "\\PC{0,5}"), 0..9)
}

fn key() -> impl Strategy<Value = AugmentationKey> {
    (any::<u64>(), any::<u32>(), any::<u32>()).prop_map(|(row, copy, epoch)| AugmentationKey {
        row,
        copy,
        epoch,
    })
}

fn has_word(text: &str) -> bool {
    text.contains(char::is_alphanumeric)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_becomes_empty(
        changes in changes(), table in table(), seed: u64, text in text(), key in key(),
        others in proptest::collection::vec(text(), 0..3),
    ) {
        let others: Vec<String> = others.into_iter().filter(|other| !other.trim().is_empty()).collect();
        let augmenter = Augmenter::new(changes, seed, Synonyms::table(table));
        let changed = augmenter.text(&text, &others, key);
        if !text.trim().is_empty() {
            prop_assert!(!changed.trim().is_empty());
        }
        if has_word(&text) && others.is_empty() && !augmenter.changes_texts() {
            prop_assert_eq!(&*changed, &text);
        }
        prop_assert_eq!(&changed, &augmenter.clone().text(&text, &others, key));
    }

    #[test]
    fn without_probability_nothing_changes(table in table(), seed: u64, text in text(), key in key()) {
        let changes = Changes { noise: f64::MIN_POSITIVE, ..Changes::default() };
        let augmenter = Augmenter::new(changes, seed, Synonyms::table(table));
        prop_assert_eq!(augmenter.text(&text, &[], key), text.as_str());
    }

    #[test]
    fn the_order_of_a_table_makes_no_difference(mut table in table(), text in text(), key in key()) {
        let changes = Changes { synonym: 0.5, synonym_table: true, ..Changes::default() };
        let before = Augmenter::new(changes.clone(), 1, Synonyms::table(table.clone()));
        table.reverse();
        let after = Augmenter::new(changes, 1, Synonyms::table(table));
        prop_assert_eq!(before.text(&text, &[], key), after.text(&text, &[], key));
    }

    #[test]
    fn no_class_is_scarcer_than_was_asked_for(share in share(), classes in proptest::collection::vec(0..6_u32, 0..80)) {
        let changes = Changes { duplicate: share, ..Changes::default() };
        let examples = Augmenter::new(changes, 3, Synonyms::default()).examples(&classes);
        let (mut before, mut after) = (BTreeMap::<u32, usize>::new(), BTreeMap::<u32, usize>::new());
        classes.iter().for_each(|class| *before.entry(*class).or_default() += 1);
        examples.iter().for_each(|example| *after.entry(classes[example.row]).or_default() += 1);
        let largest = before.values().copied().max().unwrap_or(0);
        for (class, &count) in &after {
            let wanted = largest as f64 * share;
            prop_assert!(count as f64 >= wanted - 1e-6 && count >= before[class]);
            prop_assert!(count == before[class] || (count as f64) < wanted + 1.0);
        }
    }
}

/// `cargo test --release --test augment -- --ignored --nocapture`
#[test]
#[ignore = "a measurement"]
fn time_of_neighbours() {
    let mut random = SplitMix64::new(1);
    let letter = |number: usize| char::from(b'a' + (number % 26) as u8);
    let pieces: Vec<String> = (0..30_522)
        .map(|number| [number, number / 26, number / 676, number / 17_576].map(letter).iter().collect())
        .collect();
    let embeddings: Vec<f32> = (0..pieces.len() * 384).map(|_| random.below(2000) as f32 - 999.5).collect();
    for words in [1000, 5000, 30_522] {
        let text = pieces[..words].join(" ");
        let start = Instant::now();
        let found = Synonyms::nearest([text.as_str()], &pieces, &embeddings);
        println!("{words} words: {:.0?}, {} with neighbours", start.elapsed(), found.len());
    }
    let augmenter = Augmenter::new(
        Changes { synonym: 0.1, word_drop: 0.1, word_swap: 0.1, noise: 0.02, ..Changes::default() },
        1,
        Synonyms::default(),
    );
    let text = pieces[..100].join(" ");
    let start = Instant::now();
    for row in 0..1000 {
        augmenter.text(&text, &[], AugmentationKey { row, copy: 0, epoch: 0 });
    }
    println!("a text of 100 words: {:.0?}", start.elapsed() / 1000);
}
