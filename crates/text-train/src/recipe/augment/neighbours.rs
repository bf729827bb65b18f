//! Words whose embeddings lie close together.
//!
//! Vectors are counted from the mean of all words, because what all have in common says nothing about any (Mu and
//! Viswanath, "All-but-the-top", 2018), scaled to one length, and rounded to whole numbers, whose products are the same
//! on every machine: those of single precision, which are fast, only choose which are computed. It must not know which
//! model the embeddings are of. Invariant: a word is never its own neighbour, whatever its case.

use std::collections::{BTreeMap, BTreeSet};

use ecommerce_ml_tensor_cpu::product::{Matrix, multiply};
use rayon::prelude::*;

/// Neighbours of a word, at most.
const MOST: usize = 5;

/// Cosine from which on words are neighbours: in all-MiniLM-L6-v2, "terrible" and "awful" have 0.68, "good" and "bad"
/// 0.53.
const LEAST_SIMILARITY: f64 = 0.6;

/// Length of the vectors. Each of their numbers is rounded by a part of that which is far below what a cosine is worth.
const LENGTH: f64 = 32_768.0;

/// How far products of single precision may be off, as a cosine.
const MARGIN: f64 = 1e-3;

/// Words whose neighbours are sought at the same time, and words that they are sought among: products of 2 MB.
const BLOCK: usize = 128;
const OTHERS: usize = 4096;

/// Words begin with it in the vocabularies of SentencePiece, or of bytes as of GPT-2.
const MARKS: [char; 2] = ['\u{2581}', BYTES];
const BYTES: char = '\u{120}';

/// Words of a vocabulary, in the order of their ids, with a vector each.
struct Vocabulary<'a> {
    words: Vec<&'a str>,
    /// Whole numbers.
    vectors: Vec<f32>,
    width: usize,
}

/// Neighbours of those words, in lower case, that the vocabulary has.
/// `embeddings`: `[pieces, hidden]`.
pub(super) fn nearest(
    words: &BTreeSet<String>,
    pieces: &[impl AsRef<str>],
    embeddings: &[f32],
) -> BTreeMap<String, Vec<String>> {
    let vocabulary = Vocabulary::new(pieces, embeddings);
    // Of words that differ by case the first.
    let mut places = BTreeMap::new();
    for (place, word) in vocabulary.words.iter().enumerate() {
        places.entry(word.to_lowercase()).or_insert(place);
    }
    let met: Vec<(&String, usize)> =
        words.iter().filter_map(|word| Some((word, *places.get(word)?))).collect();
    let found = met.par_chunks(BLOCK).flat_map_iter(|block| {
        let places: Vec<usize> = block.iter().map(|&(_, place)| place).collect();
        let words = block.iter().map(|&(word, _)| word.clone());
        words.zip(vocabulary.neighbours(&places)).collect::<Vec<_>>()
    });
    found.filter(|(_, others)| !others.is_empty()).collect()
}

impl<'a> Vocabulary<'a> {
    fn new(pieces: &'a [impl AsRef<str>], embeddings: &[f32]) -> Self {
        let width = embeddings.len() / pieces.len().max(1);
        let mark = MARKS.into_iter().find(|&mark| {
            let marked = pieces.iter().filter(|piece| piece.as_ref().starts_with(mark)).count();
            marked > pieces.len() / 10
        });
        let rows = pieces.iter().zip(embeddings.chunks_exact(width.max(1)));
        let (words, rows): (Vec<_>, Vec<_>) =
            rows.filter_map(|(piece, row)| Some((whole_word(piece.as_ref(), mark)?, row))).unzip();
        let mut mean = vec![0.0; width];
        for row in &rows {
            mean.iter_mut()
                .zip(*row)
                .for_each(|(mean, &number)| *mean += f64::from(number) / rows.len() as f64);
        }
        let vectors = rows.iter().flat_map(|row| rounded(row, &mean)).collect();
        Self { words, vectors, width }
    }

    fn vector(&self, place: usize) -> &[f32] {
        &self.vectors[place * self.width..][..self.width]
    }

    /// The nearest words of each of some, nearest first.
    fn neighbours(&self, places: &[usize]) -> Vec<Vec<String>> {
        let sought: Vec<f32> = places.iter().flat_map(|&place| self.vector(place)).copied().collect();
        let sought = Matrix::new(&sought, (places.len(), self.width), self.width);
        let mut nearest = vec![Vec::new(); places.len()];
        for (block, vectors) in self.vectors.chunks(OTHERS * self.width).enumerate() {
            let others = vectors.len() / self.width;
            let mut products = vec![0.0; places.len() * others];
            let vectors = Matrix::new(vectors, (others, self.width), self.width).transposed();
            multiply(sought, vectors, 1.0, (&mut products, others), false);
            for ((products, &place), nearest) in products.chunks(others).zip(places).zip(&mut nearest) {
                let close = (0..others).filter(|&other| f64::from(products[other]) >= least(MARGIN));
                nearest.extend(close.map(|other| self.compared(place, block * OTHERS + other)));
            }
        }
        places.iter().zip(nearest).map(|(&place, nearest)| self.nearest_words(place, nearest)).collect()
    }

    /// The product of two vectors, negative, so that it sorts the nearest words to the front, and the other's place.
    fn compared(&self, place: usize, other: usize) -> (i64, usize) {
        let products = self.vector(place).iter().zip(self.vector(other)).map(|(&a, &b)| a as i64 * b as i64);
        (-products.sum::<i64>(), other)
    }

    fn nearest_words(&self, place: usize, mut nearest: Vec<(i64, usize)>) -> Vec<String> {
        nearest.retain(|&(product, _)| -product as f64 >= least(0.0));
        nearest.sort_unstable();
        let own = self.words[place].to_lowercase();
        let others = nearest.iter().map(|&(_, other)| self.words[other]);
        others.filter(|other| other.to_lowercase() != own).take(MOST).map(str::to_owned).collect()
    }
}

/// The product of two vectors from which on they are near, or may be.
fn least(margin: f64) -> f64 {
    (LEAST_SIMILARITY - margin) * LENGTH * LENGTH
}

/// The word that a piece is: nothing for the middle of a word, a special token, a number or a letter.
fn whole_word(piece: &str, mark: Option<char>) -> Option<&str> {
    let word = match mark {
        Some(mark) => piece.strip_prefix(mark)?,
        None => piece,
    };
    // Letters beyond ASCII are several characters in a vocabulary of bytes.
    let readable = mark != Some(BYTES) || word.is_ascii();
    let is_letter = word.len() < 2;
    (readable && !is_letter && word.chars().all(char::is_alphabetic)).then_some(word)
}

fn rounded(row: &[f32], mean: &[f64]) -> impl Iterator<Item = f32> {
    let centred: Vec<f64> = row.iter().zip(mean).map(|(&number, mean)| f64::from(number) - mean).collect();
    let length = centred.iter().map(|number| number * number).sum::<f64>().sqrt().max(f64::MIN_POSITIVE);
    centred.into_iter().map(move |number| (number / length * LENGTH).round() as f32)
}
