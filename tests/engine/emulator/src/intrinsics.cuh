// CUDA C++ as far as the kernels use it, for the CPU. It takes the place of the GPU's file of the same name.
//
// Threads of a block are fibers that run one at a time, until they have to wait for each other; so a barrier that not all of
// them reach is found, and nothing depends on chance.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>

using std::min;
using std::size_t;

#define __device__
#define __global__
#define __launch_bounds__(...)
// Blocks run one after the other. Each finds what the one before it left, which is another one in another order.
#define __shared__ static

struct Index {
    unsigned x, y, z;
};

// Those of the fiber that runs.
extern Index threadIdx, blockIdx, blockDim;

namespace emulator {

constexpr unsigned LANES = 32;

// Waits for all threads of the block.
void meet_block();

// Lets all lanes of the warp see what each brings; all must bring the same kind. The result is valid until the next call.
const unsigned char* exchange(const void* own, size_t bytes, size_t stride);

float* launch_memory();

template <class T>
T bits_as(const void* from) {
    T value;
    std::memcpy(&value, from, sizeof(T));
    return value;
}

}  // namespace emulator

inline void __syncthreads() {
    emulator::meet_block();
}

template <class T>
T __shfl_xor_sync(unsigned, T value, unsigned mask) {
    const unsigned other = (threadIdx.x % emulator::LANES) ^ mask;
    return emulator::bits_as<T>(emulator::exchange(&value, sizeof(T), sizeof(T)) + other * sizeof(T));
}

inline float __uint_as_float(unsigned bits) {
    return emulator::bits_as<float>(&bits);
}

inline float rsqrtf(float x) {
    return 1 / std::sqrt(x);
}

inline float* launch_memory() {
    return emulator::launch_memory();
}

inline unsigned rounded_to_bf16(float x) {
    const unsigned bits = emulator::bits_as<unsigned>(&x);
    // To nearest, to even between two; NaN keeps being one.
    return x != x ? 0x7fff : (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
}

inline unsigned pack_bf16(float low, float high) {
    return rounded_to_bf16(low) | rounded_to_bf16(high) << 16;
}

// IEEE 754 binary16: five bits of exponent and ten of digits. Not every compiler has a type for it.
inline unsigned rounded_to_f16(float x) {
    const unsigned bits = emulator::bits_as<unsigned>(&x), sign = bits >> 16 & 0x8000, size = bits & 0x7fffffff;
    constexpr unsigned INFINITE = 0x7f800000, FROM_65520_ON = 0x477ff000, BELOW_NORMAL = 0x38800000;
    if (size > INFINITE) {
        return sign | 0x7fff;
    }
    if (size >= FROM_65520_ON) {
        return sign | 0x7c00;
    }
    if (size < BELOW_NORMAL) {
        // To nearest, to even between two, as below; 1024 is the first of those with an exponent.
        return sign | static_cast<unsigned>(std::nearbyint(std::ldexp(std::fabs(x), 24)));
    }
    return sign | (size - (112 << 23) + 0xfff + ((size >> 13) & 1)) >> 13;
}

inline unsigned pack_f16(float low, float high) {
    return rounded_to_f16(low) | rounded_to_f16(high) << 16;
}

inline float number_of_f16(unsigned short bits) {
    const unsigned sign = (bits & 0x8000) << 16, exponent = bits >> 10 & 31, digits = bits & 1023;
    if (exponent == 0) {
        return __uint_as_float(sign) + (sign ? -1 : 1) * std::ldexp(static_cast<float>(digits), -24);
    }
    return __uint_as_float(sign | (exponent == 31 ? 255 : exponent + 112) << 23 | digits << 13);
}

inline float power_of_two(float x) {
    return std::exp2(x);
}

// Where the fragments lie: PTX ISA, "Matrix fragments for mma.m16n8k16". `number` makes one of the bits of one.
template <class F>
void multiply_add(float (&sums)[4], const unsigned (&a)[4], unsigned b0, unsigned b1, F number) {
    struct Own {
        unsigned a[4], b[2];
    } own = {{a[0], a[1], a[2], a[3]}, {b0, b1}};
    const unsigned char* all = emulator::exchange(&own, sizeof(own), sizeof(own));
    const auto half = [&](unsigned pair, unsigned which) {
        return number(static_cast<unsigned short>(which ? pair >> 16 : pair));
    };
    const auto left = [&](unsigned row, unsigned k) {
        const Own of = emulator::bits_as<Own>(all + (row % 8 * 4 + k % 8 / 2) * sizeof(Own));
        return half(of.a[row / 8 + k / 8 * 2], k % 2);
    };
    const auto right = [&](unsigned k, unsigned column) {
        const Own of = emulator::bits_as<Own>(all + (column * 4 + k % 8 / 2) * sizeof(Own));
        return half(of.b[k / 8], k % 2);
    };
    const unsigned lane = threadIdx.x % emulator::LANES;
    for (unsigned i = 0; i < 4; ++i) {
        const unsigned row = lane / 4 + i / 2 * 8, column = lane % 4 * 2 + i % 2;
        for (unsigned k = 0; k < 16; ++k) {
            sums[i] += left(row, k) * right(k, column);
        }
    }
}

inline void multiply_add_bf16(float (&sums)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) {
    multiply_add(sums, a, b0, b1, [](unsigned short bits) { return __uint_as_float(unsigned{bits} << 16); });
}

inline void multiply_add_f16(float (&sums)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) {
    multiply_add(sums, a, b0, b1, number_of_f16);
}

// Where the parts lie: PTX ISA, "ldmatrix".
inline void load_transposed(unsigned (&matrices)[4], const unsigned short* row) {
    const unsigned char* all = emulator::exchange(&row, sizeof(row), sizeof(row));
    const unsigned lane = threadIdx.x % emulator::LANES;
    for (unsigned matrix = 0; matrix < 4; ++matrix) {
        const auto at = [&](unsigned of_row) {
            const auto* from = emulator::bits_as<const unsigned short*>(all + (8 * matrix + of_row) * sizeof(row));
            return static_cast<unsigned>(from[lane / 4]);
        };
        matrices[matrix] = at(lane % 4 * 2) | at(lane % 4 * 2 + 1) << 16;
    }
}
