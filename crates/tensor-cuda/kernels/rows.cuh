// Rows that a warp works on, each lane on the same eights of numbers all the time.
#pragma once

#include "numbers.cuh"

// The row, or group of rows, of this warp.
__device__ inline unsigned row_of_warp() {
    return blockIdx.x * (blockDim.x / LANES) + threadIdx.x / LANES;
}

// A row of numbers in shared memory. A lane works on eights of its own, so number i of an eight lies beside number i of the next one:
// lanes then never wait for each other's banks.
struct Row {
    float* memory;
    unsigned width;

    // Number i of the eight that begins with number `at`.
    __device__ float& operator()(unsigned at, unsigned i) const {
        return memory[i * (width / 8) + at / 8];
    }
};

// So many rows of shared memory for this warp, the first of them.
__device__ inline Row warp_row(unsigned width, unsigned rows = 1) {
    return {launch_memory() + size_t(threadIdx.x / LANES) * rows * width, width};
}

// Makes deviations from the mean by the standard deviation of a row (Ba, Kiros and Hinton 2016). The variance takes a second pass: a
// difference of squares would lose its digits. Returns what the deviations were multiplied by.
__device__ inline float deviate(const Row& row, float epsilon) {
    const unsigned first = 8 * (threadIdx.x % LANES);
    float sum = 0;
    for (unsigned at = first; at < row.width; at += 8 * LANES) {
#pragma unroll
        for (unsigned i = 0; i < 8; ++i) {
            sum += row(at, i);
        }
    }
    const float mean = warp_sum(sum) / row.width;
    float squares = 0;
    for (unsigned at = first; at < row.width; at += 8 * LANES) {
#pragma unroll
        for (unsigned i = 0; i < 8; ++i) {
            const float deviation = row(at, i) - mean;
            row(at, i) = deviation;
            squares += deviation * deviation;
        }
    }
    const float scale = rsqrtf(warp_sum(squares) / row.width + epsilon);
    for (unsigned at = first; at < row.width; at += 8 * LANES) {
#pragma unroll
        for (unsigned i = 0; i < 8; ++i) {
            row(at, i) *= scale;
        }
    }
    return scale;
}
