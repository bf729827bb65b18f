//! A request's texts in pieces, so that all tokenizing threads can work on it.
//!
//! It must not know what is made of the texts.
//! Invariants: each text is in one piece, and a text is never divided; nothing is handed out of a request that is over.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::vec;

use super::SMALL_WINDOWS;
use super::pool::Piece;

/// Text of a piece. The upper end takes some ten milliseconds; the lower one still outweighs the handing out.
const PIECE_BYTES: RangeInclusive<usize> = 4 << 10..=32 << 10;

/// A request of no more text than this, in no more than [`SMALL_WINDOWS`] texts, takes the short lane.
const SMALL_BYTES: usize = 16 << 10;

/// A request that several threads work on.
pub(super) trait Divisible: Send + Sync + 'static {
    /// Works on some of its texts, which are those from `first` on.
    fn work(&self, first: usize, texts: Vec<String>);

    /// Whether it has been answered, or nobody waits for the answer.
    fn is_over(&self) -> bool;
}

/// Hands out the texts of a request.
pub(super) struct Division<S> {
    /// `None` once all is handed out.
    rest: Option<Rest<S>>,
    piece_bytes: usize,
    is_small: bool,
}

/// What has not been handed out. It may be no text at all: a request without texts is one piece.
struct Rest<S> {
    request: Arc<S>,
    texts: vec::IntoIter<String>,
    /// Where the first of them stood in the request.
    first: usize,
}

impl<S: Divisible> Division<S> {
    /// Divides texts among so many threads.
    pub(super) fn new(request: S, texts: Vec<String>, threads: usize) -> Self {
        let bytes: usize = texts.iter().map(String::len).sum();
        Self {
            is_small: texts.len() <= SMALL_WINDOWS && bytes <= SMALL_BYTES,
            piece_bytes: bytes.div_ceil(threads.max(1)).clamp(*PIECE_BYTES.start(), *PIECE_BYTES.end()),
            rest: Some(Rest { request: Arc::new(request), texts: texts.into_iter(), first: 0 }),
        }
    }

    /// Whether the request is small, as far as one can tell before tokenizing it.
    pub(super) fn is_small(&self) -> bool {
        self.is_small
    }
}

impl<S: Divisible> Iterator for Division<S> {
    type Item = Piece;

    fn next(&mut self) -> Option<Piece> {
        let Rest { request, mut texts, first } = self.rest.take()?;
        if request.is_over() {
            // Dropping all of this may take a while, which is none of the time in which pieces are handed out.
            return Some(Box::new(move || drop((request, texts))));
        }
        let piece = next_piece(&mut texts, self.piece_bytes);
        if !texts.as_slice().is_empty() {
            self.rest = Some(Rest { request: Arc::clone(&request), texts, first: first + piece.len() });
        }
        Some(Box::new(move || request.work(first, piece)))
    }
}

fn next_piece(texts: &mut vec::IntoIter<String>, most: usize) -> Vec<String> {
    let (mut piece, mut bytes) = (Vec::new(), 0);
    while bytes < most
        && let Some(text) = texts.next()
    {
        bytes += text.len() + 1;
        piece.push(text);
    }
    piece
}
