// The gradients of attention, by tensor cores (after Dao 2023, FlashAttention-2).
//
// Weights are computed anew from the logarithms of their sums, which the forward pass left. A block works on one head and up to 64
// rows of one sequence, its own, a warp on 16 of them; the rows of the other side come by 32 through shared memory. Own rows are
// queries for the gradient of queries, and keys for those of keys and values, so every gradient is summed up by one warp.
// Invariant: a row's gradient does not depend on other sequences, and is the same each time.

#include "dropout.cuh"
#include "tiles.cuh"

namespace {

constexpr unsigned OTHERS = 32;

// Own rows and those of the other side: where they begin and how many they are; and own rows of the sequence before them.
struct Sides {
    unsigned first, count, other_first, other_count, before, unused[3];
};

// What the weights of a query are computed from.
struct Queries {
    // Logarithms to base 2 of sums of weights, and products of results and their gradients; `heads` for each query.
    const float *logarithms, *products;
    unsigned heads;
    // Of products of queries and keys, to base 2 and as they are.
    float scale2, scale;
    Mask mask;
};

// The weight that a query gives to a key, with what is left out, and the gradient of their product.
__device__ inline void weigh(const Queries& of, unsigned query, unsigned key, unsigned head, float& product, float& gradient) {
    const size_t at = size_t(query) * of.heads + head;
    const float weight = power_of_two(product * of.scale2 - of.logarithms[at]);
    const float kept = of.mask.share == 0 ? 1 : factor(of.mask, row_of_mask(of.mask, at), key);
    product = weight * kept;
    gradient = weight * (gradient * kept - of.products[at]) * of.scale;
}

template <unsigned DEPTH, bool OWN_KEYS>
__device__ inline void backward(const Rows& own, const Rows& own_partner, const Rows& other, const Rows& other_partner,
                                const Sides* all, const Queries& of, bf16* output, bf16* partner_output, unsigned stride) {
    alignas(16) __shared__ bf16 staged[OTHERS][DEPTH + GAP];
    alignas(16) __shared__ bf16 staged_partner[OTHERS][DEPTH + GAP];
    const Sides sides = all[blockIdx.x];
    const unsigned head = blockIdx.y, at_head = head * DEPTH;
    const Place place = place_of_lane();
    const bool is_used = place.first_row < sides.count;
    unsigned held[DEPTH / 16][4], held_partner[DEPTH / 16][4];
    hold<DEPTH>(held, own, sides.first, at_head, place, sides.count);
    hold<DEPTH>(held_partner, own_partner, sides.first, at_head, place, sides.count);

    float sums[DEPTH / 8][4] = {}, partner_sums[DEPTH / 8][4] = {};
    for (unsigned first = 0; first < sides.other_count; first += OTHERS) {
        const unsigned count = min(OTHERS, sides.other_count - first);
        __syncthreads();
        stage<DEPTH>(staged, other, sides.other_first + first, at_head, count);
        stage<DEPTH>(staged_partner, other_partner, sides.other_first + first, at_head, count);
        __syncthreads();
        if (!is_used) {
            continue;
        }
        float weights[OTHERS / 8][4] = {}, gradients[OTHERS / 8][4] = {};
        cross<Bf16, DEPTH>(weights, held, staged, place);
        cross<Bf16, DEPTH>(gradients, held_partner, staged_partner, place);
#pragma unroll
        for (unsigned eighth = 0; eighth < OTHERS / 8; ++eighth) {
#pragma unroll
            for (unsigned i = 0; i < 4; ++i) {
                const unsigned mine = place.row + i / 2 * 8, theirs = 8 * eighth + place.column + i % 2;
                if (mine >= sides.count || theirs >= count) {
                    weights[eighth][i] = gradients[eighth][i] = 0;
                    continue;
                }
                // A query is counted among all, a key within its sequence.
                const unsigned query = OWN_KEYS ? sides.other_first + first + theirs : sides.first + mine;
                const unsigned key = OWN_KEYS ? sides.before + mine : first + theirs;
                weigh(of, query, key, head, weights[eighth][i], gradients[eighth][i]);
            }
        }
        gather<Bf16, DEPTH>(sums, gradients, staged, place);
        if constexpr (OWN_KEYS) {
            gather<Bf16, DEPTH>(partner_sums, weights, staged_partner, place);
        }
    }
#pragma unroll
    for (unsigned half = 0; half < 2; ++half) {
        const unsigned mine = place.row + 8 * half;
        if (mine >= sides.count) {
            continue;
        }
        const size_t start = size_t(sides.first + mine) * stride + at_head;
        put<Bf16, DEPTH>(output + start, sums, half, 1, place);
        if constexpr (OWN_KEYS) {
            put<Bf16, DEPTH>(partner_output + start, partner_sums, half, 1, place);
        }
    }
}

}  // namespace

