//! A request's texts in chunks, so that all tokenizing threads can work on it.
//!
//! It must not know what is made of the texts.
//! Invariants: each text is in one chunk, and a text is never cut up; nothing is handed out of a request that is over.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::vec;

use super::SMALL_WINDOWS;
use super::pool::Chunk;

/// Text of a chunk. The upper end takes some ten milliseconds; the lower one still outweighs the handing out.
const CHUNK_BYTES: RangeInclusive<usize> = 4 << 10..=32 << 10;

/// A request of no more text than this, in no more than [`SMALL_WINDOWS`] texts, waits in the short queue.
const SMALL_BYTES: usize = 16 << 10;

/// A request that several threads work on.
pub(super) trait ChunkedRequest: Send + Sync + 'static {
    /// Works on some of its texts, which are those from `first` on.
    fn work(&self, first: usize, texts: Vec<String>);

    /// Whether it has been answered, or nobody waits for the answer.
    fn is_over(&self) -> bool;
}

/// Hands out the texts of a request.
pub(super) struct RequestChunks<S> {
    /// `None` once all is handed out.
    rest: Option<RemainingTexts<S>>,
    chunk_bytes: usize,
    is_small: bool,
}

/// What has not been handed out. It may be no text at all: a request without texts is one chunk.
struct RemainingTexts<S> {
    request: Arc<S>,
    texts: vec::IntoIter<String>,
    /// Where the first of them stood in the request.
    first: usize,
}

impl<S: ChunkedRequest> RequestChunks<S> {
    /// Divides texts among so many threads.
    pub(super) fn new(request: S, texts: Vec<String>, threads: usize) -> Self {
        let bytes: usize = texts.iter().map(String::len).sum();
        Self {
            is_small: texts.len() <= SMALL_WINDOWS && bytes <= SMALL_BYTES,
            chunk_bytes: bytes.div_ceil(threads.max(1)).clamp(*CHUNK_BYTES.start(), *CHUNK_BYTES.end()),
            rest: Some(RemainingTexts { request: Arc::new(request), texts: texts.into_iter(), first: 0 }),
        }
    }

    /// Whether the request is small, as far as one can tell before tokenizing it.
    pub(super) fn is_small(&self) -> bool {
        self.is_small
    }
}

impl<S: ChunkedRequest> Iterator for RequestChunks<S> {
    type Item = Chunk;

    fn next(&mut self) -> Option<Chunk> {
        let RemainingTexts { request, mut texts, first } = self.rest.take()?;
        if request.is_over() {
            // Dropping all of this may take a while, which is none of the time in which chunks are handed out.
            return Some(Box::new(move || drop((request, texts))));
        }
        let chunk = next_chunk(&mut texts, self.chunk_bytes);
        if !texts.as_slice().is_empty() {
            self.rest =
                Some(RemainingTexts { request: Arc::clone(&request), texts, first: first + chunk.len() });
        }
        Some(Box::new(move || request.work(first, chunk)))
    }
}

fn next_chunk(texts: &mut vec::IntoIter<String>, most: usize) -> Vec<String> {
    let (mut chunk, mut bytes) = (Vec::new(), 0);
    while bytes < most
        && let Some(text) = texts.next()
    {
        bytes += text.len() + 1;
        chunk.push(text);
    }
    chunk
}
