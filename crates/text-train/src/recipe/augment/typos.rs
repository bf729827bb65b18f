//! Slips of the fingers.
//!
//! A letter is a grapheme cluster (UAX #29) that begins with one, so that accents stay with it; digits are facts and
//! stay right. Invariant: no word loses its last letter.

use std::borrow::Cow;

use unicode_segmentation::UnicodeSegmentation;

use super::words::Words;
use ecommerce_ml_training::random::SplitMix64;

/// Mistypes letters of some words, each with this probability.
pub(super) fn make(words: &mut Words<'_>, random: &mut SplitMix64, probability: f64) {
    if probability <= 0.0 {
        return;
    }
    let all: Vec<String> =
        words.words.iter().flat_map(|word| word.graphemes(true)).map(str::to_owned).collect();
    let letters: Vec<&str> = all.iter().map(String::as_str).filter(|cluster| is_letter(cluster)).collect();
    for word in &mut words.words {
        let clusters: Vec<&str> = word.graphemes(true).collect();
        let typed = mistyped(&clusters, &letters, random, probability);
        *word = Cow::Owned(typed.concat());
    }
}

fn is_letter(cluster: &str) -> bool {
    cluster.starts_with(char::is_alphabetic)
}

/// One of Damerau's four errors at some letters; `letters` are those that may come in by mistake.
fn mistyped<'a>(
    clusters: &[&'a str],
    letters: &[&'a str],
    random: &mut SplitMix64,
    probability: f64,
) -> Vec<&'a str> {
    let mut typed = Vec::with_capacity(clusters.len() + 1);
    let mut ahead = clusters.iter().copied().peekable();
    while let Some(cluster) = ahead.next() {
        let slips = is_letter(cluster) && random.chance(probability);
        let (error, wrong) = match slips {
            true => (random.below(4), letters.get(random.below(letters.len())).copied().unwrap_or(cluster)),
            false => (usize::MAX, cluster),
        };
        match error {
            0 => typed.push(wrong),
            // The only letter of a word stays.
            1 if !typed.is_empty() || ahead.peek().is_some() => {}
            2 => typed.extend([cluster, wrong]),
            3 => {
                typed.extend(ahead.next_if(|next| is_letter(next)));
                typed.push(cluster);
            }
            _ => typed.push(cluster),
        }
    }
    if typed.is_empty() { clusters.to_vec() } else { typed }
}
