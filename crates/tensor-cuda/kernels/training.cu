// Kernels of training besides products and attention: layer norms with what their gradients need, activations, what is left out,
// sums over rows, and AdamW.
//
// Hidden states and their gradients are in bf16, everything that is summed up over rows is in f32. Sums have the same order each
// time, so a training has the same bits each time on the same kind of machine.

#include "dropout.cuh"
#include "rows.cuh"

namespace {

// Rows that a warp sums up before it writes what they come to.
constexpr unsigned ROWS_OF_WARP = 16;

// Numbers whose squares a warp sums up.
constexpr unsigned SQUARES_OF_WARP = 4096;

// The activations of the feed-forward part, by their numbers.
constexpr unsigned GELU = 0, GELU_TANH = 1;

constexpr float ROOT_HALF = 0.70710678f, ROOT_2_BY_PI = 0.79788456f, CUBIC = 0.044715f, ROOT_1_BY_2PI = 0.39894228f;

__device__ inline float activated(float x, unsigned kind) {
    if (kind == GELU) {
        return 0.5f * x * (1 + erff(x * ROOT_HALF));
    }
    if (kind == GELU_TANH) {
        return 0.5f * x * (1 + tanhf(ROOT_2_BY_PI * (x + CUBIC * x * x * x)));
    }
    // Not `fmaxf`, which would hide NaN.
    return x < 0 ? 0 : x;
}

__device__ inline float slope(float x, unsigned kind) {
    if (kind == GELU) {
        return 0.5f * (1 + erff(x * ROOT_HALF)) + x * ROOT_1_BY_2PI * expf(-0.5f * x * x);
    }
    if (kind == GELU_TANH) {
        const float t = tanhf(ROOT_2_BY_PI * (x + CUBIC * x * x * x));
        return 0.5f * (1 + t) + 0.5f * x * (1 - t * t) * ROOT_2_BY_PI * (1 + 3 * CUBIC * x * x);
    }
    return x > 0 ? 1 : 0;
}

}  // namespace

// The layer norm of the sum of two rows, of the left one of which some is left out. `normal` are deviations by the standard
// deviation, `factors` what the deviations of each row were multiplied by.
extern "C" __global__ void add_norm_training(const bf16* left, const bf16* right, const float* gain, const float* shift,
                                             float epsilon, unsigned width, unsigned rows, Bits mask_key, unsigned mask_share,
                                             float mask_scale, bf16* output, bf16* normal, float* factors) {
    const unsigned index = row_of_warp();
    if (index >= rows) {
        return;
    }
    const Mask mask = {mask_key, mask_share, mask_scale};
    const Bits mask_row = row_of_mask(mask, index);
    const unsigned lane = threadIdx.x % LANES;
    const size_t start = size_t(index) * width;
    const Row row = warp_row(width);
    for (unsigned at = 8 * lane; at < width; at += 8 * LANES) {
        each(load(left + start + at), [&](unsigned i, float value) { row(at, i) = value * factor(mask, mask_row, at + i); });
        each(load(right + start + at), [&](unsigned i, float value) { row(at, i) += value; });
    }
    const float scale = deviate(row, epsilon);
    for (unsigned at = 8 * lane; at < width; at += 8 * LANES) {
        const ExactEight gains = load_eight(gain + at), shifts = load_eight(shift + at);
        store(normal + start + at, rounded([&](unsigned i) { return row(at, i); }));
        store(output + start + at, rounded([&](unsigned i) { return row(at, i) * gains[i] + shifts[i]; }));
    }
    if (lane == 0) {
        factors[index] = scale;
    }
}

