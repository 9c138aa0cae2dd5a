"""What the peers share: reading a model text that is a chain of layers, and answering requests for steps."""

import sys
import time
import tomllib


def layers(path):
    """(input [C, H, W], layers in order) of a chain."""
    with open(path, "rb") as file:
        text = tomllib.load(file)
    for layer in text["layer"]:
        if "from" in layer:
            raise SystemExit(f"{path}: layer {layer['name']} has `from`: only chains can be compared")
    return text["model"]["input"], text["layer"]


def pair(value):
    return tuple(value) if isinstance(value, list) else (value, value)


def answer(version, steps):
    """Runs `steps[what]()` N times for each line `what N`; prints the seconds. Steps end when their result is there."""
    for step in steps.values():
        step()
    print(version, flush=True)
    for line in sys.stdin:
        what, count = line.split()
        start = time.perf_counter()
        for _ in range(int(count)):
            steps[what]()
        print(f"{time.perf_counter() - start:.9f}", flush=True)
