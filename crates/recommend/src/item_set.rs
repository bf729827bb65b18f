//! A set of the items of a model, as a text that many questions carry.
//!
//! It must not know names. Invariant: what is read is a set of as many items as the model has, or nothing.

use std::fmt;

/// Bits of a word.
const WORD: usize = u64::BITS as usize;

/// Hexadecimal digits of a word.
const DIGITS: usize = WORD / 4;

/// Some of the items of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ItemSet {
    items: usize,
    words: Vec<u64>,
}

impl ItemSet {
    /// Of places of items, of which there are so many in all.
    pub fn of(items: usize, places: impl Iterator<Item = u32>) -> Self {
        let mut words = vec![0_u64; items.div_ceil(WORD)];
        for place in places {
            if let Some(word) = words.get_mut(place as usize / WORD) {
                *word |= 1 << (place as usize % WORD);
            }
        }
        Self { items, words }
    }

    /// Whether an item is in it.
    pub fn contains(&self, item: u32) -> bool {
        let word = self.words.get(item as usize / WORD).copied().unwrap_or_default();
        word >> (item as usize % WORD) & 1 == 1
    }

    /// What [`fmt::Display`] wrote, of a model of so many items.
    pub fn parse(text: &str, items: usize) -> Option<Self> {
        let (count, digits) = text.split_once(':')?;
        let digits = digits.as_bytes();
        if count.parse() != Ok(items) || digits.len() != items.div_ceil(WORD) * DIGITS {
            return None;
        }
        let word = |digits: &[u8]| u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok();
        Some(Self { items, words: digits.chunks(DIGITS).map(word).collect::<Option<_>>()? })
    }
}

impl fmt::Display for ItemSet {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:", self.items)?;
        self.words.iter().try_for_each(|word| write!(formatter, "{word:016x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_comes_back_as_it_was_written() {
        let set = ItemSet::of(130, [0, 63, 64, 129, 500].into_iter());
        let text = set.to_string();
        assert_eq!(ItemSet::parse(&text, 130), Some(set.clone()));
        let members: Vec<u32> = (0..600).filter(|&item| set.contains(item)).collect();
        assert_eq!(members, [0, 63, 64, 129]);
        for (damaged, items) in
            [(text.as_str(), 131), (&text[..9], 130), ("", 0), ("64:zzzzzzzzzzzzzzzz", 64)]
        {
            assert_eq!(ItemSet::parse(damaged, items), None, "{damaged}");
        }
        assert_eq!(ItemSet::parse("0:", 0), Some(ItemSet::of(0, std::iter::empty())));
    }
}