// As `embed`, with what `add_norm_training` leaves; some of the output is left out.
extern "C" __global__ void embed_training(const unsigned* ids, const unsigned* positions, const bf16* words, const bf16* places,
                                          const bf16* type, const float* gain, const float* shift, float epsilon, unsigned width,
                                          unsigned tokens, Bits mask_key, unsigned mask_share, float mask_scale, bf16* output,
                                          bf16* normal, float* factors) {
    const unsigned index = row_of_warp();
    if (index >= tokens) {
        return;
    }
    const Mask mask = {mask_key, mask_share, mask_scale};
    const Bits mask_row = row_of_mask(mask, index);
    const unsigned lane = threadIdx.x % LANES;
    const size_t start = size_t(index) * width;
    const bf16* word = words + size_t(ids[index]) * width;
    const bf16* place = places + size_t(positions[index]) * width;
    const Row row = warp_row(width);
    for (unsigned at = 8 * lane; at < width; at += 8 * LANES) {
        each(load(word + at), [&](unsigned i, float value) { row(at, i) = value; });
        each(load(place + at), [&](unsigned i, float value) { row(at, i) += value; });
        each(load(type + at), [&](unsigned i, float value) { row(at, i) += value; });
    }
    const float scale = deviate(row, epsilon);
    for (unsigned at = 8 * lane; at < width; at += 8 * LANES) {
        const ExactEight gains = load_eight(gain + at), shifts = load_eight(shift + at);
        store(normal + start + at, rounded([&](unsigned i) { return row(at, i); }));
        store(output + start + at, rounded([&](unsigned i) {
                  return (row(at, i) * gains[i] + shifts[i]) * factor(mask, mask_row, at + i);
              }));
    }
    if (lane == 0) {
        factors[index] = scale;
    }
}

// From the gradient of a layer norm's output to that of its input, in its place. A warp works on ROWS_OF_WARP rows, and writes a row
// of 2 `width` partial sums: the gradients of `gain`, then those of `shift`. It needs as much shared memory, and as much again as
// half of it.
extern "C" __global__ void norm_back(bf16* gradient, const bf16* normal, const float* factors, const float* gain, unsigned width,
                                     unsigned rows, float* partial) {
    const unsigned index = row_of_warp(), lane = threadIdx.x % LANES;
    const unsigned first = index * ROWS_OF_WARP;
    if (first >= rows) {
        return;
    }
    const Row row = warp_row(width, 3), of_gain = {row.memory + width, width}, of_shift = {of_gain.memory + width, width};
    for (unsigned at = 8 * lane; at < width; at += 8 * LANES) {
#pragma unroll
        for (unsigned i = 0; i < 8; ++i) {
            of_gain(at, i) = of_shift(at, i) = 0;
        }
    }
    for (unsigned of = first; of < min(first + ROWS_OF_WARP, rows); ++of) {
        const size_t start = size_t(of) * width;
        float sum = 0, product = 0;
        for (unsigned at = 8 * lane; at < width; at += 8 * LANES) {
            const ExactEight gains = load_eight(gain + at);
            each(load(gradient + start + at), [&](unsigned i, float value) {
                of_shift(at, i) += value;
                row(at, i) = value;
            });
            each(load(normal + start + at), [&](unsigned i, float value) {
                of_gain(at, i) += row(at, i) * value;
                const float scaled = row(at, i) * gains[i];
                row(at, i) = scaled;
                sum += scaled;
                product += scaled * value;
            });
        }
        const float mean = warp_sum(sum) / width, slope_of_scale = warp_sum(product) / width;
        for (unsigned at = 8 * lane; at < width; at += 8 * LANES) {
            each(load(normal + start + at),
                 [&](unsigned i, float value) { row(at, i) = (row(at, i) - mean - value * slope_of_scale) * factors[of]; });
            store(gradient + start + at, rounded([&](unsigned i) { return row(at, i); }));
        }
    }
    for (unsigned at = 8 * lane; at < width; at += 8 * LANES) {
        float* to = partial + size_t(index) * 2 * width + at;
        store_eight(to, [&](unsigned i) { return of_gain(at, i); });
        store_eight(to + width, [&](unsigned i) { return of_shift(at, i); });
    }
}

// Sums over ROWS_OF_WARP rows of bf16, a row of `width` partial sums for each warp.
extern "C" __global__ void sum_rows(const bf16* input, unsigned width, unsigned rows, float* partial) {
    const unsigned index = row_of_warp();
    const unsigned first = index * ROWS_OF_WARP;
    if (first >= rows) {
        return;
    }
    for (unsigned at = 8 * (threadIdx.x % LANES); at < width; at += 8 * LANES) {
        float sums[8] = {};
        for (unsigned row = first; row < min(first + ROWS_OF_WARP, rows); ++row) {
            each(load(input + size_t(row) * width + at), [&](unsigned i, float value) { sums[i] += value; });
        }
        store_eight(partial + size_t(index) * width + at, [&](unsigned i) { return sums[i]; });
    }
}

