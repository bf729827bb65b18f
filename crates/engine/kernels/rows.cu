// Kernels in which a warp works on a row: embeddings, layer norms, the choice of rows, and the last layer of a head.
//
// Rows lie one after the other, each of `width` numbers, a multiple of 8. Hidden states are in bf16; all that is computed of them
// is in f32. Invariant: a row's result does not depend on how many rows there are.

#include "rows.cuh"

namespace {

// The layer norm of a row.
__device__ inline void normalise(const Row& row, const float* gain, const float* shift, float epsilon, bf16* output) {
    deviate(row, epsilon);
    for (unsigned at = 8 * (threadIdx.x % LANES); at < row.width; at += 8 * LANES) {
        const ExactEight factors = load_eight(gain + at), summands = load_eight(shift + at);
        store(output + at, rounded([&](unsigned i) { return row(at, i) * factors[i] + summands[i]; }));
    }
}

}  // namespace

// The normalised sum of a word's and a position's embedding for each token.
extern "C" __global__ void embed(const unsigned* ids, const unsigned* positions, const bf16* words, const bf16* places,
                                 const float* gain, const float* shift, float epsilon, unsigned width, unsigned tokens,
                                 bf16* output) {
    const unsigned token = row_of_warp();
    if (token >= tokens) {
        return;
    }
    const bf16* word = words + size_t(ids[token]) * width;
    const bf16* place = places + size_t(positions[token]) * width;
    const Row row = warp_row(width);
    for (unsigned at = 8 * (threadIdx.x % LANES); at < width; at += 8 * LANES) {
        each(load(word + at), [&](unsigned i, float value) { row(at, i) = value; });
        each(load(place + at), [&](unsigned i, float value) { row(at, i) += value; });
    }
    normalise(row, gain, shift, epsilon, output + size_t(token) * width);
}

// The normalised sum of two rows. `output` may be one of them.
extern "C" __global__ void add_norm(const bf16* left, const bf16* right, const float* gain, const float* shift, float epsilon,
                                    unsigned width, unsigned rows, bf16* output) {
    const unsigned index = row_of_warp();
    if (index >= rows) {
        return;
    }
    const size_t start = size_t(index) * width;
    const Row row = warp_row(width);
    for (unsigned at = 8 * (threadIdx.x % LANES); at < width; at += 8 * LANES) {
        each(load(left + start + at), [&](unsigned i, float value) { row(at, i) = value; });
        each(load(right + start + at), [&](unsigned i, float value) { row(at, i) += value; });
    }
    normalise(row, gain, shift, epsilon, output + start);
}

// Row `chosen[i]` of the input as row i.
extern "C" __global__ void choose(const bf16* input, const unsigned* chosen, unsigned width, unsigned rows, bf16* output) {
    const unsigned index = row_of_warp();
    if (index >= rows) {
        return;
    }
    const bf16* from = input + size_t(chosen[index]) * width;
    for (unsigned at = 8 * (threadIdx.x % LANES); at < width; at += 8 * LANES) {
        store(output + size_t(index) * width + at, load(from + at));
    }
}

// The mean of rows `starts[i]` to `starts[i + 1]` as row i of f32.
extern "C" __global__ void mean(const bf16* input, const unsigned* starts, unsigned width, unsigned means, float* output) {
    const unsigned index = row_of_warp();
    if (index >= means) {
        return;
    }
    const unsigned start = starts[index], end = starts[index + 1];
    for (unsigned at = 8 * (threadIdx.x % LANES); at < width; at += 8 * LANES) {
        float sums[8] = {};
        for (unsigned row = start; row < end; ++row) {
            each(load(input + size_t(row) * width + at), [&](unsigned i, float value) { sums[i] += value; });
        }
        store_eight(output + size_t(index) * width + at, [&](unsigned i) { return sums[i] / (end - start); });
    }
}

// The last layer of a head: `outputs` numbers in f32 for each row, whose own activation is still to come: tanh, or what is above 0.
extern "C" __global__ void classify(const bf16* input, const float* weights, const float* bias, unsigned is_tanh, unsigned width,
                                    unsigned outputs, unsigned rows, float* output) {
    const unsigned index = row_of_warp();
    if (index >= rows) {
        return;
    }
    const unsigned lane = threadIdx.x % LANES;
    const Row row = warp_row(width);
    for (unsigned at = 8 * lane; at < width; at += 8 * LANES) {
        each(load(input + size_t(index) * width + at), [&](unsigned i, float value) {
            // Not `fmaxf`, which would hide NaN.
            row(at, i) = is_tanh ? tanhf(value) : value < 0 ? 0 : value;
        });
    }
    for (unsigned out = 0; out < outputs; ++out) {
        const float* weight = weights + size_t(out) * width;
        float sum = 0;
        for (unsigned at = 8 * lane; at < width; at += 8 * LANES) {
            const ExactEight factors = load_eight(weight + at);
#pragma unroll
            for (unsigned i = 0; i < 8; ++i) {
                sum += row(at, i) * factors[i];
            }
        }
        sum = warp_sum(sum);
        if (lane == 0) {
            output[size_t(index) * outputs + out] = sum + bias[out];
        }
    }
}
