"""What the trace costs: training steps that keep every activation against steps that keep what the backward pass reads.

Two processes of glassbox take turns (A B B A ...), as in compare.py; the figure is the median over pairs of
everything's time over that of the lean step. Needs python 3.11 and a built program, no peers:

    cargo build --release && python3 tests/compare/trace_cost.py
"""

import argparse
import os
import statistics

from compare import NETS, ROOT, Contestant, cpu, load


def cost(net, options):
    def contestant(keep):
        command = [options.glassbox, "bench", "--model", net, "--batch", str(options.batch)]
        command += ["--threads", str(options.threads), "--keep", keep, "--serve"]
        return Contestant(keep, command, options.threads)

    everything, lean = contestant("everything"), contestant("for-walk")
    for side in [everything, lean]:
        side.warm_up("train", options.turn)
    steps = max(everything.steps["train"], lean.steps["train"])
    pairs = []
    for round in range(options.rounds):
        order = [everything, lean] if round % 2 == 0 else [lean, everything]
        seconds = {side.name: side.seconds("train", steps) for side in order}
        pairs.append((seconds["everything"], seconds["for-walk"]))
    ratios = sorted(a / b for a, b in pairs)
    middle = statistics.median(ratios)
    quarter = len(ratios) // 4
    print(
        f"{net:14} {1e3 * statistics.median(a for a, _ in pairs):9.3f} ms everything,"
        f" {1e3 * statistics.median(b for _, b in pairs):9.3f} ms lean: {100 * (middle - 1):+5.1f} %"
        f"  (quartiles {100 * (ratios[quarter] - 1):+.1f} to {100 * (ratios[-1 - quarter] - 1):+.1f} %);"
        f" memory {everything.peak_memory():.0f} and {lean.peak_memory():.0f} MiB",
        flush=True,
    )
    everything.end()
    lean.end()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nets", nargs="+", default=NETS, help="built-in models")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=20, help="pairs (default 20)")
    parser.add_argument("--turn", type=float, default=0.3, help="seconds per turn (default 0.3)")
    parser.add_argument("--glassbox", default=str(ROOT / "target" / "release" / "glassbox"), help="the program")
    options = parser.parse_args()
    print(f"{cpu()}, {os.cpu_count()} processors; batch {options.batch}, {options.threads} threads; load {load()}")
    for net in options.nets:
        cost(net, options)


if __name__ == "__main__":
    main()
