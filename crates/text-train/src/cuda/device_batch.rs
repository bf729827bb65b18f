//! A batch as the kernels of training read it.
//!
//! Invariant: every token is a query of one tile and a key of one, in each layer.

use std::ops::Range;

use bytemuck::cast_slice;
use ecommerce_ml_tensor_cuda::backend::{DevicePointer, GpuBackend, GpuError, KernelArgument, TILE};

use crate::nn::network::TokenBatch;

/// A batch in a GPU's memory.
#[derive(Debug)]
pub(super) struct DeviceBatch<G: GpuBackend> {
    numbers: G::Memory,
    pub(super) ids: Vec<u32>,
    pub(super) position_rows: Vec<u32>,
    pub(super) tokens: usize,
    pub(super) sequences: usize,
    /// Where parts begin, in bytes.
    pub(super) positions: usize,
    /// The token that each sequence begins with.
    pub(super) starts: usize,
    /// Tiles of layers that compute all tokens.
    pub(super) all: Tiles,
    /// Tiles of the last layer, which computes first tokens.
    pub(super) cls: Tiles,
}

/// Tiles of a layer: where they begin, in bytes, and how many they are.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Tiles {
    /// For the forward pass.
    pub(super) forward: usize,
    /// For the gradients of queries; as many.
    pub(super) queries: usize,
    pub(super) query_count: usize,
    /// For the gradients of keys and values.
    pub(super) keys: usize,
    pub(super) key_count: usize,
}

/// Queries and keys of a sequence.
type Sides = (Range<usize>, Range<usize>);

impl<G: GpuBackend> DeviceBatch<G> {
    /// Sends a batch.
    pub(super) fn new(gpu: &G, batch: TokenBatch) -> Result<Self, GpuError> {
        let TokenBatch { ids, positions: position_rows, lengths } = batch;
        let mut numbers = ids.clone();
        let mut add = |part: &[u32]| {
            numbers.resize(numbers.len().next_multiple_of(8), 0);
            let start = size_of_val(numbers.as_slice());
            numbers.extend_from_slice(part);
            start
        };
        let positions = add(&position_rows);
        let mut end = 0;
        let spans: Vec<Range<usize>> = lengths
            .iter()
            .map(|length| {
                end += length;
                end - length..end
            })
            .collect();
        let starts = add(&spans.iter().map(|span| span.start as u32).collect::<Vec<_>>());
        let all: Vec<Sides> = spans.iter().map(|span| (span.clone(), span.clone())).collect();
        let cls: Vec<Sides> =
            spans.iter().enumerate().map(|(index, span)| (index..index + 1, span.clone())).collect();
        let (all, cls) = (Tiles::new(&all, &mut add), Tiles::new(&cls, &mut add));
        Ok(Self {
            tokens: ids.len(),
            sequences: lengths.len(),
            numbers: gpu.upload(cast_slice(&numbers))?,
            ids,
            position_rows,
            positions,
            starts,
            all,
            cls,
        })
    }

    /// A part of its numbers.
    pub(super) fn number(&self, offset: usize) -> KernelArgument<'_, G::Memory> {
        KernelArgument::Pointer(DevicePointer { memory: &self.numbers, offset })
    }
}

impl Tiles {
    fn new(sides: &[Sides], add: &mut impl FnMut(&[u32]) -> usize) -> Self {
        let mut tiles = Self::default();
        let (mut forward, mut queries, mut keys) = (Vec::new(), Vec::new(), Vec::new());
        for (of_queries, of_keys) in sides {
            for first in (0..of_queries.len()).step_by(TILE) {
                let count = TILE.min(of_queries.len() - first);
                let sides = [of_queries.start + first, count, of_keys.start, of_keys.len()];
                forward.extend(sides);
                queries.extend(sides.into_iter().chain([first, 0, 0, 0]));
                tiles.query_count += 1;
            }
            for first in (0..of_keys.len()).step_by(TILE) {
                let count = TILE.min(of_keys.len() - first);
                keys.extend([
                    of_keys.start + first,
                    count,
                    of_queries.start,
                    of_queries.len(),
                    first,
                    0,
                    0,
                    0,
                ]);
                tiles.key_count += 1;
            }
        }
        let mut add =
            |part: Vec<usize>| add(&part.into_iter().map(|number| number as u32).collect::<Vec<_>>());
        (tiles.forward, tiles.queries, tiles.keys) = (add(forward), add(queries), add(keys));
        tiles
    }
}
