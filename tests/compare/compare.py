"""Speed of glassbox against its peers on this machine, in turns: glassbox, peer, glassbox, peer, ...

Each contestant is a process of its own that stays alive and runs N steps on request (`train N` or `infer N` on its
standard input, seconds on its standard output). A turn lasts about --turn seconds. Each peer's turn is compared with the
glassbox turn just before it; the figure is the median of these ratios, so that whatever else the machine does hits both
sides. Above 1 glassbox is faster. A training step is forward, cross-entropy, backward and SGD with momentum on one
fixed random batch in f32; glassbox keeps its full trace meanwhile. Started by compare.sh, which installs the peers.
"""

import argparse
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import time
import tomllib

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
NETS = ["lenet", "mnist-example", "cifar-quick", "alexnet-cifar"]
PEERS = {
    "torch eager": ["torch_peer.py", "eager"],
    "torch channels_last": ["torch_peer.py", "channels_last"],
    "torch compile": ["torch_peer.py", "compile"],
    "tensorflow": ["tensorflow_peer.py"],
    "burn": [],
}


class Contestant:
    """A process that runs steps on request."""

    def __init__(self, name, command, threads):
        environment = dict(
            os.environ, OMP_NUM_THREADS=str(threads), RAYON_NUM_THREADS=str(threads), TF_CPP_MIN_LOG_LEVEL="3", PYTHONDONTWRITEBYTECODE="1"
        )
        self.name = name
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment
        )
        self.version = self._line()
        self.steps = {}

    def _line(self):
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.name} ended early (exit code {self.process.wait()}); run it by hand to see why")
        return line.strip()

    def seconds(self, what, count):
        """Seconds per step over `count` steps."""
        self.process.stdin.write(f"{what} {count}\n")
        self.process.stdin.flush()
        return float(self._line()) / count

    def warm_up(self, what, turn):
        """Runs until steps are no longer slow for being first, and chooses how many fill a turn."""
        once = min(self.seconds(what, 3) for _ in range(3))
        self.steps[what] = max(1, round(turn / once))

    def turn(self, what):
        return self.seconds(what, self.steps[what])

    def peak_memory(self):
        """Most memory that the process has held, in MiB; 0 where /proc does not tell."""
        try:
            text = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        except OSError:
            return 0.0
        peak = [line for line in text.splitlines() if line.startswith("VmHWM")]
        return int(peak[0].split()[1]) / 1024 if peak else 0.0

    def end(self):
        self.process.stdin.close()
        self.process.wait()


def burn(folder):
    """The command of Burn's peer, with the version that was built."""
    if not folder:
        raise RuntimeError("start compare.sh, which builds it, or give --burn")
    folder = pathlib.Path(folder)
    with open(folder / "Cargo.lock", "rb") as file:
        packages = tomllib.load(file)["package"]
    version = next(package["version"] for package in packages if package["name"] == "burn")
    return [str(folder / "target" / "release" / "burn-peer"), version]


def cpu():
    try:
        lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or "unknown"


def load():
    return ", ".join(f"{value:.1f}" for value in os.getloadavg())


def compare(net, options):
    """All figures of one net: {what: {peer: {...}}}."""
    glassbox = [
        options.glassbox, "bench", "--model", net, "--batch", str(options.batch), "--threads", str(options.threads), "--serve",
    ]
    own = Contestant("glassbox", glassbox, options.threads)
    peers = []
    for name in options.peers:
        model = ROOT / "engine" / "src" / "graph" / "models" / f"{net}.toml"
        sizes = [str(model), str(options.batch), str(options.threads)]
        try:
            if name == "burn":
                command = [*burn(options.burn), *sizes]
            else:
                script, *arguments = PEERS[name]
                command = [sys.executable, str(HERE / script), *sizes, *arguments]
            peers.append(Contestant(name, command, options.threads))
        except (RuntimeError, OSError) as error:
            print(f"SKIPPED {name}: {error}")
    print(f"\n{net}: {'; '.join(f'{c.name}: {c.version}' for c in [own, *peers])}")
    results = {}
    for what in ["train", "infer"]:
        for contestant in [own, *peers]:
            contestant.warm_up(what, options.turn)
        pairs = {peer.name: [] for peer in peers}
        for _ in range(options.rounds):
            for peer in peers:
                pairs[peer.name].append((own.turn(what), peer.turn(what)))
        results[what] = {}
        for name, times in pairs.items():
            ratios = [theirs / ours for ours, theirs in times]
            results[what][name] = {
                "ratio": statistics.median(ratios),
                "lowest": min(ratios),
                "highest": max(ratios),
                "glassbox_images_per_s": options.batch / statistics.median(ours for ours, _ in times),
                "peer_images_per_s": options.batch / statistics.median(theirs for _, theirs in times),
            }
        show(net, what, results[what])
    memory = {contestant.name: contestant.peak_memory() for contestant in [own, *peers]}
    print("peak memory, MiB: " + ", ".join(f"{name} {value:.0f}" for name, value in memory.items()))
    for contestant in [own, *peers]:
        contestant.end()
    results["peak_memory_mib"] = memory
    return results


def show(net, what, figures):
    print(f"{net} {what:5}  {'peer':20} {'peer img/s':>11} {'glassbox':>11} {'ratio':>7}  (lowest - highest pair)")
    for name, f in figures.items():
        print(
            f"{'':{len(net) + 6}}  {name:20} {f['peer_images_per_s']:11,.0f} {f['glassbox_images_per_s']:11,.0f}"
            f" {f['ratio']:7.2f}  ({f['lowest']:.2f} - {f['highest']:.2f})"
        )
    if figures:
        best = min(figures, key=lambda name: figures[name]["ratio"])
        print(f"{'':{len(net) + 6}}  against the best, {best}: {figures[best]['ratio']:.2f}x", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nets", nargs="+", default=NETS, help="built-in models that are chains")
    parser.add_argument("--peers", nargs="+", default=list(PEERS), choices=list(PEERS), metavar="PEER")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=9, help="pairs per peer (default 9)")
    parser.add_argument("--turn", type=float, default=0.5, help="seconds per turn (default 0.5)")
    parser.add_argument("--glassbox", default=str(ROOT / "target" / "release" / "glassbox"), help="the program")
    parser.add_argument("--burn", metavar="FOLDER", help="the crate made of burn_peer.rs, built (compare.sh makes it)")
    parser.add_argument("--json", help="write all figures to this file too")
    options = parser.parse_args()
    print(f"{cpu()}, {os.cpu_count()} processors; batch {options.batch}, {options.threads} threads; load {load()}")
    print(time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime()))
    results = {net: compare(net, options) for net in options.nets}
    print(f"\nload at the end {load()}")
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
