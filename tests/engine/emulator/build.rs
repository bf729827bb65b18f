//! Compiles the kernels as C++ for the CPU.

fn main() {
    let kernels = "../../../crates/engine/kernels";
    for path in ["src", kernels] {
        println!("cargo::rerun-if-changed={path}");
    }
    cc::Build::new()
        .cpp(true)
        .std("c++17")
        .file("src/emulator.cpp")
        // Its `intrinsics.cuh` comes before that of the GPU, which is not on the path.
        .include("src")
        .include(kernels)
        // Loops are marked for a compiler that knows how to unroll them.
        .flag("-Wno-unknown-pragmas")
        .flag("-fno-strict-aliasing")
        // Jumps between stacks look like mistakes to it.
        .flag("-U_FORTIFY_SOURCE")
        // A GPU loads sixteen bytes from multiples of sixteen only.
        .flag("-fsanitize=alignment")
        .flag("-fsanitize-undefined-trap-on-error")
        .opt_level(2)
        .compile("ecommerce_ml_emulated_kernels");
}
