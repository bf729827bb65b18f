//! The encoder's parameters on the GPU, with gradients and moments of those that are trained.
//!
//! It must not know layers. Invariant: but while embeddings are perturbed, `half` is what `master` is, rounded.

use bytemuck::{cast_slice, cast_slice_mut};
use ecommerce_ml_tensor_cuda::backend::{GpuBackend, GpuError, Kernel, KernelArgument};

use super::kernels::{count, whole};
use super::{BF16, DeviceEncoder, F32, Trained};
use crate::nn::encoder::Moments;
use crate::nn::parameters::{Gradients, Parameter, Parameters};
use crate::recipe::optimizer::{Factors, decays};

/// Numbers whose squares a warp sums up; as the kernel has it.
const SQUARES_OF_WARP: usize = 4096;

/// Numbers that share a bit of what decays; all parameters have a multiple of them.
const PER_BIT: usize = 8;

/// Numbers that a thread works on.
const PER_THREAD: usize = 4;

/// Parameters and what belongs to them.
#[derive(Debug)]
pub(super) struct OptimizerState<G: GpuBackend> {
    /// All parameters, in f32 (master weights) and in bf16 (half weights), `[end]`. Of weights with adapters only the latter
    /// follow the adapters.
    pub(super) master: G::Memory,
    pub(super) half: G::Memory,
    /// How many they are.
    end: usize,
    /// Gradients and moments of the trained ones, from this number on.
    pub(super) start: usize,
    pub(super) gradients: G::Memory,
    /// Moments as AdamW has them: running means of gradients and of their squares.
    exp_avg: G::Memory,
    exp_avg_sq: G::Memory,
    /// A bit for each eight of them: whether they decay.
    decays: G::Memory,
    /// Sums of squares.
    sums: G::Memory,
    /// Gradients of weights that have adapters, two for each layer, and room for one of these weights.
    pub(super) adapted: Vec<G::Memory>,
    adapted_master: Option<G::Memory>,
    /// Whether updates have changed parameters since the CPU had them.
    is_stale_on_cpu: bool,
}

