//! The kernels of each instruction set behind safe functions, and the choice among them at run time.
//!
//! They must not know models. Invariant: [`Kernels`] of an instruction set exist only where the machine has it, and
//! no kernel reads or writes outside of the slices that it is given.

use super::attention::{self, AttentionHead, attend};
use super::dense::{DenseF32, DenseI8, dense_f32, dense_i8};
use super::functions::Activation;
use super::gradients;
use super::registers;
use super::rows::{self, QuantizationParameters};
use super::simd::portable::Portable;
use super::simd::{ByteLimits, PANEL, Simd};

/// The kernels of one instruction set.
#[allow(clippy::type_complexity, reason = "each type is that of one function below, and used once")]
#[derive(Clone, Copy)]
pub struct Kernels {
    name: &'static str,
    /// See [`Simd::LIMITS`].
    limits: ByteLimits,
    dense_f32: unsafe fn(&DenseF32<'_>, &mut [f32], usize),
    dense_i8: unsafe fn(&DenseI8<'_>, &mut [f32], usize),
    add_norm: unsafe fn((*mut f32, *const f32), usize, (*const f32, *const f32), f32),
    activate: unsafe fn(*mut f32, usize, Activation),
    quantise: unsafe fn(
        (*mut f32, *mut u8),
        usize,
        Option<Activation>,
        Option<(*const f32, *const f32)>,
    ) -> QuantizationParameters,
    attend: unsafe fn(&AttentionHead<'_>, (&mut [f32], usize), &mut [f32]),
    norm: unsafe fn((*mut f32, *mut f32), usize, (*const f32, *const f32), f32) -> f32,
    norm_gradient: unsafe fn((*mut f32, *const f32), (usize, f32), *const f32, (*mut f32, *mut f32)),
    softmax: unsafe fn(*mut f32, usize),
    softmax_gradient: unsafe fn((*mut f32, *const f32), usize),
    activate_gradient: unsafe fn((*mut f32, *const f32), usize, Activation),
    multiply_floats: unsafe fn() -> usize,
    multiply_bytes: unsafe fn() -> usize,
}

/// Entry points compiled for an instruction set, and the table of them.
macro_rules! kernels {
    ($table:ident, $module:ident, $simd:ty, $name:literal $(, features: $features:literal)?) => {
        mod $module {
            use super::*;

            const V: usize = <$simd as Simd>::VECTORS;

            // SAFETY of all functions: the caller has made sure of the instruction set and of the slices.
            $(#[target_feature(enable = $features)])?
            unsafe fn dense_f32(layer: &DenseF32<'_>, output: &mut [f32], stride: usize) {
                // SAFETY: see above.
                unsafe { super::dense_f32::<$simd, V>(layer, output, stride) }
            }
            $(#[target_feature(enable = $features)])?
            unsafe fn dense_i8(layer: &DenseI8<'_>, output: &mut [f32], stride: usize) {
                // SAFETY: see above.
                unsafe { super::dense_i8::<$simd, V>(layer, output, stride) }
            }
            $(#[target_feature(enable = $features)])?
            unsafe fn add_norm(
                rows: (*mut f32, *const f32),
                width: usize,
                parameters: (*const f32, *const f32),
                eps: f32,
            ) {
                // SAFETY: see above.
                unsafe { rows::add_norm::<$simd>(rows, width, parameters, eps) }
            }
            $(#[target_feature(enable = $features)])?
            unsafe fn activate(x: *mut f32, width: usize, activation: Activation) {
                // SAFETY: see above.
                unsafe { rows::activate_row::<$simd>(x, width, activation) }
            }
            $(#[target_feature(enable = $features)])?
            unsafe fn quantise(
                rows: (*mut f32, *mut u8),
                width: usize,
                activation: Option<Activation>,
                smoothing: Option<(*const f32, *const f32)>,
            ) -> QuantizationParameters {
                // SAFETY: see above.
                unsafe { rows::quantise::<$simd>(rows, width, activation, smoothing) }
            }
            $(#[target_feature(enable = $features)])?
            unsafe fn attend(head: &AttentionHead<'_>, output: (&mut [f32], usize), scratch: &mut [f32]) {
                // SAFETY: see above.
                unsafe { super::attend::<$simd, V>(head, output, scratch) }
            }
            $(#[target_feature(enable = $features)])?
            unsafe fn norm(
                rows: (*mut f32, *mut f32),
                width: usize,
                parameters: (*const f32, *const f32),
                eps: f32,
            ) -> f32 {
                // SAFETY: see above.
                unsafe { gradients::norm::<$simd>(rows, width, parameters, eps) }
            }
            $(#[target_feature(enable = $features)])?
            unsafe fn norm_gradient(
                rows: (*mut f32, *const f32),
                about: (usize, f32),
                weight: *const f32,
                gradients: (*mut f32, *mut f32),
            ) {
                // SAFETY: see above.
                unsafe { gradients::norm_gradient::<$simd>(rows, about, weight, gradients) }
            }
            $(#[target_feature(enable = $features)])?
            unsafe fn softmax(x: *mut f32, width: usize) {
                // SAFETY: see above.
                unsafe { gradients::softmax::<$simd>(x, width) }
            }
            $(#[target_feature(enable = $features)])?
            unsafe fn softmax_gradient(rows: (*mut f32, *const f32), width: usize) {
                // SAFETY: see above.
                unsafe { gradients::softmax_gradient::<$simd>(rows, width) }
            }
            $(#[target_feature(enable = $features)])?
            unsafe fn activate_gradient(rows: (*mut f32, *const f32), width: usize, activation: Activation) {
                // SAFETY: see above.
                unsafe { gradients::activate_gradient::<$simd>(rows, width, activation) }
            }

            $(#[target_feature(enable = $features)])?
            unsafe fn multiply_floats() -> usize {
                // SAFETY: see above.
                unsafe { registers::multiply_floats::<$simd>() }
            }
            $(#[target_feature(enable = $features)])?
            unsafe fn multiply_bytes() -> usize {
                // SAFETY: see above.
                unsafe { registers::multiply_bytes::<$simd>() }
            }

            pub(super) const TABLE: Kernels = Kernels {
                name: $name,
                limits: <$simd as Simd>::LIMITS,
                dense_f32,
                dense_i8,
                add_norm,
                activate,
                quantise,
                attend,
                norm,
                norm_gradient,
                softmax,
                softmax_gradient,
                activate_gradient,
                multiply_floats,
                multiply_bytes,
            };
        }
        use $module::TABLE as $table;
    };
}

kernels!(PORTABLE, portable_kernels, Portable, "portable");

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::super::simd::{avx2, avx512};
    use super::*;

    kernels!(AVX512_VNNI, avx512_vnni, avx512::Avx512Vnni, "avx512_vnni",
        features: "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma");
    kernels!(AVX512, avx512_plain, avx512::Avx512, "avx512",
        features: "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma");
    kernels!(AVX_VNNI, avx_vnni, avx2::AvxVnni, "avx_vnni", features: "avxvnni,avx2,fma");
    kernels!(AVX2, avx2_plain, avx2::Avx2, "avx2", features: "avx2,fma");

    /// What this machine has, the fastest first.
    pub(super) fn supported() -> Vec<Kernels> {
        let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
        let avx512 = avx2
            && is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vl");
        let all = [
            (avx512 && is_x86_feature_detected!("avx512vnni"), AVX512_VNNI),
            (avx512, AVX512),
            (avx2 && is_x86_feature_detected!("avxvnni"), AVX_VNNI),
            (avx2, AVX2),
        ];
        all.into_iter().filter_map(|(has, kernels)| has.then_some(kernels)).collect()
    }
}

#[cfg(target_arch = "aarch64")]
mod arm {
    use super::super::simd::neon;
    use super::*;

    kernels!(NEON, neon_kernels, neon::Neon, "neon", features: "neon,dotprod");

    /// What this machine has, the fastest first.
    pub(super) fn supported() -> Vec<Kernels> {
        if std::arch::is_aarch64_feature_detected!("dotprod") { vec![NEON] } else { Vec::new() }
    }
}

impl Kernels {
    /// All that this machine can run, the fastest first; never none.
    pub fn supported() -> Vec<Self> {
        #[cfg(target_arch = "x86_64")]
        let mut supported = x86::supported();
        #[cfg(target_arch = "aarch64")]
        let mut supported = arm::supported();
        #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
        let mut supported = Vec::new();
        supported.push(PORTABLE);
        supported
    }

    /// The fastest that this machine can run.
    pub fn best() -> Self {
        Self::supported().first().copied().unwrap_or(PORTABLE)
    }

    /// The name that statistics show, for example `avx512_vnni`.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// What dot products of bytes are exact for.
    pub(super) fn byte_limits(&self) -> ByteLimits {
        self.limits
    }

    /// Rows of a dense layer into rows of `output`, `stride` apart.
    /// `output`: `[rows, stride]`, of each row as many numbers as there are biases.
    pub(super) fn dense_f32(&self, layer: &DenseF32<'_>, output: &mut [f32], stride: usize) {
        let columns = layer.bias.len();
        assert!(columns.is_multiple_of(PANEL) && layer.panels.len() == columns * layer.inputs);
        assert!(layer.input.len() >= span(layer.rows, layer.input_stride, layer.inputs));
        assert!(output.len() >= span(layer.rows, stride, columns) && stride >= columns);
        // SAFETY: the table exists only for instruction sets that the machine has; the slices have just been checked.
        unsafe { (self.dense_f32)(layer, output, stride) }
    }

    /// Rows of a dense layer into rows of `output`, `stride` apart.
    /// `output`: `[rows, stride]`, of each row as many numbers as there are biases.
    pub(super) fn dense_i8(&self, layer: &DenseI8<'_>, output: &mut [f32], stride: usize) {
        let columns = layer.bias.len();
        let groups = layer.groups();
        assert!(columns.is_multiple_of(PANEL) && layer.panels.len() == 4 * columns * layer.fours);
        let described = (groups.max(1) - 1) * layer.columns_stride + columns;
        assert!(layer.column_sums.len() >= described && layer.column_scales.len() >= described);
        assert!(layer.scales.len() >= layer.rows * groups && layer.zeros.len() >= layer.rows * groups);
        assert!(layer.input.len() >= span(layer.rows, layer.input_stride, 4 * layer.fours));
        debug_assert!(
            layer
                .panels
                .chunks_exact(2)
                .all(|pair| (i32::from(pair[0]) + i32::from(pair[1])).abs() <= self.limits.pair)
        );
        assert!(output.len() >= span(layer.rows, stride, columns) && stride >= columns);
        // SAFETY: the table exists only for instruction sets that the machine has; the slices have just been checked.
        unsafe { (self.dense_i8)(layer, output, stride) }
    }

    /// `x = norm(x + y)`, for a row; see [`rows::add_norm`].
    /// All slices `[width]`.
    pub(super) fn add_norm(&self, x: &mut [f32], y: &[f32], (weight, bias): (&[f32], &[f32]), eps: f32) {
        let width = x.len();
        assert!(y.len() == width && weight.len() == width && bias.len() == width);
        // SAFETY: the table exists only for instruction sets that the machine has; the slices have just been checked.
        unsafe {
            (self.add_norm)((x.as_mut_ptr(), y.as_ptr()), width, (weight.as_ptr(), bias.as_ptr()), eps);
        }
    }

    /// Applies an activation to a row.
    /// `x`: `[width]`, or rows without gaps: each number is by itself.
    pub fn activate(&self, x: &mut [f32], activation: Activation) {
        // SAFETY: the table exists only for instruction sets that the machine has.
        unsafe { (self.activate)(x.as_mut_ptr(), x.len(), activation) }
    }

    /// Writes a row as bytes; see [`rows::quantise`].
    /// `x`, `shift`, `factor`: `[width]`; `bytes` at least `[width]`.
    pub(super) fn quantise(
        &self,
        x: &mut [f32],
        bytes: &mut [u8],
        activation: Option<Activation>,
        smoothing: Option<(&[f32], &[f32])>,
    ) -> QuantizationParameters {
        let width = x.len();
        assert!(bytes.len() >= width);
        assert!(smoothing.is_none_or(|(shift, factor)| shift.len() == width && factor.len() == width));
        let rows = (x.as_mut_ptr(), bytes.as_mut_ptr());
        let smoothing = smoothing.map(|(shift, factor)| (shift.as_ptr(), factor.as_ptr()));
        // SAFETY: the table exists only for instruction sets that the machine has; the slices have just been checked.
        unsafe { (self.quantise)(rows, width, activation, smoothing) }
    }

    /// Attention of some queries of a head into rows of `output`, `stride` apart.
    /// `output`: `[queries, stride]`, of each row the width of the head; `scratch`: [`attention::scratch_size`] numbers.
    pub(super) fn attend(
        &self,
        head: &AttentionHead<'_>,
        (output, stride): (&mut [f32], usize),
        scratch: &mut [f32],
    ) {
        assert!(head.length > 0 && scratch.len() >= attention::scratch_size(head.length, head.width));
        assert!(head.queries.len() >= span(head.count, head.query_stride, head.width));
        assert!(head.keys.len() >= span(head.length, head.stride, head.width));
        assert!(head.values.len() >= span(head.length, head.stride, head.width));
        assert!(output.len() >= span(head.count, stride, head.width));
        // SAFETY: the table exists only for instruction sets that the machine has; the slices have just been checked.
        unsafe { (self.attend)(head, (output, stride), scratch) }
    }
}

/// For training; see [`gradients`].
impl Kernels {
    /// Normalises a row, writes it weighed to `y`, and returns by what it was multiplied.
    /// All slices `[width]`.
    pub fn norm(&self, x: &mut [f32], y: &mut [f32], (weight, bias): (&[f32], &[f32]), eps: f32) -> f32 {
        let width = x.len();
        assert!(y.len() == width && weight.len() == width && bias.len() == width);
        let (rows, parameters) = ((x.as_mut_ptr(), y.as_mut_ptr()), (weight.as_ptr(), bias.as_ptr()));
        // SAFETY: the table exists only for instruction sets that the machine has; the slices have just been checked.
        unsafe { (self.norm)(rows, width, parameters, eps) }
    }

    /// From the gradient of a normalised row's output to that of its input, and adds to those of weight and bias.
    /// All slices `[width]`.
    pub fn norm_gradient(
        &self,
        (dy, x): (&mut [f32], &[f32]),
        factor: f32,
        weight: &[f32],
        (d_weight, d_bias): (&mut [f32], &mut [f32]),
    ) {
        let width = dy.len();
        assert!(x.len() == width && weight.len() == width);
        assert!(d_weight.len() == width && d_bias.len() == width);
        let (rows, sums) = ((dy.as_mut_ptr(), x.as_ptr()), (d_weight.as_mut_ptr(), d_bias.as_mut_ptr()));
        // SAFETY: the table exists only for instruction sets that the machine has; the slices have just been checked.
        unsafe { (self.norm_gradient)(rows, (width, factor), weight.as_ptr(), sums) }
    }

    /// Probabilities in the place of a row of scores.
    /// `x`: `[tokens]`.
    pub fn softmax(&self, x: &mut [f32]) {
        // SAFETY: the table exists only for instruction sets that the machine has.
        unsafe { (self.softmax)(x.as_mut_ptr(), x.len()) }
    }

    /// From the gradient of probabilities to that of the scores.
    /// `p`: the probabilities, `[tokens]`, and `dp` as well.
    pub fn softmax_gradient(&self, dp: &mut [f32], p: &[f32]) {
        assert!(dp.len() == p.len());
        // SAFETY: the table exists only for instruction sets that the machine has; the slices have just been checked.
        unsafe { (self.softmax_gradient)((dp.as_mut_ptr(), p.as_ptr()), p.len()) }
    }

    /// From the gradient of an activation's output to that of its input `x`.
    /// `dy` and `x`: `[width]`, or rows without gaps.
    pub fn activate_gradient(&self, dy: &mut [f32], x: &[f32], activation: Activation) {
        assert!(dy.len() == x.len());
        // SAFETY: the table exists only for instruction sets that the machine has; the slices have just been checked.
        unsafe { (self.activate_gradient)((dy.as_mut_ptr(), x.as_ptr()), x.len(), activation) }
    }
}

impl Kernels {
    /// See [`registers::multiply_floats`].
    pub(super) fn multiply_floats(&self) -> usize {
        // SAFETY: the table exists only for instruction sets that the machine has.
        unsafe { (self.multiply_floats)() }
    }

    /// See [`registers::multiply_bytes`].
    pub(super) fn multiply_bytes(&self) -> usize {
        // SAFETY: the table exists only for instruction sets that the machine has.
        unsafe { (self.multiply_bytes)() }
    }
}

impl std::fmt::Debug for Kernels {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_tuple("Kernels").field(&self.name).finish()
    }
}

/// Numbers from the first of the first row to the last of the last.
fn span(rows: usize, stride: usize, columns: usize) -> usize {
    if rows == 0 { 0 } else { (rows - 1) * stride + columns }
}
