// Watches accesses of threads to memory.
#pragma once

#include <cstddef>

namespace races {

// Forgets all, and watches from now on, or doesn't. Each block has shared memory of its own, though it be in the same place.
void watch(bool shall_watch, const void* shared, size_t shared_bytes);

// Whether there was a race since then.
bool were_found();

// What follows is of another block.
void begin_block();

// What follows is of this thread, after so many barriers. Its stack is its own.
void run(unsigned thread, unsigned round, const unsigned char* own_stack, size_t stack_bytes);

}  // namespace races
