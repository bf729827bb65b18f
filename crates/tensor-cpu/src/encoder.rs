//! The encoder: token ids of packed sequences in, hidden states out.
//!
//! It must not know text, labels or files of models.
//! Invariant: a sequence's result has the same bits whatever else is in the batch and however many threads there are.
//!
//! Sequences lie end to end, without padding. A *pass* is a number of sequences whose hidden states are in memory at the
//! same time. A batch of many sequences is divided into equal parts, one for each thread, and these into passes; the tokens of
//! a batch that can't be divided so are divided among the threads instead, which then wait for each other once in each layer,
//! before attention.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;

use super::division::Division;
use super::embeddings::Embeddings;
use super::kernels::Kernels;
use super::layer::{Layer, LayerOps, Scratch};
use super::prepacked::PrepackedWeights;
use super::shape::{EncoderSizes, Shape};
use super::shared::SharedRows;
use super::thread_pool::{Barrier, ThreadPool};

/// A thread with fewer tokens than this costs more than it brings.
const LEAST_TOKENS: usize = 12;

/// What is wanted of each sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pooling {
    /// The last hidden state of the first token.
    First,
    /// The mean of the last hidden states of all tokens.
    Mean,
}

/// One sequence.
#[derive(Debug, Clone)]
pub struct Sequence<'a> {
    /// Token ids, at least one.
    pub ids: &'a [u32],
    /// The row of the position embeddings for each.
    pub positions: Vec<u32>,
}

/// Embeddings and layers.
pub struct PackedEncoder {
    kernels: Kernels,
    shape: Shape,
    embeddings: Embeddings,
    layers: Vec<Layer>,
    pool: Arc<ThreadPool>,
    /// For each thread of the pool, space to compute in; kept, because fresh memory is slow to touch.
    memories: Vec<Mutex<ThreadMemory>>,
}

/// Memory of a thread.
#[derive(Default)]
struct ThreadMemory {
    states: States,
    scratch: Scratch,
}

/// The hidden states of a pass.
#[derive(Default)]
struct States {
    hidden: Vec<f32>,
    context: Vec<f32>,
    /// Queries, keys and values, of even and of odd layers: a thread may be ahead of the others by one.
    projections: [Vec<f32>; 2],
}

impl PackedEncoder {
    /// The encoder of prepacked weights with as many layers as they have; `None` if parts are missing or of other sizes.
    pub fn open(
        prepacked: &Arc<PrepackedWeights>,
        sizes: &EncoderSizes,
        kernels: Kernels,
        pool: &Arc<ThreadPool>,
    ) -> Option<Self> {
        let shape = sizes.shape;
        let layer = |index| Layer::open(prepacked, index, &shape);
        Some(Self {
            kernels,
            shape,
            embeddings: Embeddings::open(prepacked, sizes)?,
            layers: (0..sizes.layers).map(layer).collect::<Option<_>>()?,
            pool: Arc::clone(pool),
            memories: (0..pool.size()).map(|_| Mutex::default()).collect(),
        })
    }

    /// The kernels that it computes with.
    pub fn kernels(&self) -> &Kernels {
        &self.kernels
    }

    /// Operations that sequences of these lengths take, a multiplication and an addition being two: in dense layers, and in
    /// attention. What is left out of the last layer isn't counted.
    pub fn operations(&self, lengths: &[usize], pooling: Pooling) -> (u64, u64) {
        let (hidden, inner) = (self.shape.hidden as u64, self.shape.inner as u64);
        let (narrow, wide) = (2 * hidden * hidden, 4 * hidden * inner);
        let (mut dense, mut attention) = (0, 0);
        for &length in lengths {
            let (tokens, layers) = (length as u64, self.layers.len() as u64);
            let whole = if pooling == Pooling::First { layers.saturating_sub(1) } else { layers };
            dense += whole * tokens * (4 * narrow + wide);
            attention += whole * 4 * tokens * tokens * hidden;
            if whole < layers {
                dense += tokens * 2 * narrow + 2 * narrow + wide;
                attention += 4 * tokens * hidden;
            }
        }
        (dense, attention)
    }

