// What is left out at random while training: the same numbers as on the CPU (`nn/dropout.rs`).
#pragma once

typedef unsigned long long Bits;

// What is left out at a place: nothing if the share is 0.
struct Mask {
    Bits key;
    // Of 65536.
    unsigned share;
    float scale;
};

// 2^64 by the golden ratio.
constexpr Bits STEP = 0x9E3779B97F4A7C15;

// The output function of SplitMix64 (Steele, Lea and Flood 2014).
__device__ inline Bits mix(Bits bits) {
    bits = (bits ^ (bits >> 30)) * 0xBF58476D1CE4E5B9;
    bits = (bits ^ (bits >> 27)) * 0x94D049BB133111EB;
    return bits ^ (bits >> 31);
}

// What the factors of a row depend on.
__device__ inline Bits row_of_mask(const Mask& mask, Bits row) {
    return mix(mask.key ^ row * STEP);
}

// 0, or what keeps the expectation.
__device__ inline float factor(const Mask& mask, Bits row, unsigned column) {
    if (mask.share == 0) {
        return 1;
    }
    const Bits bits = mix(row + STEP * (column / 4 + 1)) >> (16 * (column % 4));
    return (bits & 0xFFFF) < mask.share ? 0 : mask.scale;
}
