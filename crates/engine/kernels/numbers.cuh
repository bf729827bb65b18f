// Numbers in bf16, eight at a time, and sums over a warp.
#pragma once

#include "intrinsics.cuh"

// The bits of a number in bf16: the upper half of those in f32.
typedef unsigned short bf16;

constexpr unsigned LANES = 32;
constexpr unsigned EVERY_LANE = 0xffffffff;

// Eight numbers in bf16, which a thread moves at once.
struct alignas(16) Eight {
    unsigned pairs[4];
};

// Four numbers in f32, and in bf16.
struct alignas(16) Four {
    float numbers[4];
};

struct alignas(8) RoundedFour {
    unsigned pairs[2];
};

// Eight numbers in f32.
struct ExactEight {
    Four halves[2];

    __device__ float operator[](unsigned i) const {
        return halves[i / 4].numbers[i % 4];
    }
};

__device__ inline float low(unsigned pair) {
    return __uint_as_float(pair << 16);
}

__device__ inline float high(unsigned pair) {
    return __uint_as_float(pair & 0xffff0000);
}

__device__ inline float number(bf16 bits) {
    return __uint_as_float(static_cast<unsigned>(bits) << 16);
}

__device__ inline Eight load(const bf16* from) {
    return *reinterpret_cast<const Eight*>(from);
}

__device__ inline void store(bf16* to, const Eight& eight) {
    *reinterpret_cast<Eight*>(to) = eight;
}

__device__ inline Four load(const float* from) {
    return *reinterpret_cast<const Four*>(from);
}

__device__ inline ExactEight load_eight(const float* from) {
    return {{load(from), load(from + 4)}};
}

__device__ inline void store(float* to, const Four& four) {
    *reinterpret_cast<Four*>(to) = four;
}

// Stores eight numbers, those of `f`.
template <class F>
__device__ inline void store_eight(float* to, F f) {
    store(to, Four{f(0), f(1), f(2), f(3)});
    store(to + 4, Four{f(4), f(5), f(6), f(7)});
}

__device__ inline void store(bf16* to, const RoundedFour& four) {
    *reinterpret_cast<RoundedFour*>(to) = four;
}

__device__ inline RoundedFour rounded(const Four& four) {
    return {{pack(four.numbers[0], four.numbers[1]), pack(four.numbers[2], four.numbers[3])}};
}

// Calls `f` with each of the numbers, and where it is among them.
template <class F>
__device__ inline void each(const Eight& eight, F f) {
#pragma unroll
    for (unsigned pair = 0; pair < 4; ++pair) {
        f(2 * pair, low(eight.pairs[pair]));
        f(2 * pair + 1, high(eight.pairs[pair]));
    }
}

// Rounds eight numbers, those of `f`.
template <class F>
__device__ inline Eight rounded(F f) {
    Eight eight;
#pragma unroll
    for (unsigned pair = 0; pair < 4; ++pair) {
        eight.pairs[pair] = pack(f(2 * pair), f(2 * pair + 1));
    }
    return eight;
}

__device__ inline float warp_sum(float value) {
#pragma unroll
    for (unsigned distance = LANES / 2; distance > 0; distance /= 2) {
        value += __shfl_xor_sync(EVERY_LANE, value, distance);
    }
    return value;
}
