// Rows that a warp works on, each lane on the same eights of numbers all the time.
#pragma once

#include "numbers.cuh"

// The row, or group of rows, of this warp.
__device__ inline unsigned row_of_warp() {
    return blockIdx.x * (blockDim.x / LANES) + threadIdx.x / LANES;
}

// So many numbers of shared memory for this warp.
__device__ inline float* warp_memory(unsigned numbers) {
    return launch_memory() + threadIdx.x / LANES * numbers;
}

// Makes deviations from the mean by the standard deviation of a row in shared memory (Ba, Kiros and Hinton 2016). The variance takes a
// second pass: a difference of squares would lose its digits. Returns what the deviations were multiplied by.
__device__ inline float deviate(float* row, unsigned width, float epsilon) {
    const unsigned lane = threadIdx.x % LANES;
    float sum = 0;
    for (unsigned at = 8 * lane; at < width; at += 8 * LANES) {
        for (unsigned i = 0; i < 8; ++i) {
            sum += row[at + i];
        }
    }
    const float mean = warp_sum(sum) / width;
    float squares = 0;
    for (unsigned at = 8 * lane; at < width; at += 8 * LANES) {
        for (unsigned i = 0; i < 8; ++i) {
            row[at + i] -= mean;
            squares += row[at + i] * row[at + i];
        }
    }
    const float scale = rsqrtf(warp_sum(squares) / width + epsilon);
    for (unsigned at = 8 * lane; at < width; at += 8 * LANES) {
        for (unsigned i = 0; i < 8; ++i) {
            row[at + i] *= scale;
        }
    }
    return scale;
}
