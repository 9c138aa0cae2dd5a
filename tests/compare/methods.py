"""Speed of glassbox's methods against Captum and pytorch-grad-cam on this machine, in turns: glassbox, peer, ...

The net is the trained digit net of fixtures/reference, the images are digits of the fixtures, and both sides
explain the same classes with the same steps, draws and windows. A glassbox turn is one run of `glassbox explain
--time`, which reports the seconds of the method alone; the peers stay alive and run the method on request. Each peer's
turn is compared with the glassbox turn just before it; the figure is the median of these ratios. Above 1 glassbox is
faster. Where a method has no
chance, its maps are compared with Captum's, too. Started by `compare.sh methods`, which
installs the peers.
"""

import argparse
import gzip
import json
import pathlib
import statistics
import struct
import subprocess
import sys
import tempfile
import time

import numpy

import compare

HERE = pathlib.Path(__file__).resolve().parent
REFERENCE = compare.ROOT / "fixtures" / "reference"
LAYER = "features.4"
# method: (peers, options of glassbox, whether its maps can be compared with Captum's)
METHODS = {
    "grad-cam": (["captum", "pytorch-grad-cam"], ["--layer", LAYER], True),
    "integrated-gradients": (["captum"], ["--set", "steps=50"], True),
    "smoothgrad": (["captum"], ["--set", "draws=50"], False),
    "score-cam": (["pytorch-grad-cam"], ["--layer", LAYER, "--set", "weights=softmax-logits"], False),
    "occlusion": (["captum"], ["--set", "window=5", "--set", "stride=2"], True),
}


def digits(count):
    """Digits as the net sees them, [count, 1, 28, 28]."""
    with gzip.open(compare.ROOT / "fixtures" / "data" / "digits-640-images-idx3-ubyte.gz") as data:
        _, available, rows, columns = struct.unpack(">4I", data.read(16))
        pixels = numpy.frombuffer(data.read(min(count, available) * rows * columns), numpy.uint8)
    images = pixels.reshape(-1, 1, rows, columns).astype(numpy.float32) / 255
    return (numpy.resize(images, (count, 1, rows, columns)) - 0.1307) / 0.3081


class Glassbox:
    """Runs of the program."""

    def __init__(self, options, folder):
        model = ["--model", REFERENCE / "mnist_cnn.toml", "--weights", REFERENCE / "mnist_cnn.weights.safetensors"]
        self.command = [options.glassbox, "explain", *model, "--input", folder / "x.npy", "--threads", options.threads]
        self.runs = 1

    def run(self, method, settings, *more):
        command = [*self.command, "--method", method, *settings, "--json", *more]
        out = subprocess.run([str(word) for word in command], capture_output=True, text=True)
        if out.returncode != 0:
            raise SystemExit(out.stderr)
        return json.loads(out.stdout)

    def turn(self, method, settings):
        return statistics.median(self.run(method, settings, "--time", self.runs)["seconds"])


def compare_method(method, options, folder):
    names, settings, same = METHODS[method]
    own = Glassbox(options, folder)
    report = own.run(method, settings, "--out", folder / "own.npy")
    numpy.save(folder / "classes.npy", numpy.array([sample["class"] for sample in report["samples"]]))
    maps = numpy.load(folder / "own.npy")
    once = own.turn(method, settings)
    own.runs = max(1, round(options.turn / once))
    for name in names:
        command = [sys.executable, str(HERE / "methods_peer.py"), name, method, str(folder), str(options.threads)]
        peer = compare.Contestant(name, command, options.threads)
        # it has run once before it said that it is ready, and a run is long
        peer.steps["run"] = 1
        times = [(own.turn(method, settings), peer.turn("run")) for _ in range(options.rounds)]
        ratios = [theirs / ours for ours, theirs in times]
        count = len(maps)
        ours, theirs = (count / statistics.median(side) for side in zip(*times))
        gap = ""
        if same and name == "captum":
            other = numpy.load(folder / "peer.npy").reshape(maps.shape)
            scale = numpy.abs(maps).reshape(count, -1).max(1)
            gaps = numpy.abs(maps - other).reshape(count, -1).max(1) / numpy.where(scale > 0, scale, 1)
            gap = f"  maps apart by {gaps.max():.1e} of the largest value"
        print(
            f"{method:22} {peer.version:28} {theirs:10,.1f} {ours:10,.1f} {statistics.median(ratios):7.2f}"
            f"  ({min(ratios):.2f} - {max(ratios):.2f}){gap}",
            flush=True,
        )
        peer.end()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=list(METHODS), metavar="METHOD")
    parser.add_argument("--images", type=int, default=256)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5, help="pairs per peer (default 5)")
    parser.add_argument("--turn", type=float, default=0.5, help="seconds per turn, at least one run (default 0.5)")
    parser.add_argument("--glassbox", default=str(compare.ROOT / "target" / "release" / "glassbox"), help="the program")
    options = parser.parse_args()
    print(f"{compare.cpu()}; {options.images} images, {options.threads} threads; load {compare.load()}")
    print(time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime()))
    print(f"{'method':22} {'peer':28} {'peer img/s':>10} {'glassbox':>10} {'ratio':>7}  (lowest - highest pair)")
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        numpy.save(folder / "x.npy", digits(options.images))
        for method in options.methods:
            compare_method(method, options, folder)
    print(f"load at the end {compare.load()}")


if __name__ == "__main__":
    main()
