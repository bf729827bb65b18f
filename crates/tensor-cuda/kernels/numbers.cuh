// Numbers of 16 bits, eight at a time, and sums over a warp.
#pragma once

#include "intrinsics.cuh"

// The bits of a number in bf16 or f16.
typedef unsigned short narrow;

// Those of one in bf16.
typedef narrow bf16;

constexpr unsigned LANES = 32;
constexpr unsigned EVERY_LANE = 0xffffffff;

// Eight numbers of 16 bits, which a thread moves at once.
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

// What kernels do with numbers in bf16, which are the upper halves of those in f32.
struct Bf16 {
    __device__ static float low(unsigned pair) {
        return __uint_as_float(pair << 16);
    }

    __device__ static float high(unsigned pair) {
        return __uint_as_float(pair & 0xffff0000);
    }

    __device__ static unsigned pack(float low, float high) {
        return pack_bf16(low, high);
    }

    __device__ static void multiply_add(float (&sums)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) {
        multiply_add_bf16(sums, a, b0, b1);
    }
};

// The same in f16, which has three more bits for digits and none above 65504.
struct F16 {
    __device__ static float low(unsigned pair) {
        return number_of_f16(static_cast<narrow>(pair));
    }

    __device__ static float high(unsigned pair) {
        return number_of_f16(static_cast<narrow>(pair >> 16));
    }

    __device__ static unsigned pack(float low, float high) {
        return pack_f16(low, high);
    }

    __device__ static void multiply_add(float (&sums)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) {
        multiply_add_f16(sums, a, b0, b1);
    }
};

__device__ inline Eight load(const narrow* from) {
    return *reinterpret_cast<const Eight*>(from);
}

__device__ inline void store(narrow* to, const Eight& eight) {
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
    return {{Bf16::pack(four.numbers[0], four.numbers[1]), Bf16::pack(four.numbers[2], four.numbers[3])}};
}

// Calls `f` with each of the numbers, and where it is among them.
template <class N = Bf16, class F>
__device__ inline void each(const Eight& eight, F f) {
#pragma unroll
    for (unsigned pair = 0; pair < 4; ++pair) {
        f(2 * pair, N::low(eight.pairs[pair]));
        f(2 * pair + 1, N::high(eight.pairs[pair]));
    }
}

// Rounds eight numbers, those of `f`.
template <class N = Bf16, class F>
__device__ inline Eight rounded(F f) {
    Eight eight;
#pragma unroll
    for (unsigned pair = 0; pair < 4; ++pair) {
        eight.pairs[pair] = N::pack(f(2 * pair), f(2 * pair + 1));
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
