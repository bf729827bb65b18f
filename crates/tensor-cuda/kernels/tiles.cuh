// Tiles of attention: a warp holds sixteen rows in registers, as the left side of products; the other side is staged in shared
// memory. Where the parts of a fragment lie: PTX ISA, "Matrix fragments for mma.m16n8k16".
#pragma once

#include "numbers.cuh"

constexpr unsigned WARPS = 4;
// Between rows in shared memory, so that the rows of a fragment lie in different banks.
constexpr unsigned GAP = 8;

// Rows of a matrix, so many numbers apart.
struct Rows {
    const narrow* start;
    unsigned stride;

    __device__ const narrow* at(size_t row, unsigned column) const {
        return start + row * stride + column;
    }
};

// A lane's part of a fragment: two rows, this one and the eighth after it, in columns from `column` on.
struct Place {
    unsigned lane, first_row, row, column;
};

__device__ inline Place place_of_lane() {
    const unsigned lane = threadIdx.x % LANES, first_row = threadIdx.x / LANES * 16;
    return {lane, first_row, first_row + lane / 4, lane % 4 * 2};
}

// Brings `count` rows of DEPTH numbers, from column `head` on, into shared memory, and zeros up to ROWS rows.
template <unsigned DEPTH, unsigned ROWS>
__device__ inline void stage(narrow (&staged)[ROWS][DEPTH + GAP], const Rows& from, size_t first, unsigned head, unsigned count) {
    constexpr unsigned PIECES = DEPTH / 8;
    for (unsigned piece = threadIdx.x; piece < ROWS * PIECES; piece += WARPS * LANES) {
        const unsigned row = piece / PIECES, at = piece % PIECES * 8;
        store(&staged[row][at], row < count ? load(from.at(first + row, head + at)) : Eight{});
    }
}

// Holds rows as the left side of products; those from `count` on are zeros.
template <unsigned DEPTH>
__device__ inline void hold(unsigned (&held)[DEPTH / 16][4], const Rows& from, size_t first, unsigned head, const Place& place,
                            unsigned count) {
    const auto pair = [&](unsigned row, unsigned at) {
        return row < count ? *reinterpret_cast<const unsigned*>(from.at(first + row, head + at)) : 0;
    };
#pragma unroll
    for (unsigned part = 0; part < DEPTH / 16; ++part) {
        const unsigned at = 16 * part + place.column;
        held[part][0] = pair(place.row, at);
        held[part][1] = pair(place.row + 8, at);
        held[part][2] = pair(place.row, at + 8);
        held[part][3] = pair(place.row + 8, at + 8);
    }
}

// products += held staged^T
template <class N, unsigned DEPTH, unsigned ROWS>
__device__ inline void cross(float (&products)[ROWS / 8][4], const unsigned (&held)[DEPTH / 16][4],
                             const narrow (&staged)[ROWS][DEPTH + GAP], const Place& place) {
#pragma unroll
    for (unsigned part = 0; part < DEPTH / 16; ++part) {
#pragma unroll
        for (unsigned eighth = 0; eighth < ROWS / 8; ++eighth) {
            const narrow* row = &staged[8 * eighth + place.lane / 4][16 * part + place.column];
            N::multiply_add(products[eighth], held[part], *reinterpret_cast<const unsigned*>(row),
                         *reinterpret_cast<const unsigned*>(row + 8));
        }
    }
}

// sums += weights staged. The sums of a product lie as the left side of the next one wants them.
template <class N, unsigned DEPTH, unsigned ROWS>
__device__ inline void gather(float (&sums)[DEPTH / 8][4], const float (&weights)[ROWS / 8][4],
                              const narrow (&staged)[ROWS][DEPTH + GAP], const Place& place) {
#pragma unroll
    for (unsigned part = 0; part < ROWS / 16; ++part) {
        const float(&left)[4] = weights[2 * part];
        const float(&right)[4] = weights[2 * part + 1];
        const unsigned weight[4] = {N::pack(left[0], left[1]), N::pack(left[2], left[3]), N::pack(right[0], right[1]),
                                    N::pack(right[2], right[3])};
#pragma unroll
        for (unsigned sixteenth = 0; sixteenth < DEPTH / 16; ++sixteenth) {
            unsigned value[4];
            load_transposed(value, &staged[16 * part + place.lane % 16][16 * sixteenth + place.lane / 16 * 8]);
            N::multiply_add(sums[2 * sixteenth], weight, value[0], value[1]);
            N::multiply_add(sums[2 * sixteenth + 1], weight, value[2], value[3]);
        }
    }
}

// Writes one of a lane's two rows, divided.
template <class N, unsigned DEPTH>
__device__ inline void put(narrow* to, const float (&sums)[DEPTH / 8][4], unsigned half, float by, const Place& place) {
#pragma unroll
    for (unsigned eighth = 0; eighth < DEPTH / 8; ++eighth) {
        *reinterpret_cast<unsigned*>(to + 8 * eighth + place.column) =
            N::pack(sums[eighth][2 * half] / by, sums[eighth][2 * half + 1] / by);
    }
}