// The gradient of queries, from that of results (`d_output`, rows as far apart as those of the gradient).
#define OF_QUERIES(DEPTH)                                                                                                      \
    extern "C" __global__ void __launch_bounds__(WARPS* LANES) attend_back_queries_##DEPTH(                              \
        const bf16* queries, unsigned query_stride, const bf16* keys, const bf16* values, unsigned key_stride,                \
        const bf16* d_output, unsigned output_stride, const Sides* all, const float* logarithms, const float* products,       \
        unsigned heads, float scale2, float scale, Bits mask_key, unsigned mask_share, float mask_scale, bf16* d_queries,      \
        unsigned gradient_stride) {                                                                                            \
        const Queries of = {logarithms, products, heads, scale2, scale, {mask_key, mask_share, mask_scale}};                   \
        backward<DEPTH, false>({queries, query_stride}, {d_output, output_stride}, {keys, key_stride}, {values, key_stride},   \
                               all, of, d_queries, nullptr, gradient_stride);                                                  \
    }

// Those of keys and of values.
#define OF_KEYS(DEPTH)                                                                                                         \
    extern "C" __global__ void __launch_bounds__(WARPS* LANES) attend_back_keys_##DEPTH(                                 \
        const bf16* queries, unsigned query_stride, const bf16* keys, const bf16* values, unsigned key_stride,                \
        const bf16* d_output, unsigned output_stride, const Sides* all, const float* logarithms, const float* products,       \
        unsigned heads, float scale2, float scale, Bits mask_key, unsigned mask_share, float mask_scale, bf16* d_keys,         \
        bf16* d_values, unsigned gradient_stride) {                                                                            \
        const Queries of = {logarithms, products, heads, scale2, scale, {mask_key, mask_share, mask_scale}};                   \
        backward<DEPTH, true>({keys, key_stride}, {values, key_stride}, {queries, query_stride}, {d_output, output_stride},    \
                              all, of, d_keys, d_values, gradient_stride);                                                     \
    }

OF_QUERIES(32)
OF_QUERIES(64)
OF_QUERIES(128)
OF_KEYS(32)
OF_KEYS(64)
OF_KEYS(128)

// The product of each head's result and its gradient, which its softmax's gradient needs: shape `[rows, heads]`.
extern "C" __global__ void head_products(const bf16* output, const bf16* d_output, unsigned heads, unsigned depth, unsigned rows,
                                         float* products) {
    const unsigned index = blockIdx.x * blockDim.x + threadIdx.x;
    if (index >= rows * heads) {
        return;
    }
    const size_t start = size_t(index) * depth;
    float sum = 0;
    for (unsigned at = 0; at < depth; at += 8) {
        const Eight gradients = load(d_output + start + at);
        each(load(output + start + at), [&](unsigned i, float value) {
            const unsigned pair = gradients.pairs[i / 2];
            sum += value * (i % 2 ? Bf16::high(pair) : Bf16::low(pair));
        });
    }
    products[index] = sum;
}
