// The kernels, by their names. Nothing else is compiled so that accesses to memory are watched.

#include "kernels.h"

#include <algorithm>
#include <utility>

#include "intrinsics.cuh"

#include "attention.cu"
#include "attention_backward.cu"
#include "rows.cu"
#include "training.cu"

namespace {

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

const std::pair<std::string_view, Kernel> KERNELS[] = {
    {"embed", call<embed>},
    {"embed_f16", call<embed_f16>},
    {"add_norm", call<add_norm>},
    {"add_norm_f16", call<add_norm_f16>},
    {"gather_rows", call<gather_rows>},
    {"mean", call<mean>},
    {"mean_f16", call<mean_f16>},
    {"classify", call<classify>},
    {"classify_f16", call<classify_f16>},
    {"attend_32", call<attend_32>},
    {"attend_32_f16", call<attend_32_f16>},
    {"attend_64", call<attend_64>},
    {"attend_64_f16", call<attend_64_f16>},
    {"attend_128", call<attend_128>},
    {"attend_128_f16", call<attend_128_f16>},
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
    {"dropout", call<dropout>},
    {"add_to_table", call<add_to_table>},
    {"scatter_add", call<scatter_add>},
    {"copy_columns", call<copy_columns>},
    {"round_numbers", call<round_numbers>},
    {"round_perturbed", call<round_perturbed>},
    {"sum_squares", call<sum_squares>},
    {"adam", call<adam>},
};

}  // namespace

Kernel find_kernel(std::string_view name) {
    const auto has_name = [&](const auto& known) { return known.first == name; };
    const auto* found = std::find_if(std::begin(KERNELS), std::end(KERNELS), has_name);
    return found == std::end(KERNELS) ? nullptr : found->second;
}