impl<G: GpuBackend> OptimizerState<G> {
    /// Room for the first `end` parameters, trained from number `start` on, and for some weights with adapters, each of
    /// `size` numbers.
    pub(super) fn new(
        gpu: &G,
        parameters: &Parameters,
        (start, end): (usize, usize),
        (adapters, size): (usize, usize),
    ) -> Result<Self, GpuError> {
        let trained = end - start;
        let zeros = |numbers: usize| {
            let mut memory = gpu.allocate((numbers * F32).max(F32))?;
            gpu.zero(&mut memory)?;
            Ok::<_, GpuError>(memory)
        };
        Ok(Self {
            master: gpu.upload(cast_slice(&parameters.values[..end]))?,
            half: gpu.allocate(end * BF16)?,
            end,
            start,
            gradients: zeros(trained)?,
            exp_avg: zeros(trained)?,
            exp_avg_sq: zeros(trained)?,
            decays: gpu.upload(cast_slice(&decay_bits(&parameters.list, start, end)))?,
            sums: zeros(trained.div_ceil(SQUARES_OF_WARP))?,
            adapted: (0..adapters).map(|_| zeros(size)).collect::<Result<_, _>>()?,
            adapted_master: (adapters > 0).then(|| gpu.allocate(size * F32)).transpose()?,
            is_stale_on_cpu: false,
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

impl<G: GpuBackend> DeviceEncoder<G> {
    /// How many numbers are trained here.
    fn trained_count(&self) -> usize {
        self.state.end - self.state.start
    }

    /// Rounds all parameters.
    pub(super) fn round(&self) -> Result<(), GpuError> {
        let arguments = [whole(&self.state.master), count(self.state.end), whole(&self.state.half)];
        self.launch_over_numbers(Kernel::Round, self.state.end, PER_THREAD, &arguments)
    }

    /// Brings parameters here that may have changed.
    pub(super) fn upload_parameters(&mut self, parameters: &Parameters) -> Result<(), GpuError> {
        if let Trained::Adapted(first) = self.trained {
            return self.upload_adapted(first, parameters);
        }
        self.gpu.overwrite(&mut self.state.master, cast_slice(&parameters.values[..self.state.end]))?;
        self.state.is_stale_on_cpu = false;
        self.round()
    }

    /// Brings weights here that have adapters.
    fn upload_adapted(&mut self, first: usize, parameters: &Parameters) -> Result<(), GpuError> {
        let (Some(mut master), width) = (self.state.adapted_master.take(), self.width()) else {
            return Ok(());
        };
        for layer in &self.layout.layers[first..] {
            for part in [0, 2] {
                let weight = layer.projections.part(part * width..(part + 1) * width).weight;
                self.gpu.overwrite(&mut master, cast_slice(&parameters.values[weight.clone()]))?;
                let arguments =
                    [whole(&master), count(weight.len()), KernelArgument::Pointer(self.weight(weight.start))];
                self.launch_over_numbers(Kernel::Round, weight.len(), PER_THREAD, &arguments)?;
            }
        }
        self.state.adapted_master = Some(master);
        Ok(())
    }

    /// Brings parameters back to the CPU that have changed.
    pub(super) fn download_parameters(&mut self, parameters: &mut Parameters) -> Result<(), GpuError> {
        if std::mem::take(&mut self.state.is_stale_on_cpu) {
            let values = &mut parameters.values[..self.state.end];
            self.gpu.download(&self.state.master, cast_slice_mut(values))?;
        }
        Ok(())
    }

    /// Adds gradients of weights that have adapters to those on the CPU, and zeroes them.
    pub(super) fn download_adapted_gradients(&mut self, gradients: &mut Gradients) -> Result<(), GpuError> {
        let Trained::Adapted(first) = self.trained else { return Ok(()) };
        let size = self.width() * self.width();
        for (index, memory) in self.state.adapted.iter_mut().enumerate() {
            let own = read(&*self.gpu, memory, size)?;
            let sums = gradients.adapted(first + index / 2, index % 2, size);
            sums.iter_mut().zip(own).for_each(|(sum, number)| *sum += number);
            self.gpu.zero(memory)?;
        }
        Ok(())
    }

    /// Makes all gradients 0, and brings embeddings back that were perturbed.
    pub(super) fn zero_gradients(&mut self) -> Result<(), GpuError> {
        self.gpu.zero(&mut self.state.gradients)?;
        self.state.adapted.iter_mut().try_for_each(|memory| self.gpu.zero(memory))?;
        if self.trained == Trained::All { self.round() } else { Ok(()) }
    }

    /// Sum of the squares of the first so many gradients. As on the CPU, blocks are summed up in single precision, and
    /// their sums in order in double precision.
    fn sum_of_squares(&self, numbers: usize) -> Result<f64, GpuError> {
        let blocks = numbers.div_ceil(SQUARES_OF_WARP);
        if blocks == 0 {
            return Ok(0.0);
        }
        let arguments = [whole(&self.state.gradients), count(numbers), whole(&self.state.sums)];
        self.launch_over_rows(Kernel::SumSquares, blocks, 0, &arguments)?;
        let sums = read(&*self.gpu, &self.state.sums, blocks)?;
        Ok(sums.into_iter().map(f64::from).sum())
    }

    /// The sum of the squares of all gradients.
    pub(super) fn all_squares(&self) -> Result<f64, GpuError> {
        self.sum_of_squares(self.trained_count())
    }

    /// Rounds embeddings of words as if they lay further along their gradients; the f32 ones stay.
    ///
    /// Words that no token was have gradients of 0, so nothing has to know which ones were there.
    pub(super) fn perturb_half_weights(&self, epsilon: f64) -> Result<(), GpuError> {
        let words = &self.layout.embeddings.words;
        if self.trained != Trained::All {
            return Ok(());
        }
        // They are the first parameters, so their gradients are the first ones.
        let norm = self.sum_of_squares(words.end)?.sqrt();
        if norm == 0.0 || !norm.is_finite() {
            return Ok(());
        }
        let arguments = [
            whole(&self.state.master),
            whole(&self.state.gradients),
            KernelArgument::F32((epsilon / norm) as f32),
            count(words.end),
            whole(&self.state.half),
        ];
        self.launch_over_numbers(Kernel::RoundPerturbed, words.end, PER_THREAD, &arguments)
    }

    /// A step of AdamW.
    pub(super) fn step(&mut self, by: Factors) -> Result<(), GpuError> {
        let (state, trained) = (&self.state, self.trained_count());
        if trained == 0 {
            return Ok(());
        }
        let arguments = [
            self.master_weight(state.start),
            whole(&state.gradients),
            whole(&state.exp_avg),
            whole(&state.exp_avg_sq),
            whole(&state.decays),
            count(trained),
            KernelArgument::F32(by.gradient),
            KernelArgument::F32(by.keep),
            KernelArgument::F32(by.towards),
            KernelArgument::F32(by.beta2),
            KernelArgument::F32(by.one_less_beta2),
            KernelArgument::F32(by.correction),
            KernelArgument::F32(by.epsilon),
            KernelArgument::F32(by.step_size),
            KernelArgument::Pointer(self.weight(state.start)),
        ];
        self.launch_over_numbers(Kernel::Adam, trained, PER_THREAD, &arguments)?;
        self.state.is_stale_on_cpu = true;
        Ok(())
    }

    /// The moments of what is trained here, each `[trained]`.
    pub(super) fn download_moments(&self) -> Result<Option<Moments>, GpuError> {
        let trained = self.trained_count();
        let read = |memory: &G::Memory| read(&*self.gpu, memory, trained);
        (trained > 0).then(|| Ok((read(&self.state.exp_avg)?, read(&self.state.exp_avg_sq)?))).transpose()
    }

    /// Sets them: each `[trained]`.
    pub(super) fn upload_moments(&mut self, exp_avg: &[f32], exp_avg_sq: &[f32]) -> Result<(), GpuError> {
        self.gpu.overwrite(&mut self.state.exp_avg, cast_slice(exp_avg))?;
        self.gpu.overwrite(&mut self.state.exp_avg_sq, cast_slice(exp_avg_sq))
    }
}

/// The first numbers of some memory.
fn read<G: GpuBackend>(gpu: &G, memory: &G::Memory, numbers: usize) -> Result<Vec<f32>, GpuError> {
    let mut read = vec![0.0_f32; numbers];
    gpu.download(memory, cast_slice_mut(&mut read)).map(|()| read)
}
