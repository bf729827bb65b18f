//! Compiles the kernels as C++ for the CPU.

fn main() {
    let kernels = "../../../crates/tensor-cuda/kernels";
    for path in ["src", kernels] {
        println!("cargo::rerun-if-changed={path}");
    }
    let mut emulator = cc::Build::new();
    emulator
        .cpp(true)
        .std("c++17")
        // Its `intrinsics.cuh` comes before that of the GPU, which is not on the path.
        .include("src")
        .include(kernels)
        .flag("-fno-strict-aliasing")
        // Jumps between stacks look like mistakes to it.
        .flag("-U_FORTIFY_SOURCE")
        .opt_level(2);
    let mut watched = emulator.clone();
    watched
        .file("src/kernels.cpp")
        // Loops are marked for a compiler that knows how to unroll them.
        .flag("-Wno-unknown-pragmas")
        // A GPU loads sixteen bytes from multiples of sixteen only.
        .flag("-fsanitize=alignment")
        .flag("-fsanitize-undefined-trap-on-error")
        // Calls the functions of `races.cpp`.
        .flag("-fsanitize=thread");
    emulator
        .file("src/emulator.cpp")
        .file("src/races.cpp")
        .objects(watched.compile_intermediates())
        .compile("ecommerce_ml_emulated_kernels");
}
