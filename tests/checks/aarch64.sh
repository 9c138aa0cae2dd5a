#!/usr/bin/env bash
# Builds the engine for aarch64 and runs the tests of its kernels, NEON among them, and of their sameness in nets, in
# qemu's user mode.
#
#   tests/checks/aarch64.sh [words in names of tests]     (default: kernels::)
#
# Needs the standard library for aarch64-unknown-linux-gnu (rustup target add aarch64-unknown-linux-gnu; or Debian's
# libstd-rust-dev:arm64 and RUSTC=/usr/bin/rustc, which it belongs to), a linker (Debian's gcc-aarch64-linux-gnu) and
# qemu-aarch64 (Debian's qemu-user). On an aarch64 machine `cargo test` runs the same tests.
set -euo pipefail
cd "$(dirname "$0")/../.."
target=aarch64-unknown-linux-gnu
need() {
    echo "SKIPPED $1"
    exit 0
}
[ -d "$("${RUSTC:-rustc}" --print sysroot)/lib/rustlib/$target/lib" ] ||
    need "no standard library for $target: rustup target add $target"
command -v aarch64-linux-gnu-gcc >/dev/null || need "no linker aarch64-linux-gnu-gcc"
command -v qemu-aarch64 >/dev/null || need "no qemu-aarch64"
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc
# the loader must be of the same C library as what it loads: this system's own for aarch64, else the linker's
prefix="-L /usr/aarch64-linux-gnu"
[ -e /lib/ld-linux-aarch64.so.1 ] && prefix=""
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER="qemu-aarch64 $prefix"
cargo test --release --target "$target" -p glassbox-engine --lib --features parallel -- --nocapture "${@:-kernels::}"
cargo test --release --target "$target" -p glassbox-tests --test sameness -- --nocapture
