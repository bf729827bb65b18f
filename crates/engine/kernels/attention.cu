// Attention of sequences that lie end to end, without padding, by tensor cores (after Dao 2023, FlashAttention-2).
//
// A block works on one head and a tile of up to 64 queries of one sequence, a warp on 16 of them; keys and values come by 64 through
// shared memory, and the weights of a tile never leave registers. Numbers are in bf16, sums and softmax in f32.
// Invariant: a query's result does not depend on other sequences.

#include "dropout.cuh"
#include "numbers.cuh"

namespace {

constexpr unsigned WARPS = 4;
constexpr unsigned KEYS = 64;
// Between rows in shared memory, so that the rows of a fragment lie in different banks.
constexpr unsigned GAP = 8;

// Queries of a sequence, and its keys: where their rows begin and how many they are.
struct Tile {
    unsigned first_query, queries, first_key, keys;
};

// Brings `count` rows of DEPTH numbers into shared memory, and zeros up to KEYS rows.
template <unsigned DEPTH>
__device__ inline void stage(bf16 (*rows)[DEPTH + GAP], const bf16* from, size_t stride, unsigned count) {
    constexpr unsigned PIECES = DEPTH / 8;
    for (unsigned piece = threadIdx.x; piece < KEYS * PIECES; piece += WARPS * LANES) {
        const unsigned row = piece / PIECES, at = piece % PIECES * 8;
        store(&rows[row][at], row < count ? load(from + row * stride + at) : Eight{});
    }
}

// What training adds: logarithms of sums of weights for the backward pass, of shape `[queries, heads]`, and what is left out.
struct Training {
    float* logarithms;
    unsigned heads;
    Mask mask;
};

template <unsigned DEPTH, bool TRAINS>
__device__ inline void attend(const bf16* queries, unsigned query_stride, const bf16* keys, const bf16* values,
                              unsigned key_stride, const Tile* tiles, float scale, bf16* output, unsigned output_stride,
                              const Training& training) {
    alignas(16) __shared__ bf16 staged_keys[KEYS][DEPTH + GAP];
    alignas(16) __shared__ bf16 staged_values[KEYS][DEPTH + GAP];
    const Tile tile = tiles[blockIdx.x];
    const unsigned head = blockIdx.y * DEPTH;
    const unsigned lane = threadIdx.x % LANES, first_row = threadIdx.x / LANES * 16;
    // A lane holds parts of two rows of a fragment, this one and the eighth after it, in columns from `column` on.
    const unsigned row = first_row + lane / 4, column = lane % 4 * 2;
    const bool is_used = first_row < tile.queries;

    unsigned query[DEPTH / 16][4];
    const auto pair_of = [&](unsigned of_row, unsigned at) {
        const bf16* from = queries + size_t(tile.first_query + of_row) * query_stride + head + at;
        return of_row < tile.queries ? *reinterpret_cast<const unsigned*>(from) : 0;
    };
#pragma unroll
    for (unsigned part = 0; part < DEPTH / 16; ++part) {
        query[part][0] = pair_of(row, 16 * part + column);
        query[part][1] = pair_of(row + 8, 16 * part + column);
        query[part][2] = pair_of(row, 16 * part + 8 + column);
        query[part][3] = pair_of(row + 8, 16 * part + 8 + column);
    }

    float sums[DEPTH / 8][4] = {};
    float largest[2] = {-INFINITY, -INFINITY}, total[2] = {};
    for (unsigned first = 0; first < tile.keys; first += KEYS) {
        const unsigned count = min(KEYS, tile.keys - first);
        const size_t start = size_t(tile.first_key + first) * key_stride + head;
        __syncthreads();
        stage<DEPTH>(staged_keys, keys + start, key_stride, count);
        stage<DEPTH>(staged_values, values + start, key_stride, count);
        __syncthreads();
        if (!is_used) {
            continue;
        }

        float weights[KEYS / 8][4] = {};
#pragma unroll
        for (unsigned part = 0; part < DEPTH / 16; ++part) {
#pragma unroll
            for (unsigned eighth = 0; eighth < KEYS / 8; ++eighth) {
                const bf16* key = &staged_keys[8 * eighth + lane / 4][16 * part + column];
                multiply_add(weights[eighth], query[part], *reinterpret_cast<const unsigned*>(key),
                             *reinterpret_cast<const unsigned*>(key + 8));
            }
        }

        // The largest so far of each row; its four lanes are neighbours.
        float before[2] = {largest[0], largest[1]};
#pragma unroll
        for (unsigned eighth = 0; eighth < KEYS / 8; ++eighth) {
#pragma unroll
            for (unsigned i = 0; i < 4; ++i) {
                if (8 * eighth + column + i % 2 >= count) {
                    weights[eighth][i] = -INFINITY;
                }
                largest[i / 2] = fmaxf(largest[i / 2], weights[eighth][i]);
            }
        }
#pragma unroll
        for (unsigned half = 0; half < 2; ++half) {
            largest[half] = fmaxf(largest[half], __shfl_xor_sync(EVERY_LANE, largest[half], 1));
            largest[half] = fmaxf(largest[half], __shfl_xor_sync(EVERY_LANE, largest[half], 2));
            const float shrunk = power_of_two((before[half] - largest[half]) * scale);
            total[half] *= shrunk;
#pragma unroll
            for (unsigned eighth = 0; eighth < DEPTH / 8; ++eighth) {
                sums[eighth][2 * half] *= shrunk;
                sums[eighth][2 * half + 1] *= shrunk;
            }
        }
#pragma unroll
        for (unsigned eighth = 0; eighth < KEYS / 8; ++eighth) {
#pragma unroll
            for (unsigned i = 0; i < 4; ++i) {
                weights[eighth][i] = power_of_two((weights[eighth][i] - largest[i / 2]) * scale);
                total[i / 2] += weights[eighth][i];
                if constexpr (TRAINS) {
                    const size_t query = size_t(tile.first_query + row + i / 2 * 8) * training.heads + blockIdx.y;
                    const unsigned key = first + 8 * eighth + column + i % 2;
                    weights[eighth][i] *= training.mask.share == 0
                                              ? 1
                                              : factor(training.mask, row_of_mask(training.mask, query), key);
                }
            }
        }

        // The sums of a product lie as the left side of the next one wants them.
#pragma unroll
        for (unsigned part = 0; part < KEYS / 16; ++part) {
            const float(&left)[4] = weights[2 * part];
            const float(&right)[4] = weights[2 * part + 1];
            const unsigned weight[4] = {pack(left[0], left[1]), pack(left[2], left[3]), pack(right[0], right[1]),
                                        pack(right[2], right[3])};
#pragma unroll
            for (unsigned sixteenth = 0; sixteenth < DEPTH / 16; ++sixteenth) {
                unsigned value[4];
                load_transposed(value, &staged_values[16 * part + lane % 16][16 * sixteenth + lane / 16 * 8]);
                multiply_add(sums[2 * sixteenth], weight, value[0], value[1]);
                multiply_add(sums[2 * sixteenth + 1], weight, value[2], value[3]);
            }
        }
    }

#pragma unroll
    for (unsigned half = 0; half < 2; ++half) {
        total[half] += __shfl_xor_sync(EVERY_LANE, total[half], 1);
        total[half] += __shfl_xor_sync(EVERY_LANE, total[half], 2);
        const unsigned own = row + 8 * half;
        if (own >= tile.queries) {
            continue;
        }
        if constexpr (TRAINS) {
            if (lane % 4 == 0) {
                training.logarithms[size_t(tile.first_query + own) * training.heads + blockIdx.y] =
                    largest[half] * scale + log2f(total[half]);
            }
        }
        bf16* to = output + size_t(tile.first_query + own) * output_stride + head + column;
#pragma unroll
        for (unsigned eighth = 0; eighth < DEPTH / 8; ++eighth) {
            *reinterpret_cast<unsigned*>(to + 8 * eighth) =
                pack(sums[eighth][2 * half] / total[half], sums[eighth][2 * half + 1] / total[half]);
        }
    }
}

}  // namespace

