"""Wall time from the start of the program to 99 % test accuracy on MNIST: `glassbox train`, with all that it does by
default (dumps, logs, checkpoints), and torch_train.py beside it, in turns. Same net, batch, optimiser, rate and threads.

    python3 to_accuracy.py --data FOLDER_WITH_IDX_FILES [--glassbox PROGRAM] [--python PYTHON_WITH_TORCH]

Each is stopped at the first epoch whose test accuracy reaches the goal. PyTorch's seconds are given from its start and
from when its imports and data are ready; the ratio uses the second. Rates rise and fall over five epochs, since at a
constant one the accuracy wanders about 99 % and luck decides; the seconds of an epoch stand beside.
"""

import argparse
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
EPOCHS = 5


def race(command, folder, accuracy_of, goal):
    """Seconds to the goal (none where it was not reached), seconds to the first line, epochs, their seconds."""
    start = time.monotonic()
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    ready, ends, reached = 0.0, [], None
    for line in process.stdout:
        now = time.monotonic() - start
        accuracy = accuracy_of(line)
        if accuracy is None:
            ready = ready if ends else now
            continue
        ends.append(now)
        if accuracy >= goal:
            reached = now
            break
    process.kill()
    process.wait()
    lengths = [b - a for a, b in zip([ready] + ends, ends)]
    return reached, ready, len(ends), statistics.mean(lengths) if lengths else float("nan")


def of_glassbox(line):
    event = json.loads(line)
    return event["test_accuracy"] if event["event"] == "epoch" else None


def of_torch(line):
    return None if line.startswith("ready") else float(line.split()[1])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="folder with MNIST's IDX files, plain or .gz")
    parser.add_argument("--glassbox", default=str(HERE.parent.parent / "target/release/glassbox"))
    parser.add_argument("--python", default="python3", help="a Python with torch and numpy")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seeds", type=int, nargs="*", default=[1, 2, 3], help="a pair of runs for each")
    parser.add_argument("--goal", type=float, default=0.99)
    args = parser.parse_args()
    # both run in a folder of their own; a link to a Python is left as it is, since its place tells which packages it has
    program, python = (os.path.abspath(shutil.which(name) or name) for name in (args.glassbox, args.python))
    data, ratios = str(pathlib.Path(args.data).resolve()), []
    for seed in args.seeds:
        own = (
            f"{program} train --model mnist-example --data mnist --data-dir {data} --batch 64 --lr 0.05 --schedule "
            f"one-cycle --epochs {EPOCHS} --seed {seed} --threads {args.threads} --json --no-figures"
        )
        peer = f"{python} {HERE / 'torch_train.py'} {data} {args.threads} {seed} {EPOCHS}"
        with tempfile.TemporaryDirectory() as folder:
            ours = race(own.split(), folder, of_glassbox, args.goal)
            theirs = race(peer.split(), folder, of_torch, args.goal)
        for name, (reached, ready, epochs, length) in [("glassbox", ours), ("torch eager", theirs)]:
            when = f"{reached:.1f} s" if reached else "never"
            print(f"seed {seed} {name:12} {when} to the goal, {epochs} epochs of {length:.1f} s, ready after {ready:.1f} s")
        if ours[0] and theirs[0]:
            ratios.append((theirs[0] - theirs[1]) / ours[0])
            print(f"seed {seed} PyTorch / glassbox: {ratios[-1]:.2f} to the goal, {theirs[3] / ours[3]:.2f} an epoch", flush=True)
    if ratios:
        print(f"median PyTorch / glassbox: {statistics.median(ratios):.2f}")


main()
