#!/usr/bin/env bash
# Compares the speed of glassbox with PyTorch (eager, channels_last, torch.compile), TensorFlow (tf.function) and Burn
# (its backend in pure Rust) on this machine: training and inference, the same nets, batch and threads, in turns within one run.
#
#   tests/compare/compare.sh [--peers FOLDER] [options of compare.py, see --help]
#   tests/compare/compare.sh methods [--peers FOLDER] [options of methods.py, see --help]
#
# The second form compares methods that explain with Captum and pytorch-grad-cam.
#
# The peers are installed by pip into a virtual environment in FOLDER, or in a fresh scratch folder, which is named
# and kept, so that the next run can reuse it. Needs python 3.11 or newer, about 9 GB of disk for the peers (PyTorch's
# package brings GPU libraries along, though nothing here uses them), and a C++ compiler for torch.compile.
set -euo pipefail
repository=$(cd "$(dirname "$0")/../.." && pwd)
script=compare.py packages="numpy tensorflow-cpu torch" modules="numpy, tensorflow, torch"
if [ "${1:-}" = "methods" ]; then
    script=methods.py packages="numpy torch captum grad-cam safetensors" modules="captum, pytorch_grad_cam, safetensors"
    shift
fi
case "${1:-}" in -h | --help) exec python3 "$repository/tests/compare/$script" --help ;; esac
folder=""
if [ "${1:-}" = "--peers" ]; then
    folder=${2:?"--peers needs a folder"}
    shift 2
fi
folder=${folder:-$(mktemp -d)}
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
case "$folder/" in "$repository/"*) echo "error: keep the peers outside the repository" >&2; exit 2 ;; esac
python="$folder/venv/bin/python"
[ -x "$python" ] || python3 -m venv "$folder/venv"
# the packages are words of their own
"$python" -c "import $modules" 2>/dev/null || "$folder/venv/bin/pip" install $packages
if [ "$script" = compare.py ]; then
    # Burn's side is a crate of its own, outside of this workspace
    burn="$folder/burn"
    mkdir -p "$burn/src"
    cp "$repository/tests/compare/burn_peer.toml" "$burn/Cargo.toml"
    cp "$repository/tests/compare/burn_peer.rs" "$burn/src/main.rs"
    CARGO_TARGET_DIR="$burn/target" cargo build --release --manifest-path "$burn/Cargo.toml" ||
        echo "SKIPPED burn: its peer could not be built"
    set -- --burn "$burn" "$@"
fi
cargo build --release --manifest-path "$repository/Cargo.toml" -p glassbox
echo "peers: $folder (give it with --peers next time)"
exec "$python" "$repository/tests/compare/$script" "$@"
