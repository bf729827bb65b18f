//! What texts say of items, and how alike two of them are: by their embeddings, and by their words, rare ones counting more.
//!
//! It must not know who embeds texts, or what is sold. Invariant: vectors have length 1, or are 0 where a text says nothing.

use std::collections::BTreeMap;

use crate::conjugate::dot;
use crate::matrix::SparseMatrix;

/// Items with texts.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Described {
    /// Names of the items, ascending.
    pub names: Vec<String>,
    width: usize,
    /// `[names, width]`: embeddings, of which the mean of all is taken.
    embeddings: Vec<f32>,
    /// `[names, words]`.
    words: SparseMatrix,
}

impl Described {
    /// Of texts by the names of the items, and of their embeddings in the same order, all of one width; none of a text that can't be read.
    pub fn new(texts: &BTreeMap<String, String>, embeddings: &[Option<Vec<f32>>]) -> Self {
        let width = embeddings.iter().flatten().map(Vec::len).next().unwrap_or_default();
        Self {
            names: texts.keys().cloned().collect(),
            width,
            embeddings: centred(embeddings, width),
            words: words(texts.values()),
        }
    }

    /// How alike two texts are: 1 of equal ones, about 0 of any two. `share`: what embeddings count, the rest is that of words.
    pub fn likeness(&self, one: usize, other: usize, share: f32) -> f32 {
        let embedding =
            |item: usize| self.embeddings.get(item * self.width..(item + 1) * self.width).unwrap_or_default();
        let by_embedding = if share > 0.0 { dot(embedding(one), embedding(other)) } else { 0.0 };
        let by_words = if share < 1.0 { common(self.words.row(one), self.words.row(other)) } else { 0.0 };
        share * by_embedding + (1.0 - share) * by_words
    }

    /// Bytes that it takes, about.
    pub fn bytes(&self) -> u64 {
        let words = 8 * self.words.columns.len();
        (size_of_val(&self.embeddings[..]) + words + 64 * self.names.len()) as u64
    }
}

/// Embeddings without what all have in common. `[texts, width]`.
#[allow(clippy::cast_precision_loss)]
fn centred(embeddings: &[Option<Vec<f32>>], width: usize) -> Vec<f32> {
    let mut mean = vec![0.0_f32; width];
    let known = embeddings.iter().flatten().filter(|one| one.len() == width);
    let count = known.clone().count().max(1) as f32;
    known.for_each(|one| mean.iter_mut().zip(one).for_each(|(sum, number)| *sum += number / count));
    let mut all = Vec::with_capacity(embeddings.len() * width);
    for embedding in embeddings {
        let mut own = match embedding {
            Some(own) if own.len() == width => own.iter().zip(&mean).map(|(one, mean)| one - mean).collect(),
            _ => vec![0.0; width],
        };
        scale(&mut own);
        all.extend(own);
    }
    all
}

/// Words by how rare they are: `[texts, words]`.
#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)]
fn words<'a>(texts: impl ExactSizeIterator<Item = &'a String> + Clone) -> SparseMatrix {
    let split = |text: &str| -> Vec<String> {
        let lower = text.to_lowercase();
        let all = lower.split(|one: char| !one.is_alphanumeric());
        all.filter(|word| !word.is_empty()).map(str::to_owned).collect()
    };
    let mut texts_of: BTreeMap<String, u32> = BTreeMap::new();
    for text in texts.clone() {
        let mut own = split(text);
        own.sort_unstable();
        own.dedup();
        own.into_iter().for_each(|word| *texts_of.entry(word).or_default() += 1);
    }
    let count = texts.len() as f32;
    let rarity: BTreeMap<&String, (u32, f32)> = (0..)
        .zip(&texts_of)
        .map(|(place, (word, &texts))| (word, (place, ((count + 1.0) / (texts as f32 + 0.5)).ln())))
        .collect();
    let row = |text: &String| {
        let mut row: BTreeMap<u32, f32> = BTreeMap::new();
        for (place, rarity) in split(text).iter().filter_map(|word| rarity.get(word)) {
            *row.entry(*place).or_default() += rarity;
        }
        let (places, mut weights): (Vec<u32>, Vec<f32>) = row.into_iter().unzip();
        scale(&mut weights);
        places.into_iter().zip(weights).collect()
    };
    SparseMatrix::from_rows(texts_of.len(), texts.map(row).collect())
}

/// To length 1, unless it is 0.
fn scale(vector: &mut [f32]) {
    let length = dot(vector, vector).sqrt();
    if length > 0.0 {
        vector.iter_mut().for_each(|one| *one /= length);
    }
}

/// A product of two sparse vectors.
fn common(one: (&[u32], &[f32]), other: (&[u32], &[f32])) -> f32 {
    let (mut sum, mut rest) = (0.0, other.0.iter().zip(other.1).peekable());
    for (place, value) in one.0.iter().zip(one.1) {
        while rest.next_if(|(other, _)| *other < place).is_some() {}
        if let Some((_, other)) = rest.next_if(|(other, _)| *other == place) {
            sum += value * other;
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_alike_by_what_they_say() {
        let texts = [("a", "Red tea cup"), ("b", "red cup, for TEA"), ("c", "Garden hose"), ("d", "")];
        let texts = texts.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
        let embeddings = [Some(vec![1.0, 0.0]), Some(vec![0.9, 0.1]), Some(vec![0.0, 1.0]), None];
        let described = Described::new(&texts, &embeddings);
        for share in [0.0, 0.5, 1.0] {
            let like = |one, other| described.likeness(one, other, share);
            assert!(like(0, 1) > 0.4 && like(0, 2) < 0.1 && like(3, 1) == 0.0, "{share}");
            assert!((like(2, 2) - 1.0).abs() < 1e-6);
            assert_eq!(like(0, 1).to_bits(), like(1, 0).to_bits());
        }
        assert_eq!(Described::new(&BTreeMap::new(), &[]).names.len(), 0);
    }
}
