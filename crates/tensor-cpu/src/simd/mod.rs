//! Vectors of numbers as the kernels see them: one trait, implemented once for each instruction set.
//!
//! It must not know layers or models. Invariant: an operation gives the same bits in every lane, whatever the
//! other lanes hold, so that a row of a matrix never depends on its neighbours.
//!
//! The kernels are generic over [`Simd`], and every function on the way is `#[inline(always)]`: only the entry
//! points in [`kernels`](super::kernels) carry `#[target_feature]`, and the compiler must see the vector
//! instructions inside of them.

#[cfg(target_arch = "x86_64")]
pub(super) mod avx2;
#[cfg(target_arch = "x86_64")]
pub(super) mod avx512;
#[cfg(target_arch = "aarch64")]
pub(super) mod neon;
pub(super) mod portable;

/// Columns of a panel of weights; a multiple of every instruction set's tile.
pub(super) const PANEL: usize = 32;

/// Most rows of a register tile, of all instruction sets.
pub(super) const MOST_ROWS: usize = 14;

/// What [`Simd::dot`] is exact for, and how it is best asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ByteLimits {
    /// The greatest byte of activations.
    pub(super) byte: u8,
    /// The greatest magnitude of the sum of two neighbouring weights, the first of which has an even place. Weights of different
    /// signs never add up to too much; none is -128.
    pub(super) pair: i32,
    /// Inputs that share a scale: a value far from all others spoils the steps of its group only, but each group costs some
    /// instructions. A multiple of four.
    pub(super) group: usize,
}

impl ByteLimits {
    /// Sums in 32 bits.
    const NONE: Self = Self { byte: u8::MAX, pair: 2 * i8::MAX as i32, group: 384 };

    /// Sums of two products in 16 bits. With 193 steps for activations a pair may reach two thirds of what two weights could,
    /// which few do; the smaller groups make up for the coarser steps. Probabilities of the built-in model differ from those in
    /// `f32` by 0.0020 in the mean, and by 0.0023 with [`NONE`](Self::NONE).
    const PAIRS: Self = Self { byte: 192, pair: i16::MAX as i32 / 192, group: 128 };
}

/// An instruction set.
///
/// # Safety
/// Every function may be called only on a machine that has the instruction set. Pointers must be good for
/// [`LANES`](Self::LANES) numbers, or for `count` where there is one; they need no alignment.
pub(super) trait Simd: Copy {
    /// Numbers in a vector.
    const LANES: usize;
    /// Vectors side by side in a register tile; the tile's columns divide [`PANEL`].
    const VECTORS: usize;
    /// Most rows of a register tile: as many as leave registers for one row of weights and one number.
    const ROWS: usize;
    /// As [`ROWS`](Self::ROWS) for bytes, whose dot product may need more registers.
    const BYTE_ROWS: usize;
    /// What [`dot`](Self::dot) is exact for.
    const LIMITS: ByteLimits;

    /// `f32` in all lanes.
    type Floats: Copy;
    /// 32 bits in all lanes: `i32`, or four bytes of a dot product.
    type Ints: Copy;

    unsafe fn splat(value: f32) -> Self::Floats;
    unsafe fn load(from: *const f32) -> Self::Floats;
    /// The first `count < LANES` lanes from memory, the others zero.
    unsafe fn load_part(from: *const f32, count: usize) -> Self::Floats;
    unsafe fn store(to: *mut f32, value: Self::Floats);
    /// The first `count < LANES` lanes to memory.
    unsafe fn store_part(to: *mut f32, value: Self::Floats, count: usize);
    /// The first `count <= LANES` lanes of `value`, the others of `other`.
    unsafe fn first(value: Self::Floats, other: Self::Floats, count: usize) -> Self::Floats;

    unsafe fn add(a: Self::Floats, b: Self::Floats) -> Self::Floats;
    unsafe fn sub(a: Self::Floats, b: Self::Floats) -> Self::Floats;
    unsafe fn mul(a: Self::Floats, b: Self::Floats) -> Self::Floats;
    /// `a b + c`, rounded once where the instruction set can.
    unsafe fn mul_add(a: Self::Floats, b: Self::Floats, c: Self::Floats) -> Self::Floats;
    /// The lesser of two numbers; `b` if one of them is not a number.
    unsafe fn min(a: Self::Floats, b: Self::Floats) -> Self::Floats;
    /// The greater of two numbers; `b` if one of them is not a number.
    unsafe fn max(a: Self::Floats, b: Self::Floats) -> Self::Floats;
    /// `1 / a` to within two units in the last place.
    unsafe fn reciprocal(a: Self::Floats) -> Self::Floats;
    /// To the nearest integer, ties to even.
    unsafe fn round(a: Self::Floats) -> Self::Floats;
    /// `a 2^n` for an integral `n` of -126 to 127.
    unsafe fn scale(a: Self::Floats, n: Self::Floats) -> Self::Floats;
    unsafe fn sum(a: Self::Floats) -> f32;
    /// The least of all lanes, none of which may be NaN.
    unsafe fn least(a: Self::Floats) -> f32;
    /// The greatest of all lanes, none of which may be NaN.
    unsafe fn greatest(a: Self::Floats) -> f32;
    /// Writes `LANES` rows of `LANES` numbers with rows and columns exchanged; `from` and `to` with the distance of rows. Only
    /// `count` rows are read, the others are zero.
    unsafe fn transpose(from: (*const f32, usize), count: usize, to: (*mut f32, usize));

    unsafe fn splat_ints(value: i32) -> Self::Ints;
    unsafe fn load_ints(from: *const i32) -> Self::Ints;
    /// `a - b c`, all of which fit.
    unsafe fn sub_mul_ints(a: Self::Ints, b: Self::Ints, c: Self::Ints) -> Self::Ints;
    unsafe fn to_floats(a: Self::Ints) -> Self::Floats;
    /// Has what lies there brought into the nearest cache, if the instruction set can ask for it. Any address will do.
    #[inline(always)]
    fn prefetch(_address: *const i8) {}
    /// Adds to each lane the exact dot product of four unsigned bytes of `a` with four signed bytes of `b`, if they keep to
    /// [`LIMITS`](Self::LIMITS).
    unsafe fn dot(sum: Self::Ints, a: Self::Ints, b: Self::Ints) -> Self::Ints;
    /// Rounds to the nearest integer, clamps to 0 to the greatest byte of [`LIMITS`](Self::LIMITS) and writes `count <= LANES` bytes.
    /// NaN gives 0.
    unsafe fn store_bytes(to: *mut u8, value: Self::Floats, count: usize);
}
