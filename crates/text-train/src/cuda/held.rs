//! The encoder's parameters on the machine, with gradients and moments of those that are trained.
//!
//! It must not know layers. Invariant: but while embeddings are moved, `rounded` is what `exact` is, rounded.

use bytemuck::{cast_slice, cast_slice_mut};
use ecommerce_ml_tensor_cuda::machine::{Argument, Kernel, Machine, MachineError};

use super::kernels::{count, whole};
use super::{BF16, DeviceEncoder, F32, Trained};
use crate::nn::encoder::Moments;
use crate::nn::parameters::{Gradients, Parameter, Parameters};
use crate::train::optimizer::{Factors, decays};

/// Numbers whose squares a warp sums up; as the kernel has it.
const SQUARES_OF_WARP: usize = 4096;

/// Numbers that share a bit of what decays; all parameters have a multiple of them.
const PER_BIT: usize = 8;

/// Numbers that a thread works on.
const PER_THREAD: usize = 4;

/// Parameters and what belongs to them.
#[derive(Debug)]
pub(super) struct Held<M: Machine> {
    /// All parameters, in f32 and in bf16. Of weights with adapters only the latter follow the adapters.
    pub(super) exact: M::Memory,
    pub(super) rounded: M::Memory,
    /// How many they are.
    end: usize,
    /// Gradients and moments of the trained ones, from this number on.
    pub(super) start: usize,
    pub(super) gradients: M::Memory,
    firsts: M::Memory,
    seconds: M::Memory,
    /// A bit for each eight of them: whether they decay.
    decays: M::Memory,
    /// Sums of squares.
    sums: M::Memory,
    /// Gradients of weights that have adapters, two for each layer, and room for one of these weights.
    pub(super) adapted: Vec<M::Memory>,
    adapted_exact: Option<M::Memory>,
    /// Whether updates have changed parameters that are older on the CPU.
    is_ahead: bool,
}

impl<M: Machine> Held<M> {
    /// Room for the first `end` parameters, trained from number `start` on, and for some weights with adapters, each of
    /// `size` numbers.
    pub(super) fn new(
        machine: &M,
        parameters: &Parameters,
        (start, end): (usize, usize),
        (adapters, size): (usize, usize),
    ) -> Result<Self, MachineError> {
        let trained = end - start;
        let zeros = |numbers: usize| {
            let mut memory = machine.allocate((numbers * F32).max(F32))?;
            machine.clear(&mut memory)?;
            Ok::<_, MachineError>(memory)
        };
        Ok(Self {
            exact: machine.upload(cast_slice(&parameters.values[..end]))?,
            rounded: machine.allocate(end * BF16)?,
            end,
            start,
            gradients: zeros(trained)?,
            firsts: zeros(trained)?,
            seconds: zeros(trained)?,
            decays: machine.upload(cast_slice(&decay_bits(&parameters.list, start, end)))?,
            sums: zeros(trained.div_ceil(SQUARES_OF_WARP))?,
            adapted: (0..adapters).map(|_| zeros(size)).collect::<Result<_, _>>()?,
            adapted_exact: (adapters > 0).then(|| machine.allocate(size * F32)).transpose()?,
            is_ahead: false,
        })
    }
}

/// A bit for each eight parameters from number `start` to `end`, the first ones in the lowest bits of the first word.
fn decay_bits(list: &[Parameter], start: usize, end: usize) -> Vec<u32> {
    let mut bits = vec![0_u32; (end - start).div_ceil(PER_BIT * 32).max(1)];
    let trained = list.iter().filter(|parameter| (start..end).contains(&parameter.range.start));
    for parameter in trained.filter(|parameter| decays(&parameter.name)) {
        for bit in (parameter.range.start - start) / PER_BIT..(parameter.range.end - start) / PER_BIT {
            bits[bit / 32] |= 1 << (bit % 32);
        }
    }
    bits
}

impl<M: Machine> DeviceEncoder<M> {
    /// How many numbers are trained here.
    fn trained_count(&self) -> usize {
        self.held.end - self.held.start
    }

    /// Rounds all parameters.
    pub(super) fn round(&self) -> Result<(), MachineError> {
        let arguments = [whole(&self.held.exact), count(self.held.end), whole(&self.held.rounded)];
        self.over_numbers(Kernel::Round, self.held.end, PER_THREAD, &arguments)
    }

    /// Takes parameters over that may have changed.
    pub(super) fn take(&mut self, parameters: &Parameters) -> Result<(), MachineError> {
        if let Trained::Adapted(first) = self.trained {
            return self.take_adapted(first, parameters);
        }
        self.machine.replace(&mut self.held.exact, cast_slice(&parameters.values[..self.held.end]))?;
        self.held.is_ahead = false;
        self.round()
    }

    /// Takes weights over that have adapters.
    fn take_adapted(&mut self, first: usize, parameters: &Parameters) -> Result<(), MachineError> {
        let (Some(mut exact), width) = (self.held.adapted_exact.take(), self.width()) else { return Ok(()) };
        for layer in &self.plan.layers[first..] {
            for part in [0, 2] {
                let weight = layer.projections.part(part * width..(part + 1) * width).weight;
                self.machine.replace(&mut exact, cast_slice(&parameters.values[weight.clone()]))?;
                let arguments = [whole(&exact), count(weight.len()), Argument::At(self.weight(weight.start))];
                self.over_numbers(Kernel::Round, weight.len(), PER_THREAD, &arguments)?;
            }
        }
        self.held.adapted_exact = Some(exact);
        Ok(())
    }

