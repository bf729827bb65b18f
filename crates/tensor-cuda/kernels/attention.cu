// Attention of sequences that lie end to end, without padding, by tensor cores (after Dao 2023, FlashAttention-2).
//
// A block works on one head and a tile of up to 64 queries of one sequence, a warp on 16 of them; keys and values come by 64 through
// shared memory, and the weights of a tile never leave registers. Numbers have 16 bits, sums and softmax are in f32.
// Invariant: a query's result does not depend on other sequences.

#include "dropout.cuh"
#include "tiles.cuh"

namespace {

constexpr unsigned KEYS = 64;

// Queries of a sequence, and its keys: where their rows begin and how many they are.
struct Tile {
    unsigned first_query, queries, first_key, keys;
};

// What training adds: logarithms of sums of weights for the backward pass, of shape `[queries, heads]`, and what is left out.
struct Training {
    float* logarithms;
    unsigned heads;
    Mask mask;
};

template <class N, unsigned DEPTH, bool TRAINS>
__device__ inline void attend(const Rows& queries, const Rows& keys, const Rows& values, const Tile* tiles, float scale,
                              narrow* output, unsigned output_stride, const Training& training) {
    alignas(16) __shared__ narrow staged_keys[KEYS][DEPTH + GAP];
    alignas(16) __shared__ narrow staged_values[KEYS][DEPTH + GAP];
    const Tile tile = tiles[blockIdx.x];
    const unsigned head = blockIdx.y * DEPTH;
    const Place place = place_of_lane();
    const bool is_used = place.first_row < tile.queries;
    unsigned query[DEPTH / 16][4];
    hold<DEPTH>(query, queries, tile.first_query, head, place, tile.queries);

    float sums[DEPTH / 8][4] = {};
    float largest[2] = {-INFINITY, -INFINITY}, total[2] = {};
    for (unsigned first = 0; first < tile.keys; first += KEYS) {
        const unsigned count = min(KEYS, tile.keys - first);
        __syncthreads();
        stage<DEPTH>(staged_keys, keys, tile.first_key + first, head, count);
        stage<DEPTH>(staged_values, values, tile.first_key + first, head, count);
        __syncthreads();
        if (!is_used) {
            continue;
        }
        float weights[KEYS / 8][4] = {};
        cross<N, DEPTH>(weights, query, staged_keys, place);

        // The largest so far of each row; its four lanes are neighbours.
        float before[2] = {largest[0], largest[1]};
#pragma unroll
        for (unsigned eighth = 0; eighth < KEYS / 8; ++eighth) {
#pragma unroll
            for (unsigned i = 0; i < 4; ++i) {
                if (8 * eighth + place.column + i % 2 >= count) {
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
                    const size_t query = size_t(tile.first_query + place.row + i / 2 * 8) * training.heads + blockIdx.y;
                    const unsigned key = first + 8 * eighth + place.column + i % 2;
                    weights[eighth][i] *= training.mask.share == 0
                                              ? 1
                                              : factor(training.mask, row_of_mask(training.mask, query), key);
                }
            }
        }

        gather<N, DEPTH>(sums, weights, staged_values, place);
    }

#pragma unroll
    for (unsigned half = 0; half < 2; ++half) {
        total[half] += __shfl_xor_sync(EVERY_LANE, total[half], 1);
        total[half] += __shfl_xor_sync(EVERY_LANE, total[half], 2);
        const unsigned own = place.row + 8 * half;
        if (own >= tile.queries) {
            continue;
        }
        if constexpr (TRAINS) {
            if (place.lane % 4 == 0) {
                training.logarithms[size_t(tile.first_query + own) * training.heads + blockIdx.y] =
                    largest[half] * scale + log2f(total[half]);
            }
        }
        put<N, DEPTH>(output + size_t(tile.first_query + own) * output_stride + head, sums, half, total[half], place);
    }
}

}  // namespace

// `scale` is that of the products, times log2(e). Rows of queries, of keys and values, and of the output are so many numbers apart.
// At a depth of 64, four blocks fit into a processor's registers if the compiler is told to save two of them.
#define ATTENTION(N, DEPTH, SUFFIX)                                                                                            \
    extern "C" __global__ void __launch_bounds__(WARPS* LANES, DEPTH == 64 ? 4 : 1) attend_##DEPTH##SUFFIX(                    \
        const narrow* queries, unsigned query_stride, const narrow* keys, const narrow* values, unsigned key_stride,          \
        const Tile* tiles, float scale, narrow* output, unsigned output_stride) {                                             \
        attend<N, DEPTH, false>({queries, query_stride}, {keys, key_stride}, {values, key_stride}, tiles, scale, output,      \
                                output_stride, {});                                                                            \
    }

ATTENTION(Bf16, 32, )
ATTENTION(Bf16, 64, )
ATTENTION(Bf16, 128, )
ATTENTION(F16, 32, _f16)
ATTENTION(F16, 64, _f16)
ATTENTION(F16, 128, _f16)

// The same with what training adds.
#define TRAINING(DEPTH)                                                                                                        \
    extern "C" __global__ void __launch_bounds__(WARPS* LANES) attend_training_##DEPTH(                                        \
        const bf16* queries, unsigned query_stride, const bf16* keys, const bf16* values, unsigned key_stride,                \
        const Tile* tiles, float scale, bf16* output, unsigned output_stride, float* logarithms, unsigned heads,              \
        Bits mask_key, unsigned mask_share, float mask_scale) {                                                               \
        const Training training = {logarithms, heads, {mask_key, mask_share, mask_scale}};                                    \
        attend<Bf16, DEPTH, true>({queries, query_stride}, {keys, key_stride}, {values, key_stride}, tiles, scale, output,    \
                                  output_stride, training);                                                                   \
    }

TRAINING(32)
TRAINING(64)
TRAINING(128)
