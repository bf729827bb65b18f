//! The results cache: answers given lately, so that a text that comes again costs no tokenizing and no forward pass.
//!
//! It must not know requests, or how models compute.
//! Invariants: what is kept takes no more memory than it may, tables included; an answer comes out with the bits that
//! went in, and only for the load of a model that gave it.

use std::hash::{BuildHasher, Hash, Hasher, RandomState};
use std::sync::Arc;

use ecommerce_ml_predictor::ModelHandle;
use ecommerce_ml_text_model::{ForwardOutput, TextModel, WindowRow};
use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{DefaultHashBuilder, OptionsBuilder, Weighter};
use siphasher::sip128::{Hasher128, SipHasher24};

/// What a model made of a text.
#[derive(Debug, Clone, Default)]
pub struct CachedAnswer {
    /// A row for each window. None for a blank text.
    pub rows: Arc<[WindowRow]>,
    /// Whether the model was never taught to read such a text.
    pub is_unread: bool,
}

/// A slot of the tables for each so many bytes of memory. Slots are paid for ahead and not by use, because the tables
/// don't shrink: they would still be there when large answers have taken the place of small ones.
const BYTES_PER_SLOT: u64 = 192;

/// Memory of a slot: key, value and links, and its share of a hash table that has just grown.
const SLOT_BYTES: u64 = 80;

/// Of this many slots, one remembers a text whose answer is gone: should it come again, it is kept for longer.
const GHOST_SHARE: u64 = 5;

/// Part of the memory for texts that have come again while they were kept; what has come once passes through the rest.
/// A larger one would be slow to see that a table, or a model, is asked about no more.
const HOT_SHARE: f64 = 0.5;

/// Parts with a lock each. An answer larger than one of them isn't kept.
const SHARDS: u64 = 8;

/// Stands for a text, a load of a model and a kind of output. Equal ones mean equal texts: the 128 bits come out of a
/// hash whose key is secret and new in each process, so nobody can look for two texts that share one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint([u64; 2]);

/// The results cache: answers given lately. Texts that come once, as in a scan of a large table, push out others of
/// their kind, first in first out, and not those that come again and again (the library's policy is S3-FIFO). Answers of
/// a model that is gone are never found again, and so give way like those.
pub struct ResultCache {
    fingerprints: SipHasher24,
    /// `None` if nothing shall be kept.
    kept: Option<Cache<Fingerprint, CachedAnswer, Memory>>,
}

impl ResultCache {
    /// An empty cache that takes up to `bytes` of memory; 0 stands for a cache that keeps nothing.
    pub fn new(bytes: u64) -> Self {
        // What it hashes to is as random as its own key, which it doesn't show.
        let random = RandomState::new();
        let fingerprints = SipHasher24::new_with_keys(random.hash_one(0), random.hash_one(1));
        Self { fingerprints, kept: (bytes > 0).then(|| empty(bytes)).flatten() }
    }

    /// What stands for a text of which this model shall compute this output.
    pub fn fingerprint(
        &self,
        model: &ModelHandle<dyn TextModel>,
        output: ForwardOutput,
        text: &str,
    ) -> Fingerprint {
        let mut hasher = self.fingerprints;
        hasher.write_u64(model.number());
        output.hash(&mut hasher);
        // Last, so that nothing of it can pass for something else.
        hasher.write(text.as_bytes());
        let hash = hasher.finish128();
        Fingerprint([hash.h1, hash.h2])
    }

    /// The answer, if it is kept.
    pub fn get(&self, fingerprint: &Fingerprint) -> Option<CachedAnswer> {
        self.kept.as_ref()?.get(fingerprint)
    }

    /// Keeps an answer for as long as there is room.
    pub fn insert(&self, fingerprint: Fingerprint, answer: &CachedAnswer) {
        if let Some(kept) = &self.kept {
            kept.insert(fingerprint, answer.clone());
        }
    }
}

fn empty(bytes: u64) -> Option<Cache<Fingerprint, CachedAnswer, Memory>> {
    let slots = (bytes / BYTES_PER_SLOT).max(1);
    let answers = (slots - slots / GHOST_SHARE).max(1);
    let room = bytes.saturating_sub(slots * SLOT_BYTES);
    let options = OptionsBuilder::new()
        .weight_capacity(room / SHARDS * SHARDS)
        .estimated_items_capacity(usize::try_from(answers).unwrap_or(usize::MAX))
        .hot_allocation(HOT_SHARE)
        .ghost_allocation(1.0 / (GHOST_SHARE - 1) as f64)
        .shards(SHARDS as usize)
        .build();
    let memory = Memory { least: room / answers };
    let cache = |options| {
        Cache::with_options(options, memory, DefaultHashBuilder::default(), DefaultLifecycle::default())
    };
    // It fails for want of a capacity only.
    options.ok().map(cache)
}

