// Blocks of fibers, and the kernels that they run.

#include "intrinsics.cuh"

#include <setjmp.h>
#include <ucontext.h>

#include <string_view>
#include <utility>
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
};

std::vector<Fiber> fibers;
std::vector<Warp> warps;
Meeting block;
jmp_buf scheduler;
unsigned running;
// Whether anything came to pass since all fibers were looked at.
bool has_moved;
alignas(16) float shared[MOST_SHARED_BYTES / sizeof(float)];

void* const* arguments;
void (*entry)(void* const*);

void meet(Meeting& meeting) {
    has_moved = true;
    const unsigned round = meeting.round;
    if (++meeting.arrived == meeting.members) {
        meeting.arrived = 0;
        ++meeting.round;
    }
    while (meeting.round == round) {
        if (_setjmp(fibers[running].place) == 0) {
            _longjmp(scheduler, 1);
        }
    }
    has_moved = true;
}

void run_fiber() {
    entry(arguments);
    has_moved = true;
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

// Whether all fibers came to their end.
bool run_block(unsigned threads) {
    block = {threads};
    warps.assign((threads + emulator::LANES - 1) / emulator::LANES, Warp{});
    for (unsigned thread = 0; thread < threads; ++thread) {
        ++warps[thread / emulator::LANES].meeting.members;
        Fiber& fiber = fibers[thread];
        fiber.has_begun = fiber.is_done = false;
        fiber.stack.resize(STACK_BYTES);
        getcontext(&fiber.context);
        fiber.context.uc_stack.ss_sp = fiber.stack.data();
        fiber.context.uc_stack.ss_size = fiber.stack.size();
        makecontext(&fiber.context, run_fiber, 0);
    }
    // What a kernel did not write is not zero by chance.
    std::fill(std::begin(shared), std::end(shared), NAN);
    for (unsigned left = threads; left > 0;) {
        has_moved = false;
        left = 0;
        for (running = 0; running < threads; ++running) {
            if (!fibers[running].is_done) {
                threadIdx = {running, 0, 0};
                resume(fibers[running]);
                left += !fibers[running].is_done;
            }
        }
        if (!has_moved) {
            return false;
        }
    }
    return true;
}

template <class... P>
struct Unpacked {
    template <void (*KERNEL)(P...), size_t... I>
    static void call(void* const* given, std::index_sequence<I...>) {
        KERNEL(*static_cast<P*>(given[I])...);
    }
};

template <auto KERNEL, class... P>
void unpack(void (*)(P...), void* const* given) {
    Unpacked<P...>::template call<KERNEL>(given, std::index_sequence_for<P...>());
}

template <auto KERNEL>
void call(void* const* given) {
    unpack<KERNEL>(KERNEL, given);
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
    return shared;
}

#include "attention.cu"
#include "attention_backward.cu"
#include "rows.cu"
#include "training.cu"

namespace {

const std::pair<std::string_view, void (*)(void* const*)> KERNELS[] = {
    {"embed", call<embed>},
    {"add_norm", call<add_norm>},
    {"choose", call<choose>},
    {"mean", call<mean>},
    {"classify", call<classify>},
    {"attend_32", call<attend_32>},
    {"attend_64", call<attend_64>},
    {"attend_128", call<attend_128>},
    {"attend_training_32", call<attend_training_32>},
    {"attend_training_64", call<attend_training_64>},
    {"attend_training_128", call<attend_training_128>},
    {"attend_back_queries_32", call<attend_back_queries_32>},
    {"attend_back_queries_64", call<attend_back_queries_64>},
    {"attend_back_queries_128", call<attend_back_queries_128>},
    {"attend_back_keys_32", call<attend_back_keys_32>},
    {"attend_back_keys_64", call<attend_back_keys_64>},
    {"attend_back_keys_128", call<attend_back_keys_128>},
    {"head_products", call<head_products>},
    {"add_norm_training", call<add_norm_training>},
    {"embed_training", call<embed_training>},
    {"norm_back", call<norm_back>},
    {"sum_rows", call<sum_rows>},
    {"add_partial", call<add_partial>},
    {"activate", call<activate>},
    {"activate_back", call<activate_back>},
    {"leave_out", call<leave_out>},
    {"add_to_table", call<add_to_table>},
    {"add_chosen", call<add_chosen>},
    {"columns", call<columns>},
    {"round_numbers", call<round_numbers>},
    {"round_moved", call<round_moved>},
    {"sum_squares", call<sum_squares>},
    {"adam", call<adam>},
};

}  // namespace

// 0, or why it failed: 1 for an unknown kernel, 2 for too much shared memory, 3 for threads that wait for ever.
extern "C" int ecommerce_ml_emulate(const char* name, const unsigned* grid, unsigned threads, unsigned shared_bytes,
                                    void* const* given) {
    if (shared_bytes > MOST_SHARED_BYTES) {
        return 2;
    }
    for (const auto& [known, function] : KERNELS) {
        if (known != name) {
            continue;
        }
        arguments = given;
        entry = function;
        blockDim = {threads, 1, 1};
        fibers.resize(threads);
        for (blockIdx.z = 0; blockIdx.z < grid[2]; ++blockIdx.z) {
            for (blockIdx.y = 0; blockIdx.y < grid[1]; ++blockIdx.y) {
                for (blockIdx.x = 0; blockIdx.x < grid[0]; ++blockIdx.x) {
                    if (!run_block(threads)) {
                        return 3;
                    }
                }
            }
        }
        return 0;
    }
    return 1;
}