    /// One row of `hidden` numbers for each sequence, in order, in one vector.
    /// Shape `[sequences, hidden]`.
    ///
    /// Ids and positions must be rows of the embeddings; a panic tells of those that aren't.
    pub fn forward(&self, sequences: &[Sequence<'_>], pooling: Pooling) -> Vec<f32> {
        let mut output = vec![0.0; sequences.len() * self.shape.hidden];
        let lengths: Vec<usize> = sequences.iter().map(|sequence| sequence.ids.len()).collect();
        match Division::new(&lengths, self.pool.size()) {
            Some(division) => self.forward_apart(&division, sequences, pooling, &mut output),
            None => {
                let rows = SharedRows::new(&mut output, self.shape.hidden);
                self.forward_together(sequences, lengths.iter().sum(), pooling, &rows);
            }
        }
        output
    }

    /// Each thread takes the passes of its part one after the other, and then those that others haven't come to.
    fn forward_apart(
        &self,
        division: &Division,
        sequences: &[Sequence<'_>],
        pooling: Pooling,
        output: &mut [f32],
    ) {
        let ordered: Vec<&Sequence<'_>> = division.order.iter().map(|&index| &sequences[index]).collect();
        let mut states = vec![0.0; output.len()];
        let rows = SharedRows::new(&mut states, self.shape.hidden);
        let next: Vec<AtomicUsize> = division.parts.iter().map(|_| AtomicUsize::new(0)).collect();
        self.pool.run(division.parts.len(), |thread| {
            let mut memory = self.memories[thread].lock();
            let ThreadMemory { states, scratch } = &mut *memory;
            for part in (0..next.len()).map(|offset| (thread + offset) % next.len()) {
                let passes = &division.parts[part];
                while let Some(range) = passes.get(next[part].fetch_add(1, Ordering::Relaxed)) {
                    let sequences = &ordered[range.clone()];
                    let pass = Pass::new(self, sequences, range.start, pooling, states, &rows, 1);
                    pass.run(0, scratch);
                }
            }
        });
        let width = self.shape.hidden;
        for (state, &index) in states.chunks_exact(width).zip(&division.order) {
            output[index * width..][..width].copy_from_slice(state);
        }
    }

    /// All threads work on all sequences together.
    fn forward_together(
        &self,
        sequences: &[Sequence<'_>],
        tokens: usize,
        pooling: Pooling,
        output: &SharedRows<'_>,
    ) {
        let threads = self.pool.size().min(tokens / LEAST_TOKENS).max(1);
        let sequences: Vec<&Sequence<'_>> = sequences.iter().collect();
        let mut states = std::mem::take(&mut self.memories[0].lock().states);
        let pass = Pass::new(self, &sequences, 0, pooling, &mut states, output, threads);
        self.pool.run(threads, |thread| pass.run(thread, &mut self.memories[thread].lock().scratch));
        drop(pass);
        self.memories[0].lock().states = states;
    }
}

impl std::fmt::Debug for PackedEncoder {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("PackedEncoder")
            .field("shape", &self.shape)
            .field("layers", &self.layers.len())
            .finish()
    }
}

/// Part `index` of `0..total` cut into `parts` of nearly the same size.
fn part(total: usize, index: usize, parts: usize) -> Range<usize> {
    total * index / parts..total * (index + 1) / parts
}

/// Some sequences on their way through the layers.
struct Pass<'a> {
    encoder: &'a PackedEncoder,
    sequences: &'a [&'a Sequence<'a>],
    /// Rows of each sequence.
    spans: Vec<Range<usize>>,
    tokens: usize,
    pooling: Pooling,
    hidden: SharedRows<'a>,
    context: SharedRows<'a>,
    projections: [SharedRows<'a>; 2],
    output: &'a SharedRows<'a>,
    /// Row of the output for the first sequence.
    first_output: usize,
    threads: usize,
    barrier: Barrier,
}

impl<'a> Pass<'a> {
    fn new(
        encoder: &'a PackedEncoder,
        sequences: &'a [&'a Sequence<'a>],
        first_output: usize,
        pooling: Pooling,
        states: &'a mut States,
        output: &'a SharedRows<'a>,
        threads: usize,
    ) -> Self {
        let mut tokens = 0;
        let span = |sequence: &&Sequence<'_>| {
            let start = tokens;
            tokens += sequence.ids.len();
            start..tokens
        };
        let spans: Vec<_> = sequences.iter().map(span).collect();
        let stride = encoder.shape.stride();
        let [even, odd] = &mut states.projections;
        Self {
            encoder,
            sequences,
            spans,
            tokens,
            pooling,
            hidden: rows(&mut states.hidden, tokens, stride),
            context: rows(&mut states.context, tokens, stride),
            projections: [rows(even, tokens, 3 * stride), rows(odd, tokens, 3 * stride)],
            output,
            first_output,
            threads,
            barrier: Barrier::new(threads),
        }
    }

    /// What one of the threads does, from ids to output.
    fn run(&self, thread: usize, scratch: &mut Scratch) {
        let _guard = self.barrier.guard();
        let own = part(self.tokens, thread, self.threads);
        self.embed(own.clone());
        let (last, others) = match (self.encoder.layers.split_last(), self.pooling) {
            (Some((last, others)), Pooling::First) => (Some(last), others),
            _ => (None, self.encoder.layers.as_slice()),
        };
        for (layer, projections) in others.iter().zip(self.projections.iter().cycle()) {
            let ops = self.ops(layer, projections);
            ops.project(own.clone(), scratch);
            self.barrier.wait();
            ops.attend(own.clone(), &self.spans, scratch);
            ops.feed_forward(own.clone(), scratch);
        }
        let sequences = part(self.sequences.len(), thread, self.threads);
        match last {
            Some(last) => {
                let ops = self.ops(last, &self.projections[others.len() % 2]);
                ops.project_keys(own, scratch);
                self.barrier.wait();
                let place = self.first_output + sequences.start;
                ops.finish_first(&self.spans[sequences], self.output, place, scratch);
            }
            None => {
                self.barrier.wait();
                sequences.for_each(|index| self.pool_sequence(index));
            }
        }
    }

    fn ops(&'a self, layer: &'a Layer, projections: &'a SharedRows<'a>) -> LayerOps<'a> {
        LayerOps {
            kernels: &self.encoder.kernels,
            shape: &self.encoder.shape,
            layer,
            hidden: &self.hidden,
            context: &self.context,
            projections,
        }
    }

