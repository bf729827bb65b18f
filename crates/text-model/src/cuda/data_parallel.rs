//! Data parallelism, several GPUs as one: each has a copy of every network, and a batch is divided among them.
//!
//! It must not know what the GPUs are. Invariant: rows come back in the order of the sequences.

use std::sync::Arc;
use std::thread;

use ecommerce_ml_protocol::{EngineError, ErrorKind};
use ecommerce_ml_tensor_cpu::Sequence;
use ecommerce_ml_tensor_cuda::MemoryUse;

use super::{Accelerator, DeviceModel, NetworkWeights};
use crate::deferred::Deferred;
use crate::output::ForwardOutput;

/// Tokens for which a GPU is worth the trouble.
const MIN_TOKENS: usize = 2048;

/// GPUs that work together, each on a part of a batch.
#[derive(Debug)]
pub struct DataParallel(Vec<Arc<dyn Accelerator>>);

impl DataParallel {
    /// These GPUs; if it is only one, that one.
    pub fn of(mut gpus: Vec<Arc<dyn Accelerator>>) -> Arc<dyn Accelerator> {
        match (gpus.pop(), gpus.is_empty()) {
            (Some(only), true) => only,
            (last, _) => {
                gpus.extend(last);
                Arc::new(Self(gpus))
            }
        }
    }
}

impl Accelerator for DataParallel {
    fn name(&self) -> String {
        self.0.iter().map(|gpu| gpu.name()).collect::<Vec<_>>().join(", ")
    }

    /// The sums over all of them.
    fn memory(&self) -> Option<MemoryUse> {
        let all = self.0.iter().map(|gpu| gpu.memory()).collect::<Option<Vec<_>>>()?;
        let sum = |a: MemoryUse, b: MemoryUse| MemoryUse { used: a.used + b.used, total: a.total + b.total };
        Some(all.into_iter().fold(MemoryUse::default(), sum))
    }

    fn load(self: Arc<Self>, weights: &NetworkWeights) -> Result<Box<dyn DeviceModel>, EngineError> {
        let copies = self.0.iter().map(|gpu| Arc::clone(gpu).load(weights));
        Ok(Box::new(Replicas(copies.collect::<Result<_, _>>()?)))
    }
}

/// A network on each of the GPUs.
#[derive(Debug)]
struct Replicas(Vec<Box<dyn DeviceModel>>);

impl DeviceModel for Replicas {
    /// A thread each, as giving work to a GPU takes a while; no thread waits for what comes of it.
    fn begin(
        &self,
        sequences: &[Sequence<'_>],
        output: ForwardOutput,
    ) -> Result<Deferred<Vec<Vec<f32>>>, EngineError> {
        let shards = shards(sequences, self.0.len());
        let ours = |(copy, shard): (&dyn DeviceModel, &[Sequence<'_>])| copy.begin(shard, output);
        let deferred: Vec<Deferred<_>> = thread::scope(|scope| {
            let mut ops = self.0.iter().map(AsRef::as_ref).zip(shards.iter().copied());
            let first = ops.next();
            let others: Vec<_> = ops.map(|one| scope.spawn(move || ours(one))).collect();
            let first = first.map_or_else(|| Ok(Deferred::Ready(Vec::new())), ours);
            let lost = |_| Err(EngineError::new(ErrorKind::Internal, "computation on a device panicked"));
            let others = others.into_iter().map(|other| other.join().unwrap_or_else(lost));
            [first].into_iter().chain(others).collect::<Result<_, _>>()
        })?;
        Ok(Deferred::Pending(Box::new(move || {
            let rows = deferred.into_iter().map(Deferred::finish).collect::<Result<Vec<_>, _>>()?;
            Ok(rows.concat())
        })))
    }
}

/// Cuts sequences into no more than so many shares of about as many tokens each.
fn shards<'a, 's>(sequences: &'a [Sequence<'s>], most: usize) -> Vec<&'a [Sequence<'s>]> {
    let tokens: usize = sequences.iter().map(|sequence| sequence.ids.len()).sum();
    let count = (tokens / MIN_TOKENS).clamp(1, most.max(1));
    let (mut shards, mut rest, mut before) = (Vec::with_capacity(count), sequences, 0);
    for shard in 1..count {
        let target = tokens * shard / count;
        let taken = rest.iter().take_while(|sequence| {
            let is_within = before < target;
            before += if is_within { sequence.ids.len() } else { 0 };
            is_within
        });
        let (own, others) = rest.split_at(taken.count());
        shards.push(own);
        rest = others;
    }
    shards.push(rest);
    shards
}
