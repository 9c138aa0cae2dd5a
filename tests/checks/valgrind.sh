#!/usr/bin/env bash
# Runs the tests of the kernels under valgrind: reads and writes outside of what was allocated, and decisions on memory
# that was never written.
#
#   tests/checks/valgrind.sh [words in names of tests]     (default: kernels::)
#
# Valgrind shows programs a processor with AVX2 and without AVX-512, so the AVX-512 kernels print SKIPPED; the address
# sanitizer runs them (sanitizer.sh). Takes some minutes.
set -euo pipefail
cd "$(dirname "$0")/../.."
if ! command -v valgrind >/dev/null; then
    echo "SKIPPED valgrind is not installed"
    exit 0
fi
valgrind --version
host=$(rustc -vV | sed -n 's/^host: //p' | tr 'a-z-' 'A-Z_')
export "CARGO_TARGET_${host}_RUNNER"="valgrind --quiet --error-exitcode=99 --leak-check=no"
# two threads, so that jobs do run on more than one
export RAYON_NUM_THREADS=2
cargo test --release -p glassbox-engine --lib --features parallel -- --test-threads 1 --nocapture "${@:-kernels::}"
