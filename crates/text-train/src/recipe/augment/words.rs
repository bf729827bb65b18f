//! A text as words and what lies between them.
//!
//! Words are what UAX #29 (Unicode text segmentation) finds between word boundaries, if it has a letter or a digit:
//! "don't" is one, and so is each character of Chinese. It must not know why a word changes. Invariant: there is one
//! gap more than there are words, and joining what was not changed gives the text.

use std::borrow::Cow;

use unicode_segmentation::UnicodeSegmentation;

use super::synonyms::Synonyms;
use ecommerce_ml_training::random::SplitMix64;

#[derive(Debug, Clone)]
pub(super) struct Words<'a> {
    pub(super) words: Vec<Cow<'a, str>>,
    /// Before the first word, between words, behind the last one.
    gaps: Vec<Cow<'a, str>>,
}

impl<'a> Words<'a> {
    pub(super) fn of(text: &'a str) -> Self {
        let (mut words, mut gaps, mut end) = (Vec::new(), Vec::new(), 0);
        for (start, word) in text.split_word_bound_indices() {
            if word.contains(char::is_alphanumeric) {
                gaps.push(Cow::Borrowed(&text[end..start]));
                words.push(Cow::Borrowed(word));
                end = start + word.len();
            }
        }
        gaps.push(Cow::Borrowed(&text[end..]));
        Self { words, gaps }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    pub(super) fn join(&self) -> String {
        let (first, rest) = self.gaps.split_at(1);
        let pairs = self.words.iter().zip(rest).flat_map(|(word, gap)| [word, gap]);
        first.iter().chain(pairs).map(AsRef::as_ref).collect()
    }

    pub(super) fn replace(&mut self, random: &mut SplitMix64, probability: f64, synonyms: &Synonyms) {
        for word in &mut self.words {
            let (chosen, number) = (random.chance(probability), random.next_u64());
            if let Some(synonym) = synonyms.of(word, number).filter(|_| chosen) {
                *word = Cow::Owned(synonym);
            }
        }
    }

    pub(super) fn swap(&mut self, random: &mut SplitMix64, probability: f64) {
        for place in 0..self.words.len() {
            let other = random.below(self.words.len() - 1);
            if random.chance(probability) && self.words.len() > 1 {
                self.words.swap(place, other + usize::from(other >= place));
            }
        }
    }

    /// Leaves words out, and the blanks that they need no more.
    pub(super) fn drop(&mut self, random: &mut SplitMix64, probability: f64) {
        let mut stays: Vec<bool> = self.words.iter().map(|_| !random.chance(probability)).collect();
        if stays.iter().all(|stays| *stays) {
            return;
        }
        let last = random.below(stays.len());
        stays[last] |= !stays.contains(&true);
        let gaps = std::mem::take(&mut self.gaps);
        let mut gaps = gaps.into_iter();
        let mut gap = gaps.next().unwrap_or_default();
        for ((word, after), stays) in std::mem::take(&mut self.words).into_iter().zip(gaps).zip(stays) {
            if stays {
                self.gaps.push(std::mem::replace(&mut gap, after));
                self.words.push(word);
            } else if self.words.is_empty() && gap.is_empty() {
                gap = Cow::Owned(after.trim_start().to_owned());
            } else if !after.is_empty() {
                gap = Cow::Owned(format!("{}{after}", gap.trim_end()));
            }
        }
        self.gaps.push(gap);
    }
}
