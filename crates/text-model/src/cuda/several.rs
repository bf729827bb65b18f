//! Several machines as one: each has a copy of every network, and a batch is divided among them.
//!
//! It must not know what the machines are. Invariant: rows come back in the order of the sequences.

use std::sync::Arc;
use std::thread;

use ecommerce_ml_protocol::{EngineError, ErrorKind};
use ecommerce_ml_tensor_cpu::Sequence;
use ecommerce_ml_tensor_cuda::MemoryUse;

use super::{Accelerator, NetworkWeights, Resident, Wanted};
use crate::begun::Begun;

/// Tokens for which a machine is worth the trouble.
const LEAST_TOKENS: usize = 2048;

/// Machines that work together.
#[derive(Debug)]
pub struct Several(Vec<Arc<dyn Accelerator>>);

impl Several {
    /// These machines; if it is only one, that one.
    pub fn of(mut machines: Vec<Arc<dyn Accelerator>>) -> Arc<dyn Accelerator> {
        match (machines.pop(), machines.is_empty()) {
            (Some(only), true) => only,
            (last, _) => {
                machines.extend(last);
                Arc::new(Self(machines))
            }
        }
    }
}

impl Accelerator for Several {
    fn name(&self) -> String {
        self.0.iter().map(|machine| machine.name()).collect::<Vec<_>>().join(", ")
    }

    /// The sums over all of them.
    fn memory(&self) -> Option<MemoryUse> {
        let all = self.0.iter().map(|machine| machine.memory()).collect::<Option<Vec<_>>>()?;
        let sum = |a: MemoryUse, b: MemoryUse| MemoryUse { used: a.used + b.used, total: a.total + b.total };
        Some(all.into_iter().fold(MemoryUse::default(), sum))
    }

    fn load(self: Arc<Self>, weights: &NetworkWeights) -> Result<Box<dyn Resident>, EngineError> {
        let copies = self.0.iter().map(|machine| Arc::clone(machine).load(weights));
        Ok(Box::new(Copies(copies.collect::<Result<_, _>>()?)))
    }
}

/// A network on each of the machines.
#[derive(Debug)]
struct Copies(Vec<Box<dyn Resident>>);

impl Resident for Copies {
    /// A thread each, as giving work to a machine takes a while; no thread waits for what comes of it.
    fn begin(&self, sequences: &[Sequence<'_>], wanted: Wanted) -> Result<Begun<Vec<Vec<f32>>>, EngineError> {
        let shares = shares(sequences, self.0.len());
        let ours = |(copy, share): (&dyn Resident, &[Sequence<'_>])| copy.begin(share, wanted);
        let begun: Vec<Begun<_>> = thread::scope(|scope| {
            let mut work = self.0.iter().map(AsRef::as_ref).zip(shares.iter().copied());
            let first = work.next();
            let others: Vec<_> = work.map(|one| scope.spawn(move || ours(one))).collect();
            let first = first.map_or_else(|| Ok(Begun::Done(Vec::new())), ours);
            let lost = |_| Err(EngineError::new(ErrorKind::Internal, "computation on a device panicked"));
            let others = others.into_iter().map(|other| other.join().unwrap_or_else(lost));
            [first].into_iter().chain(others).collect::<Result<_, _>>()
        })?;
        Ok(Begun::Pending(Box::new(move || {
            let rows = begun.into_iter().map(Begun::finish).collect::<Result<Vec<_>, _>>()?;
            Ok(rows.concat())
        })))
    }
}

/// Cuts sequences into no more than so many shares of about as many tokens each.
fn shares<'a, 's>(sequences: &'a [Sequence<'s>], most: usize) -> Vec<&'a [Sequence<'s>]> {
    let tokens: usize = sequences.iter().map(|sequence| sequence.ids.len()).sum();
    let count = (tokens / LEAST_TOKENS).clamp(1, most.max(1));
    let (mut shares, mut rest, mut before) = (Vec::with_capacity(count), sequences, 0);
    for share in 1..count {
        let target = tokens * share / count;
        let taken = rest.iter().take_while(|sequence| {
            let is_within = before < target;
            before += if is_within { sequence.ids.len() } else { 0 };
            is_within
        });
        let (own, others) = rest.split_at(taken.count());
        shares.push(own);
        rest = others;
    }
    shares.push(rest);
    shares
}