    /// The first hidden states of some rows.
    fn embed(&self, own: Range<usize>) {
        for (sequence, span) in self.sequences.iter().zip(&self.spans) {
            for row in span.start.max(own.start)..span.end.min(own.end) {
                let place = row - span.start;
                // SAFETY: a thread writes its own rows; the others read none of them before the first barrier.
                let state = unsafe { self.hidden.write(row..row + 1) };
                let state = &mut state[..self.encoder.shape.hidden];
                let (id, position) = (sequence.ids[place], sequence.positions[place]);
                self.encoder.embeddings.state(
                    &self.encoder.kernels,
                    id,
                    position,
                    self.encoder.shape.eps,
                    state,
                );
            }
        }
    }

    /// The mean of a sequence's last hidden states, or the first of them, in a model without layers.
    fn pool_sequence(&self, index: usize) {
        let (span, hidden) = (self.spans[index].clone(), self.encoder.shape.hidden);
        let place = self.first_output + index;
        // SAFETY: all threads are behind the last barrier, hidden states are written no more; a sequence's output is
        // written by one thread.
        let (states, output) =
            unsafe { (self.hidden.read(span.clone()), self.output.write(place..place + 1)) };
        let mut states = states.chunks_exact(self.hidden.stride()).map(|state| &state[..hidden]);
        if self.pooling == Pooling::First {
            states.next().into_iter().for_each(|state| output.copy_from_slice(state));
            return;
        }
        for state in states {
            output.iter_mut().zip(state).for_each(|(sum, &number)| *sum += number);
        }
        let tokens = span.len() as f32;
        output.iter_mut().for_each(|sum| *sum /= tokens);
    }
}

/// A buffer as rows, enlarged if need be.
fn rows(buffer: &mut Vec<f32>, count: usize, stride: usize) -> SharedRows<'_> {
    if buffer.len() < count * stride {
        *buffer = vec![0.0; count * stride];
    }
    SharedRows::new(buffer, stride)
}
