// Finds races: two accesses to the same bytes, one of them a write, by threads that did not wait for each other in between. Only
// `__syncthreads` counts, as on a GPU: shuffles and products move registers and promise nothing about memory.
//
// `-fsanitize=thread` makes the compiler call the functions at the end before each access of a kernel to memory. The library that
// usually has them knows threads, but no fibers.
#include "races.h"

#include <cstdint>
#include <cstring>
#include <memory>
#include <unordered_map>

// Where the linker puts what is `static` and zero at first, as all shared memory whose size a kernel tells.
extern "C" const unsigned char __bss_start[], _end[];

namespace {

struct Range {
    const unsigned char *start, *end;

    bool has(const unsigned char* at) const {
        return at >= start && at < end;
    }
};

// Numbers of two bytes are the smallest that kernels use.
constexpr uintptr_t GRAIN_BYTES = 2, PAGE_BYTES = 4096;
constexpr unsigned NO_BLOCK = 0, SEVERAL_BLOCKS = 0xffffffff;
constexpr unsigned short SEVERAL_THREADS = 0xffff;

// An access to a grain, or several that are not ordered.
struct Access {
    // Blocks are counted from 1, rounds are those between barriers.
    unsigned block;
    unsigned short round, thread;
};

// The last ones.
struct Grain {
    Access read, write;
};

struct Page {
    Grain grains[PAGE_BYTES / GRAIN_BYTES];
};

std::unordered_map<uintptr_t, std::unique_ptr<Page>> pages;
uintptr_t last_number;
Page* last_page;
bool watches, was_found;
Access current;
Range stack, launched;

Page& page_of(uintptr_t address) {
    if (last_page == nullptr || address / PAGE_BYTES != last_number) {
        last_number = address / PAGE_BYTES;
        auto& page = pages[last_number];
        if (page == nullptr) {
            page = std::make_unique<Page>();
        }
        last_page = page.get();
    }
    return *last_page;
}

// Whether the thread that runs waited for what came before. In shared memory other blocks have other bytes.
bool is_ordered(const Access& before, bool is_shared) {
    if (before.block == NO_BLOCK || before.block != current.block) {
        return before.block == NO_BLOCK || is_shared;
    }
    return before.round != current.round || before.thread == current.thread;
}

void touch(const void* start, size_t bytes, bool writes) {
    const auto* own = static_cast<const unsigned char*>(start);
    if (!watches || stack.has(own)) {
        return;
    }
    const bool is_shared = launched.has(own) || Range{__bss_start, _end}.has(own);
    const auto first = reinterpret_cast<uintptr_t>(start);
    for (uintptr_t at = first / GRAIN_BYTES * GRAIN_BYTES; at < first + bytes; at += GRAIN_BYTES) {
        auto& [read, write] = page_of(at).grains[at % PAGE_BYTES / GRAIN_BYTES];
        was_found |= !is_ordered(write, is_shared) || (writes && !is_ordered(read, is_shared));
        if (writes) {
            write = current;
        } else if (is_ordered(read, is_shared)) {
            read = current;
        } else {
            read = {read.block == current.block ? current.block : SEVERAL_BLOCKS, current.round, SEVERAL_THREADS};
        }
    }
}

}  // namespace

void races::watch(bool shall_watch, const void* shared, size_t shared_bytes) {
    watches = shall_watch;
    const auto* start = static_cast<const unsigned char*>(shared);
    launched = {start, start + shared_bytes};
    was_found = false;
    pages.clear();
    last_page = nullptr;
    current = {};
}

bool races::were_found() {
    return was_found;
}

void races::begin_block() {
    ++current.block;
}

void races::run(unsigned thread, unsigned round, const unsigned char* own_stack, size_t stack_bytes) {
    current.thread = thread;
    current.round = round;
    stack = {own_stack, own_stack + stack_bytes};
}

// Since version 13 GCC calls others of what may not be aligned; a GPU has no such accesses, which `alignment` sees to.
#define ACCESSES(BYTES)                                       \
    extern "C" void __tsan_read##BYTES(void* at) {            \
        touch(at, BYTES, false);                              \
    }                                                         \
    extern "C" void __tsan_write##BYTES(void* at) {           \
        touch(at, BYTES, true);                               \
    }                                                         \
    extern "C" void __tsan_unaligned_read##BYTES(void* at) {  \
        touch(at, BYTES, false);                              \
    }                                                         \
    extern "C" void __tsan_unaligned_write##BYTES(void* at) { \
        touch(at, BYTES, true);                               \
    }

ACCESSES(1)
ACCESSES(2)
ACCESSES(4)
ACCESSES(8)
ACCESSES(16)

extern "C" void __tsan_read_range(void* at, size_t bytes) {
    touch(at, bytes, false);
}

extern "C" void __tsan_write_range(void* at, size_t bytes) {
    touch(at, bytes, true);
}

extern "C" void* __tsan_memcpy(void* to, const void* from, size_t bytes) {
    touch(from, bytes, false);
    touch(to, bytes, true);
    return std::memcpy(to, from, bytes);
}

extern "C" void* __tsan_memmove(void* to, const void* from, size_t bytes) {
    touch(from, bytes, false);
    touch(to, bytes, true);
    return std::memmove(to, from, bytes);
}

extern "C" void* __tsan_memset(void* to, int value, size_t bytes) {
    touch(to, bytes, true);
    return std::memset(to, value, bytes);
}

extern "C" void __tsan_init() {}
extern "C" void __tsan_func_entry(void*) {}
extern "C" void __tsan_func_exit() {}
