#!/usr/bin/env bash
# Runs the tests of the kernels, and those of whole nets on every instruction set, with the address sanitizer: reads and
# writes outside of what was allocated, by whatever instructions.
#
#   tests/checks/sanitizer.sh [words in names of the engine's tests]     (default: kernels::)
#
# Needs a toolchain that brings the sanitizer's runtime (rustup's does). Standard library and dependencies' own code are
# not instrumented where they come compiled.
set -euo pipefail
cd "$(dirname "$0")/../.."
host=$(rustc -vV | sed -n 's/^host: //p')
if ! compgen -G "$(rustc --print sysroot)/lib/rustlib/$host/lib/librustc-*_rt.asan.*" >/dev/null; then
    echo "SKIPPED this toolchain has no runtime of the address sanitizer for $host"
    exit 0
fi
# the sanitizer's flag is not stable; the target keeps it away from build scripts
export RUSTC_BOOTSTRAP=1 RUSTFLAGS="-Zsanitizer=address -Cdebug-assertions=on"
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-target}/sanitizer
cargo test --release --target "$host" -p glassbox-engine --lib --features parallel -- --nocapture "${@:-kernels::}"
cargo test --release --target "$host" -p glassbox-tests --test sameness -- --nocapture
