#!/usr/bin/env bash
# Compares the speed of glassbox with PyTorch (eager, channels_last, torch.compile) and TensorFlow (tf.function) on this
# machine: training and inference, the same nets, batch and threads, in turns within one run.
#
#   tests/compare/compare.sh [--peers FOLDER] [options of compare.py, see --help]
#
# The peers are installed by pip into a virtual environment in FOLDER, or in a fresh scratch folder, which is named
# and kept, so that the next run can reuse it. Needs python 3.11 or newer, about 8 GB of disk for the peers (PyTorch's
# package brings GPU libraries along, though nothing here uses them), and a C++ compiler for torch.compile.
set -euo pipefail
repository=$(cd "$(dirname "$0")/../.." && pwd)
case "${1:-}" in -h | --help) exec python3 "$repository/tests/compare/compare.py" --help ;; esac
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
"$python" -c "import numpy, tensorflow, torch" 2>/dev/null || "$folder/venv/bin/pip" install numpy tensorflow-cpu torch
cargo build --release --manifest-path "$repository/Cargo.toml" -p glassbox
echo "peers: $folder (give it with --peers next time)"
exec "$python" "$repository/tests/compare/compare.py" "$@"
