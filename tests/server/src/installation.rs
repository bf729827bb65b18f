//! Where the server and the extension are installed, and as whom a cluster runs.

use std::fs;
use std::os::unix::fs::{chown, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

/// What the pg_config of the server under test prints: `$PG_CONFIG`, else the one that the scripts find.
pub fn pg_config(option: &str) -> PathBuf {
    static PROGRAM: LazyLock<String> = LazyLock::new(|| {
        std::env::var("PG_CONFIG").unwrap_or_else(|_| {
            let library = repository().join("scripts/lib.sh");
            output(Command::new("bash").args(["-c", "source \"$0\"; find_pg_config"]).arg(library))
        })
    });
    PathBuf::from(output(Command::new(&*PROGRAM).arg(option)))
}

/// The repository.
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the repository is there")
}

/// A program of the server under test, to be run as [`as_server`] says.
pub fn server_program(name: &str) -> Command {
    static BINARIES: LazyLock<PathBuf> = LazyLock::new(|| pg_config("--bindir"));
    as_server(Command::new(BINARIES.join(name)))
}

/// Makes an installation below `base` that is the one under test but for the engine, in whose place `engine` stands; the real
/// one is beside it as `real_engine`. Returns where its programs are: the server and what starts it.
pub fn installation_with_engine(base: &Path, engine: &Path) -> PathBuf {
    let below = |path: &Path| base.join(path.strip_prefix("/").expect("pg_config prints whole paths"));
    let (programs, libraries, shared) =
        (pg_config("--bindir"), pg_config("--pkglibdir"), pg_config("--sharedir"));
    let made = [below(&programs), below(&libraries), below(&shared)];
    for folder in [&made[0], &made[1], &made[2].parent().expect("it has one").to_path_buf()] {
        fs::create_dir_all(folder).expect("a folder can be made");
    }
    // Copies, because the server finds its files from where its program really is.
    for program in ["postgres", "pg_ctl"] {
        fs::copy(programs.join(program), made[0].join(program)).expect("a program can be copied");
    }
    for entry in libraries.read_dir().expect("the libraries can be read") {
        let entry = entry.expect("the libraries can be read");
        let name =
            if entry.file_name() == "ecommerce_ml_engine" { "real_engine".into() } else { entry.file_name() };
        symlink(entry.path(), made[1].join(name)).expect("a link can be made");
    }
    // It may lie where only we can read, below root's home.
    fs::copy(engine, made[1].join("ecommerce_ml_engine")).expect("a program can be copied");
    symlink(&shared, &made[2]).expect("a link can be made");
    made[0].clone()
}

/// Lets a command run as the user that owns clusters: postgres if we are root, else ourselves.
pub fn as_server(mut command: Command) -> Command {
    if let Some((uid, gid)) = server_ids() {
        command.uid(uid).gid(gid).env("HOME", "/tmp").env("USER", "postgres").current_dir("/tmp");
    }
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("PG")) {
        command.env_remove(name);
    }
    command
}

/// Hands a file or folder, with all that is in it, to the user that owns clusters.
pub fn give_to_server(path: &Path) {
    let Some((uid, gid)) = server_ids() else { return };
    chown(path, Some(uid), Some(gid)).expect("root may change owners");
    if path.is_dir() {
        for entry in path.read_dir().expect("a folder of ours can be read") {
            give_to_server(&entry.expect("a folder of ours can be read").path());
        }
    }
}

/// Runs a command and returns what it printed, without the last newline.
///
/// # Panics
/// If it fails, with what it wrote to its standard error.
pub fn output(command: &mut Command) -> String {
    let result = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let errors = String::from_utf8_lossy(&result.stderr);
    assert!(result.status.success(), "{command:?}: {}\n{errors}", result.status);
    String::from_utf8_lossy(&result.stdout).trim_end().to_owned()
}

#[allow(unsafe_code, reason = "libc has it")]
fn server_ids() -> Option<(u32, u32)> {
    static IDS: LazyLock<Option<(u32, u32)>> = LazyLock::new(|| {
        // SAFETY: geteuid has no preconditions and can't fail.
        if unsafe { libc::geteuid() } != 0 {
            return None;
        }
        let id = |option| {
            output(Command::new("id").args([option, "postgres"])).parse().expect("id prints a number")
        };
        Some((id("-u"), id("-g")))
    });
    *IDS
}