/// Weighs answers by the memory that they take beside their slot.
#[derive(Debug, Clone, Copy)]
struct Memory {
    /// Least weight, so that there are never more answers than slots.
    least: u64,
}

impl Weighter<Fingerprint, CachedAnswer> for Memory {
    fn weight(&self, _: &Fingerprint, answer: &CachedAnswer) -> u64 {
        heap_bytes(answer).max(self.least)
    }
}

fn heap_bytes(CachedAnswer { rows, .. }: &CachedAnswer) -> u64 {
    // Two counts precede the rows.
    let shared = allocated(2 * size_of::<usize>() + size_of_val::<[WindowRow]>(rows));
    shared + rows.iter().map(|row| allocated(size_of_val::<[f32]>(&row.values))).sum::<u64>()
}

/// What the system's allocator takes for so many bytes.
fn allocated(bytes: usize) -> u64 {
    (bytes + size_of::<usize>()).next_multiple_of(16).max(32) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn print(number: u64) -> Fingerprint {
        Fingerprint([number.wrapping_mul(0x9e37_79b9_7f4a_7c15), number])
    }

    fn rows(windows: usize, width: usize) -> CachedAnswer {
        let rows = (0..windows).map(|weight| WindowRow { weight, values: vec![0.5; width].into() });
        CachedAnswer { rows: rows.collect(), is_unread: false }
    }

    /// Memory of all tables and answers.
    fn memory(cache: &ResultCache) -> u64 {
        let kept = cache.kept.as_ref().unwrap();
        kept.memory_used().total() as u64 + kept.iter().map(|(_, rows)| heap_bytes(&rows)).sum::<u64>()
    }

    #[test]
    fn memory_is_bounded_whatever_the_answers_are() {
        const BYTES: u64 = 2 << 20;
        let cache = ResultCache::new(BYTES);
        let mut number = 0;
        // Predictions, long texts, embeddings, predictions again: the tables grow with the first and stay.
        for (count, windows, width) in [(40_000, 1, 5), (2_000, 40, 5), (5_000, 1, 384), (40_000, 1, 1)] {
            for _ in 0..count {
                number += 1;
                cache.insert(print(number), &rows(windows, width));
                if number % 1000 == 0 {
                    assert!(memory(&cache) <= BYTES, "{} after {number}", memory(&cache));
                }
            }
            let used = cache.kept.as_ref().unwrap();
            assert!(used.weight() * 10 >= used.capacity() * 9, "{} of {}", used.weight(), used.capacity());
        }
    }

    #[test]
    fn a_scan_does_not_push_out_what_is_asked_again_and_again() {
        let cache = ResultCache::new(1 << 20);
        let often = 0..200;
        let hits = || often.clone().filter(|&number| cache.get(&print(number)).is_some()).count();
        often.clone().for_each(|number| cache.insert(print(number), &rows(1, 5)));
        for round in 1..=50 {
            assert_eq!(hits(), 200, "round {round}");
            (0..1000).for_each(|index| cache.insert(print(round * 1000 + index), &rows(1, 5)));
        }
    }

    #[test]
    fn another_table_takes_the_place_of_one_that_is_asked_about_no_more() {
        let cache = ResultCache::new(1 << 20);
        let scan = |numbers: std::ops::Range<u64>| {
            let hits = numbers.clone().filter(|&number| cache.get(&print(number)).is_some()).count();
            numbers.for_each(|number| cache.insert(print(number), &rows(1, 5)));
            hits
        };
        (0..4).for_each(|round| assert_eq!(scan(0..3000), if round == 0 { 0 } else { 3000 }));
        assert_eq!(scan(10_000..11_500), 0);
        assert_eq!(scan(10_000..11_500), 1500);
    }

    #[test]
    fn sizes_of_no_use_do_no_harm() {
        for bytes in [0, 1, 255, 1000, 10_000] {
            let cache = ResultCache::new(bytes);
            (0..100).for_each(|number| cache.insert(print(number), &rows(1, 384)));
            let kept = (0..100).filter(|&number| cache.get(&print(number)).is_some()).count();
            assert!(kept as u64 * 1536 <= bytes, "{kept} in {bytes} bytes");
        }
    }

    #[test]
    fn an_answer_out_of_proportion_is_not_kept() {
        let cache = ResultCache::new(1 << 20);
        cache.insert(print(1), &rows(1, 5));
        cache.insert(print(2), &rows(5000, 5));
        assert!(cache.get(&print(1)).is_some() && cache.get(&print(2)).is_none());
    }
}
