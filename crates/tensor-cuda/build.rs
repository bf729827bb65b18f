//! Compiles the CUDA kernels, for feature `cuda`.

use std::env;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Command;

const KERNELS: &str = "kernels";

/// Machine code for Ampere of the data centre and of desktops (with it Ada), Hopper, Blackwell of both, and for what comes later
/// PTX, which the driver compiles.
const TARGETS: [&str; 6] = [
    "arch=compute_80,code=[sm_80,compute_80]",
    "arch=compute_86,code=sm_86",
    "arch=compute_89,code=sm_89",
    "arch=compute_90,code=sm_90",
    "arch=compute_100,code=sm_100",
    "arch=compute_120,code=sm_120",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed={KERNELS}");
    println!("cargo::rerun-if-env-changed=CUDA_HOME");
    if env::var_os("CARGO_FEATURE_CUDA").is_none() {
        return Ok(());
    }
    let nvcc =
        env::var_os("CUDA_HOME").map_or_else(|| "nvcc".into(), |home| PathBuf::from(home).join("bin/nvcc"));
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("cargo sets no OUT_DIR")?);
    for kernel in ["rows", "attention", "attention_backward", "training"] {
        compile(&nvcc, kernel, &out)?;
    }
    Ok(())
}

fn compile(nvcc: &Path, kernel: &str, out: &Path) -> Result<(), Box<dyn Error>> {
    let folder = Path::new(KERNELS);
    let mut command = Command::new(nvcc);
    command.args(["-fatbin", "-std=c++17", "-O3", "--compress-mode=size", "-I"]).arg(folder.join("gpu"));
    for target in TARGETS {
        command.args(["-gencode", target]);
    }
    command.arg("-o").arg(out.join(format!("{kernel}.fatbin"))).arg(folder.join(format!("{kernel}.cu")));
    let status = command
        .status()
        .map_err(|error| format!("can't run {}, which feature \"cuda\" needs: {error}", nvcc.display()))?;
    if status.success() { Ok(()) } else { Err(format!("nvcc failed: {command:?}").into()) }
}
