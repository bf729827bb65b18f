// Kernels by their names.
#pragma once

#include <string_view>

// A kernel that reads its arguments where they are.
using Kernel = void (*)(void* const*);

// No kernel if there is none of that name.
Kernel find_kernel(std::string_view name);
