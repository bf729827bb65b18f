// Blocks of fibers, which run a kernel.

#include "intrinsics.cuh"
#include "kernels.h"
#include "races.h"

#include <setjmp.h>
#include <ucontext.h>

#include <numeric>
#include <random>
#include <vector>

Index threadIdx, blockIdx, blockDim;

namespace {

constexpr size_t STACK_BYTES = 128 << 10;
constexpr size_t MOST_SHARED_BYTES = 48 << 10;

// Threads that wait for each other.
struct Meeting {
    unsigned members = 0, arrived = 0, round = 0;
};

struct Warp {
    Meeting meeting;
    // What the lanes bring, in turns, so that a slow lane can still read the last.
    alignas(16) unsigned char brought[2][emulator::LANES * 64];
};

// It begins with a context of its own, and goes on by a jump, which is no system call.
struct Fiber {
    ucontext_t context;
    jmp_buf place;
    std::vector<unsigned char> stack;
    bool has_begun, is_done;
    // What it waits for: that this meeting gets beyond this round.
    const Meeting* meeting;
    unsigned round;

    bool can_go_on() const {
        return !is_done && (meeting == nullptr || meeting->round != round);
    }
};

// Whose turn it is: a GPU promises nothing. The numbers are those of Rust.
enum class Order : unsigned { FORWARD, BACKWARD, SHUFFLED };

Order order;
std::mt19937_64 chance;

std::vector<Fiber> fibers;
std::vector<Warp> warps;
Meeting block;
jmp_buf scheduler;
unsigned running;

float* launched_memory;
size_t launched_bytes;
void* const* arguments;
Kernel kernel;

// The numbers below `count`, as turns are taken.
void arrange(std::vector<unsigned>& turns, unsigned count) {
    turns.resize(count);
    std::iota(turns.begin(), turns.end(), 0);
    if (order == Order::BACKWARD) {
        std::reverse(turns.begin(), turns.end());
    } else if (order == Order::SHUFFLED) {
        std::shuffle(turns.begin(), turns.end(), chance);
    }
}

void meet(Meeting& meeting) {
    Fiber& fiber = fibers[running];
    fiber.meeting = &meeting;
    fiber.round = meeting.round;
    if (++meeting.arrived == meeting.members) {
        meeting.arrived = 0;
        ++meeting.round;
    }
    // The last one stops too: who goes on first is up to the order.
    if (_setjmp(fiber.place) == 0) {
        _longjmp(scheduler, 1);
    }
}

void run_fiber() {
    kernel(arguments);
    fibers[running].is_done = true;
    _longjmp(scheduler, 1);
}

// Runs a fiber until it waits or ends.
void resume(Fiber& fiber) {
    if (_setjmp(scheduler) != 0) {
        return;
    }
    if (fiber.has_begun) {
        _longjmp(fiber.place, 1);
    }
    fiber.has_begun = true;
    setcontext(&fiber.context);
}

void prepare_block(unsigned threads) {
    races::begin_block();
    block = {threads};
    warps.assign((threads + emulator::LANES - 1) / emulator::LANES, Warp{});
    for (unsigned thread = 0; thread < threads; ++thread) {
        ++warps[thread / emulator::LANES].meeting.members;
        Fiber& fiber = fibers[thread];
        fiber.has_begun = fiber.is_done = false;
        fiber.meeting = nullptr;
        fiber.stack.resize(STACK_BYTES);
        getcontext(&fiber.context);
        fiber.context.uc_stack.ss_sp = fiber.stack.data();
        fiber.context.uc_stack.ss_size = fiber.stack.size();
        makecontext(&fiber.context, run_fiber, 0);
    }
    // What a block did not write is not zero by chance, but NaN.
    std::fill_n(reinterpret_cast<unsigned char*>(launched_memory), launched_bytes, 0xff);
}

// Lets each lane that can go on run until it waits. Whether there was one.
bool run_lanes(unsigned warp, unsigned threads) {
    static std::vector<unsigned> turns;
    const unsigned first = warp * emulator::LANES;
    arrange(turns, min(emulator::LANES, threads - first));
    bool has_moved = false;
    for (const unsigned lane : turns) {
        running = first + lane;
        if (fibers[running].can_go_on()) {
            threadIdx = {running, 0, 0};
            races::run(running, block.round, fibers[running].stack.data(), STACK_BYTES);
            resume(fibers[running]);
            has_moved = true;
        }
    }
    return has_moved;
}

// Whether all fibers came to their end. A warp goes as far as it can without the others, so that of any two of them each is
// ahead of the other in one of the orders; shuffled, it may also have to stop anywhere.
bool run_block(unsigned threads) {
    prepare_block(threads);
    static std::vector<unsigned> turns;
    for (bool has_moved = true; has_moved;) {
        has_moved = false;
        arrange(turns, warps.size());
        for (const unsigned warp : turns) {
            while (run_lanes(warp, threads)) {
                has_moved = true;
                if (order == Order::SHUFFLED && chance() % 8 == 0) {
                    break;
                }
            }
        }
    }
    return std::all_of(fibers.begin(), fibers.begin() + threads, [](const Fiber& fiber) { return fiber.is_done; });
}

}  // namespace

void emulator::meet_block() {
    meet(block);
}

const unsigned char* emulator::exchange(const void* own, size_t bytes, size_t stride) {
    Warp& warp = warps[threadIdx.x / LANES];
    unsigned char* brought = warp.brought[warp.meeting.round % 2];
    std::memcpy(brought + threadIdx.x % LANES * stride, own, bytes);
    meet(warp.meeting);
    return brought;
}

float* emulator::launch_memory() {
    return launched_memory;
}

// 0, or why it failed: 1 for an unknown kernel, 2 for too much shared memory, 3 for threads that wait for ever, 4 for a
// race.
extern "C" int ecommerce_ml_emulate(const char* name, const unsigned* grid, unsigned threads, void* shared, unsigned shared_bytes,
                                    unsigned turns, unsigned long long seed, bool watches, void* const* given) {
    if (shared_bytes > MOST_SHARED_BYTES) {
        return 2;
    }
    kernel = find_kernel(name);
    if (kernel == nullptr) {
        return 1;
    }
    order = static_cast<Order>(turns);
    chance.seed(seed);
    launched_memory = static_cast<float*>(shared);
    launched_bytes = shared_bytes;
    arguments = given;
    races::watch(watches, shared, shared_bytes);
    blockDim = {threads, 1, 1};
    // Those of larger blocks keep their stacks.
    fibers.resize(std::max<size_t>(fibers.size(), threads));
    std::vector<unsigned> blocks;
    arrange(blocks, grid[0] * grid[1] * grid[2]);
    for (const unsigned place : blocks) {
        blockIdx = {place % grid[0], place / grid[0] % grid[1], place / grid[0] / grid[1]};
        if (!run_block(threads)) {
            return 3;
        }
    }
    return races::were_found() ? 4 : 0;
}