    /// Gives parameters back that have changed.
    pub(super) fn give(&mut self, parameters: &mut Parameters) -> Result<(), MachineError> {
        if std::mem::take(&mut self.held.is_ahead) {
            let values = &mut parameters.values[..self.held.end];
            self.machine.download(&self.held.exact, cast_slice_mut(values))?;
        }
        Ok(())
    }

    /// Adds gradients of weights that have adapters, and clears them.
    pub(super) fn give_adapted(&mut self, gradients: &mut Gradients) -> Result<(), MachineError> {
        let Trained::Adapted(first) = self.trained else { return Ok(()) };
        let size = self.width() * self.width();
        for (index, memory) in self.held.adapted.iter_mut().enumerate() {
            let own = read(&*self.machine, memory, size)?;
            let sums = gradients.adapted(first + index / 2, index % 2, size);
            sums.iter_mut().zip(own).for_each(|(sum, number)| *sum += number);
            self.machine.clear(memory)?;
        }
        Ok(())
    }

    /// Makes all gradients 0, and brings embeddings back that were moved.
    pub(super) fn start_over(&mut self) -> Result<(), MachineError> {
        self.machine.clear(&mut self.held.gradients)?;
        self.held.adapted.iter_mut().try_for_each(|memory| self.machine.clear(memory))?;
        if self.trained == Trained::All { self.round() } else { Ok(()) }
    }

    /// Sum of the squares of the first so many gradients. As on the CPU, blocks are summed up in single precision, and
    /// their sums in order in double precision.
    fn sum_of_squares(&self, numbers: usize) -> Result<f64, MachineError> {
        let blocks = numbers.div_ceil(SQUARES_OF_WARP);
        if blocks == 0 {
            return Ok(0.0);
        }
        let arguments = [whole(&self.held.gradients), count(numbers), whole(&self.held.sums)];
        self.over_rows(Kernel::SumSquares, blocks, 0, &arguments)?;
        let sums = read(&*self.machine, &self.held.sums, blocks)?;
        Ok(sums.into_iter().map(f64::from).sum())
    }

    /// The sum of the squares of all gradients.
    pub(super) fn all_squares(&self) -> Result<f64, MachineError> {
        self.sum_of_squares(self.trained_count())
    }

    /// Rounds embeddings of words as if they lay further along their gradients; the exact ones stay.
    ///
    /// Words that no token was have gradients of 0, so nothing has to know which ones were there.
    pub(super) fn move_words(&self, epsilon: f64) -> Result<(), MachineError> {
        let words = &self.plan.embeddings.words;
        if self.trained != Trained::All {
            return Ok(());
        }
        // They are the first parameters, so their gradients are the first ones.
        let norm = self.sum_of_squares(words.end)?.sqrt();
        if norm == 0.0 || !norm.is_finite() {
            return Ok(());
        }
        let arguments = [
            whole(&self.held.exact),
            whole(&self.held.gradients),
            Argument::Number((epsilon / norm) as f32),
            count(words.end),
            whole(&self.held.rounded),
        ];
        self.over_numbers(Kernel::RoundMoved, words.end, PER_THREAD, &arguments)
    }

    /// A step of AdamW.
    pub(super) fn step(&mut self, by: Factors) -> Result<(), MachineError> {
        let (held, trained) = (&self.held, self.trained_count());
        if trained == 0 {
            return Ok(());
        }
        let arguments = [
            self.exact_weight(held.start),
            whole(&held.gradients),
            whole(&held.firsts),
            whole(&held.seconds),
            whole(&held.decays),
            count(trained),
            Argument::Number(by.gradient),
            Argument::Number(by.keep),
            Argument::Number(by.towards),
            Argument::Number(by.beta2),
            Argument::Number(by.one_less_beta2),
            Argument::Number(by.correction),
            Argument::Number(by.epsilon),
            Argument::Number(by.step_size),
            Argument::At(self.weight(held.start)),
        ];
        self.over_numbers(Kernel::Adam, trained, PER_THREAD, &arguments)?;
        self.held.is_ahead = true;
        Ok(())
    }

    /// The moments of what is trained here.
    pub(super) fn give_moments(&self) -> Result<Option<Moments>, MachineError> {
        let trained = self.trained_count();
        let read = |memory: &M::Memory| read(&*self.machine, memory, trained);
        (trained > 0).then(|| Ok((read(&self.held.firsts)?, read(&self.held.seconds)?))).transpose()
    }

    /// Sets them.
    pub(super) fn take_moments(&mut self, firsts: &[f32], seconds: &[f32]) -> Result<(), MachineError> {
        self.machine.replace(&mut self.held.firsts, cast_slice(firsts))?;
        self.machine.replace(&mut self.held.seconds, cast_slice(seconds))
    }
}

/// The first numbers of some memory.
fn read<M: Machine>(machine: &M, memory: &M::Memory, numbers: usize) -> Result<Vec<f32>, MachineError> {
    let mut read = vec![0.0_f32; numbers];
    machine.download(memory, cast_slice_mut(&mut read)).map(|()| read)
}
