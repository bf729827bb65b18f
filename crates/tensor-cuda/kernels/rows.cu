// Kernels in which a warp works on a row: embeddings, layer norms, the choice of rows, and the last layer of a head.
//
// Rows lie one after the other, each of `width` numbers, a multiple of 8. Hidden states have 16 bits; all that is computed of them
// is in f32. Invariant: a row's result does not depend on how many rows there are.

#include "rows.cuh"

namespace {

// The layer norm of a row.
template <class N>
__device__ inline void normalise(const Row& row, const float* gain, const float* shift, float epsilon, narrow* output) {
    deviate(row, epsilon);
    for (unsigned at = 8 * (threadIdx.x % LANES); at < row.width; at += 8 * LANES) {
        const ExactEight factors = load_eight(gain + at), summands = load_eight(shift + at);
        store(output + at, rounded<N>([&](unsigned i) { return row(at, i) * factors[i] + summands[i]; }));
    }
}

// The layer norm of the sum of two rows.
template <class N>
__device__ inline void normalise_sum(const narrow* left, const narrow* right, const float* gain, const float* shift, float epsilon,
                                     unsigned width, narrow* output) {
    const Row row = warp_row(width);
    for (unsigned at = 8 * (threadIdx.x % LANES); at < width; at += 8 * LANES) {
        each<N>(load(left + at), [&](unsigned i, float value) { row(at, i) = value; });
        each<N>(load(right + at), [&](unsigned i, float value) { row(at, i) += value; });
    }
    normalise<N>(row, gain, shift, epsilon, output);
}

// The mean of rows `start` to `end`, in f32.
template <class N>
__device__ inline void mean_row(const narrow* input, unsigned start, unsigned end, unsigned width, float* output) {
    for (unsigned at = 8 * (threadIdx.x % LANES); at < width; at += 8 * LANES) {
        float sums[8] = {};
        for (unsigned row = start; row < end; ++row) {
            each<N>(load(input + size_t(row) * width + at), [&](unsigned i, float value) { sums[i] += value; });
        }
        store_eight(output + at, [&](unsigned i) { return sums[i] / (end - start); });
    }
}

// The last layer of a head for a row, `outputs` numbers in f32.
template <class N>
__device__ inline void classify_row(const narrow* input, const float* weights, const float* bias, bool is_tanh, unsigned width,
                                    unsigned outputs, float* output) {
    const unsigned lane = threadIdx.x % LANES;
    const Row row = warp_row(width);
    for (unsigned at = 8 * lane; at < width; at += 8 * LANES) {
        each<N>(load(input + at), [&](unsigned i, float value) {
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
            output[out] = sum + bias[out];
        }
    }
}

}  // namespace

// embed: the normalised sum of a word's and a position's embedding for each token.
// add_norm: the normalised sum of two rows. `output` may be one of them.
// mean: the mean of rows `starts[i]` to `starts[i + 1]` as row i of f32.
// classify: the last layer of a head, whose own activation is still to come: tanh, or what is above 0.
#define ROWS(N, SUFFIX)                                                                                                        \
    extern "C" __global__ void embed##SUFFIX(const unsigned* ids, const unsigned* positions, const narrow* words,             \
                                             const narrow* places, const float* gain, const float* shift, float epsilon,      \
                                             unsigned width, unsigned tokens, narrow* output) {                               \
        const unsigned token = row_of_warp();                                                                                  \
        if (token < tokens) {                                                                                                  \
            normalise_sum<N>(words + size_t(ids[token]) * width, places + size_t(positions[token]) * width, gain, shift,      \
                             epsilon, width, output + size_t(token) * width);                                                 \
        }                                                                                                                      \
    }                                                                                                                          \
    extern "C" __global__ void add_norm##SUFFIX(const narrow* left, const narrow* right, const float* gain,                   \
                                                const float* shift, float epsilon, unsigned width, unsigned rows,             \
                                                narrow* output) {                                                              \
        const size_t start = size_t(row_of_warp()) * width;                                                                    \
        if (row_of_warp() < rows) {                                                                                            \
            normalise_sum<N>(left + start, right + start, gain, shift, epsilon, width, output + start);                       \
        }                                                                                                                      \
    }                                                                                                                          \
    extern "C" __global__ void mean##SUFFIX(const narrow* input, const unsigned* starts, unsigned width, unsigned means,      \
                                            float* output) {                                                                   \
        const unsigned index = row_of_warp();                                                                                  \
        if (index < means) {                                                                                                   \
            mean_row<N>(input, starts[index], starts[index + 1], width, output + size_t(index) * width);                      \
        }                                                                                                                      \
    }                                                                                                                          \
    extern "C" __global__ void classify##SUFFIX(const narrow* input, const float* weights, const float* bias,                 \
                                                unsigned is_tanh, unsigned width, unsigned outputs, unsigned rows,            \
                                                float* output) {                                                               \
        const unsigned index = row_of_warp();                                                                                  \
        if (index < rows) {                                                                                                    \
            classify_row<N>(input + size_t(index) * width, weights, bias, is_tanh, width, outputs,                            \
                            output + size_t(index) * outputs);                                                                 \
        }                                                                                                                      \
    }

ROWS(Bf16, )
ROWS(F16, _f16)

// Row `indices[i]` of the input as row i.
extern "C" __global__ void gather_rows(const narrow* input, const unsigned* indices, unsigned width, unsigned rows, narrow* output) {
    const unsigned index = row_of_warp();
    if (index >= rows) {
        return;
    }
    const narrow* from = input + size_t(indices[index]) * width;
    for (unsigned at = 8 * (threadIdx.x % LANES); at < width; at += 8 * LANES) {
        store(output + size_t(index) * width + at, load(from + at));
    }
}
