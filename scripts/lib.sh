# Sourced by the scripts beside it: where things are, and who runs what.

set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# A toolchain that rustup installed, for shells that haven't read its profile.
PATH=$PATH:$HOME/.cargo/bin

# All crates that need no PostgreSQL, as cargo is told of them.
engine_crates=()
for folder in "$root"/crates/*/; do
    folder=$(basename "$folder")
    engine_crates+=(-p "ecommerce_ml_${folder//-/_}")
done

say() { printf '==> %s\n' "$*" >&2; }
die() { printf 'error: %s\n' "$*" >&2; exit 1; }

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"
    elif command -v sudo >/dev/null; then sudo "$@"
    else die "this needs root or sudo: $*"
    fi
}

# Mirrors and locks fail for a moment now and then.
twice() {
    "$@" && return
    say "that failed, trying once more: $*"
    sleep 5
    "$@"
}

apt_get() {
    twice as_root env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3 "$@"
}

# PostgreSQL refuses to run as root, so root's private clusters belong to user postgres.
as_server() {
    if [ "$(id -u)" = 0 ]; then (cd / && runuser -u postgres -- "$@"); else "$@"; fi
}

# Prints the pg_config to build for: $PG_CONFIG, else that of the newest PostgreSQL that Debian's packages put here together
# with what building for it needs, else the one in PATH.
find_pg_config() {
    local candidate major
    if [ -n "${PG_CONFIG:-}" ]; then command -v "$PG_CONFIG"; return; fi
    for major in $(supported_majors); do
        candidate=/usr/lib/postgresql/$major/bin
        if [ -x "$candidate/initdb" ] && [ -f "/usr/include/postgresql/$major/server/postgres.h" ]; then
            printf '%s\n' "$candidate/pg_config"
            return
        fi
    done
    command -v pg_config
}

# Prints the major versions of PostgreSQL that the extension can be built for, newest first.
supported_majors() { sed -nE 's/^pg([0-9]+) = .*/\1/p' "$root/Cargo.toml" | sort -rn; }

# Prints the major version of PostgreSQL that this release of Debian has; apt has to know its packages.
distribution_major() {
    local major
    major=$(apt-cache depends --important postgresql 2>/dev/null | sed -nE 's/.*Depends: postgresql-([0-9]+)$/\1/p' | head -n 1)
    supported_majors | grep -qx -- "${major:-none}" || die "Debian's PostgreSQL ${major:-(none)} is not among those that are supported:
  $(supported_majors | paste -sd ' '); set PG_CONFIG to the pg_config of one that is"
    printf '%s\n' "$major"
}

# Sets $pg_config, $pg_bin, $pkglibdir, $sharedir and $pg_major.
use_postgres() {
    pg_config=$(find_pg_config) || die "no pg_config found; set PG_CONFIG, or run 'make setup' on Debian"
    pg_bin=$("$pg_config" --bindir)
    pkglibdir=$("$pg_config" --pkglibdir)
    sharedir=$("$pg_config" --sharedir)
    pg_major=$("$pg_config" --version | sed -E 's/^[^0-9]*([0-9]+).*/\1/')
    export PG_CONFIG=$pg_config
}

# With CI=true all clones of a machine share one folder of artefacts, so that repeated runs are quick.
use_target_dir() {
    local default=$root/target
    if [ "${CI:-}" = true ]; then default=${XDG_CACHE_HOME:-$HOME/.cache}/ecommerce_ml/target; fi
    export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$default}
}

# Makes a folder for private clusters, $scratch, that user postgres can reach wherever the clone is; scripts/demo says
# more. When the script ends, the servers of the clusters below it are stopped and it is removed.
use_scratch() {
    scratch=$(as_server mktemp -d "/var/tmp/ecml-$1.XXXXXX")
    trap remove_scratch EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
}

remove_scratch() {
    local pid_file
    for pid_file in $(find "$scratch" -maxdepth 4 -name postmaster.pid); do
        as_server "$pg_bin/pg_ctl" stop -s -m immediate -D "$(dirname "$pid_file")" || true
    done
    rm -rf "$scratch"
}