// Adds to each number of `sums` all partial sums of its column. A block works on LANES columns, each warp on a row of every so many.
extern "C" __global__ void add_partial(const float* partial, unsigned width, unsigned rows, float* sums) {
    const unsigned lane = threadIdx.x % LANES, warp = threadIdx.x / LANES, warps = blockDim.x / LANES;
    const unsigned column = blockIdx.x * LANES + lane;
    float* of_warps = launch_memory();
    float sum = 0;
    if (column < width) {
#pragma unroll 4
        for (unsigned row = warp; row < rows; row += warps) {
            sum += partial[size_t(row) * width + column];
        }
    }
    of_warps[threadIdx.x] = sum;
    __syncthreads();
    if (warp > 0 || column >= width) {
        return;
    }
    for (unsigned other = 1; other < warps; ++other) {
        sum += of_warps[other * LANES + lane];
    }
    sums[column] += sum;
}

// Activations of `count` numbers, a multiple of 8.
extern "C" __global__ void activate(const bf16* inner, unsigned kind, unsigned count, bf16* output) {
    const unsigned at = 8 * (blockIdx.x * blockDim.x + threadIdx.x);
    if (at < count) {
        const Eight numbers = load(inner + at);
        store(output + at, rounded([&](unsigned i) {
                  const unsigned pair = numbers.pairs[i / 2];
                  return activated(i % 2 ? Bf16::high(pair) : Bf16::low(pair), kind);
              }));
    }
}

// From the gradients of activations to those of what was activated, in their place.
extern "C" __global__ void activate_back(bf16* gradient, const bf16* inner, unsigned kind, unsigned count) {
    const unsigned at = 8 * (blockIdx.x * blockDim.x + threadIdx.x);
    if (at < count) {
        const Eight numbers = load(inner + at), gradients = load(gradient + at);
        store(gradient + at, rounded([&](unsigned i) {
                  const unsigned pair = numbers.pairs[i / 2], of = gradients.pairs[i / 2];
                  return (i % 2 ? Bf16::high(of) : Bf16::low(of)) * slope(i % 2 ? Bf16::high(pair) : Bf16::low(pair), kind);
              }));
    }
}

// Leaves out some numbers of rows.
extern "C" __global__ void dropout(const bf16* input, unsigned width, unsigned rows, Bits mask_key, unsigned mask_share,
                                     float mask_scale, bf16* output) {
    const unsigned index = row_of_warp();
    if (index >= rows) {
        return;
    }
    const Mask mask = {mask_key, mask_share, mask_scale};
    const Bits mask_row = row_of_mask(mask, index);
    const size_t start = size_t(index) * width;
    for (unsigned at = 8 * (threadIdx.x % LANES); at < width; at += 8 * LANES) {
        const Eight numbers = load(input + start + at);
        store(output + start + at, rounded([&](unsigned i) {
                  const unsigned pair = numbers.pairs[i / 2];
                  return (i % 2 ? Bf16::high(pair) : Bf16::low(pair)) * factor(mask, mask_row, at + i);
              }));
    }
}

// Adds rows of gradients to those rows of a table that they belong to. Tokens are sorted by their rows: run i is of row `rows[i]`, and
// has the tokens `order[starts[i]]` to `order[starts[i + 1] - 1]`.
extern "C" __global__ void add_to_table(const bf16* gradient, const unsigned* order, const unsigned* starts, const unsigned* rows,
                                        unsigned runs, unsigned width, float* table) {
    const unsigned run = row_of_warp();
    if (run >= runs) {
        return;
    }
    float* to = table + size_t(rows[run]) * width;
    for (unsigned at = 8 * (threadIdx.x % LANES); at < width; at += 8 * LANES) {
        float sums[8] = {};
        for (unsigned token = starts[run]; token < starts[run + 1]; ++token) {
            each(load(gradient + size_t(order[token]) * width + at), [&](unsigned i, float value) { sums[i] += value; });
        }
        const ExactEight before = load_eight(to + at);
        store_eight(to + at, [&](unsigned i) { return before[i] + sums[i]; });
    }
}

// Adds row i to row `indices[i]` of a matrix in bf16; all are different.
extern "C" __global__ void scatter_add(const bf16* input, const unsigned* indices, unsigned width, unsigned rows, bf16* sums) {
    const unsigned index = row_of_warp();
    if (index >= rows) {
        return;
    }
    bf16* to = sums + size_t(indices[index]) * width;
    for (unsigned at = 8 * (threadIdx.x % LANES); at < width; at += 8 * LANES) {
        const Eight own = load(input + size_t(index) * width + at), there = load(to + at);
        store(to + at, rounded([&](unsigned i) {
                  const unsigned a = own.pairs[i / 2], b = there.pairs[i / 2];
                  return i % 2 ? Bf16::high(a) + Bf16::high(b) : Bf16::low(a) + Bf16::low(b);
              }));
    }
}