// `scale` is that of the products, times log2(e). Rows of queries, of keys and values, and of the output are so many numbers apart.
#define ATTENTION(DEPTH)                                                                                                       \
    extern "C" __global__ void __launch_bounds__(WARPS* LANES)                                                                 \
        attend_##DEPTH(const bf16* queries, unsigned query_stride, const bf16* keys, const bf16* values, unsigned key_stride, \
                       const Tile* tiles, float scale, bf16* output, unsigned output_stride) {                                \
        attend<DEPTH, false>(queries, query_stride, keys, values, key_stride, tiles, scale, output, output_stride, {});       \
    }                                                                                                                          \
    extern "C" __global__ void __launch_bounds__(WARPS* LANES) attend_training_##DEPTH(                                       \
        const bf16* queries, unsigned query_stride, const bf16* keys, const bf16* values, unsigned key_stride,                \
        const Tile* tiles, float scale, bf16* output, unsigned output_stride, float* logarithms, unsigned heads,              \
        Bits mask_key, unsigned mask_share, float mask_scale) {                                                               \
        const Training training = {logarithms, heads, {mask_key, mask_share, mask_scale}};                                    \
        attend<DEPTH, true>(queries, query_stride, keys, values, key_stride, tiles, scale, output, output_stride, training);  \
    }

ATTENTION(32)
ATTENTION(64)
ATTENTION(128)