// Rounds `count` numbers, a multiple of 4.
extern "C" __global__ void round_numbers(const float* input, unsigned count, bf16* output) {
    const unsigned at = 4 * (blockIdx.x * blockDim.x + threadIdx.x);
    if (at < count) {
        store(output + at, rounded(load(input + at)));
    }
}

// Rounds `count` weights, a multiple of 4, that are moved along their gradients.
extern "C" __global__ void round_perturbed(const float* weights, const float* gradients, float far, unsigned count, bf16* output) {
    const unsigned at = 4 * (blockIdx.x * blockDim.x + threadIdx.x);
    if (at < count) {
        Four moved = load(weights + at);
        const Four gradient = load(gradients + at);
#pragma unroll
        for (unsigned i = 0; i < 4; ++i) {
            moved.numbers[i] += far * gradient.numbers[i];
        }
        store(output + at, rounded(moved));
    }
}

// Sums of the squares of SQUARES_OF_WARP numbers each, one for each warp; of `count` numbers, a multiple of 4.
extern "C" __global__ void sum_squares(const float* input, unsigned count, float* sums) {
    const unsigned index = row_of_warp(), lane = threadIdx.x % LANES;
    const size_t first = size_t(index) * SQUARES_OF_WARP;
    if (first >= count) {
        return;
    }
    const size_t end = min(first + SQUARES_OF_WARP, size_t(count));
    float own[4] = {};
    for (size_t at = first + 4 * lane; at < end; at += 4 * LANES) {
        const Four four = load(input + at);
#pragma unroll
        for (unsigned i = 0; i < 4; ++i) {
            own[i] += four.numbers[i] * four.numbers[i];
        }
    }
    const float sum = warp_sum(own[0] + own[1] + own[2] + own[3]);
    if (lane == 0) {
        sums[index] = sum;
    }
}

// A step of AdamW for `count` weights, a multiple of 8, with the factors of `train/optimizer/update.rs`; it leaves the weights
// rounded too, and gradients of 0. Bit i of `decays` says whether eight weights, those from number 8 i on, decay.
extern "C" __global__ void adam(float* weights, float* gradients, float* exp_avg, float* exp_avg_sq, const unsigned* decays,
                                unsigned count, float scale, float keep, float towards, float beta2, float one_less_beta2,
                                float correction, float epsilon, float step_size, bf16* output) {
    const unsigned at = 4 * (blockIdx.x * blockDim.x + threadIdx.x);
    if (at >= count) {
        return;
    }
    const bool is_drawn = decays[at / 8 / 32] >> (at / 8 % 32) & 1;
    const Four gradient = load(gradients + at);
    Four weight = load(weights + at), first = load(exp_avg + at), second = load(exp_avg_sq + at);
#pragma unroll
    for (unsigned i = 0; i < 4; ++i) {
        const float slope = scale * gradient.numbers[i];
        const float mean = first.numbers[i] + towards * (slope - first.numbers[i]);
        const float squares = beta2 * second.numbers[i] + one_less_beta2 * (slope * slope);
        const float divisor = sqrtf(squares) * correction + epsilon;
        weight.numbers[i] = (is_drawn ? keep : 1) * weight.numbers[i] - step_size * (mean / divisor);
        first.numbers[i] = mean;
        second.numbers[i] = squares;
    }
    store(weights + at, weight);
    store(gradients + at, Four{});
    store(exp_avg + at, first);
    store(exp_avg_sq + at, second);
    store(output + at, rounded(weight));
}

// `width` numbers of each row, which are `stride` numbers apart, as rows without gaps.
extern "C" __global__ void copy_columns(const bf16* input, unsigned stride, unsigned width, unsigned rows, bf16* output) {
    const unsigned index = row_of_warp();
    if (index >= rows) {
        return;
    }
    for (unsigned at = 8 * (threadIdx.x % LANES); at < width; at += 8 * LANES) {
        store(output + size_t(index) * width + at, load(input + size_t(index) * stride + at));
    }
}
