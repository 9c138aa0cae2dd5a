#!/usr/bin/env python3
"""Checks that the hot kernels keep their sums in registers.

    tests/spills.py [PROGRAM]

Builds the example `kernels` (or takes PROGRAM, which must hold symbols), disassembles its register tiles with objdump
and looks at their inner loops: those that multiply and add vectors and contain no other loop. A vector that such a loop
stores, or loads from the stack, is a sum that the compiler could not keep in a register; speed then halves or worse.
Prints a line for each kind of tile and each loop at fault. Exit code 1 if there is one, 2 if nothing could be checked.
The dense kernel of single images (`avx2::dot`) is left out: it turns weights round in registers, and some of these
values, not sums alone, pass through the stack. x86-64 only; needs binutils. Run it after changing a tile, a tile's list of sizes, or the compiler.
"""

import collections
import json
import pathlib
import platform
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
TILE = re.compile(r"simd::(avx2|avx512)::\w+ as .*>::(outer|outer_rows|inner|chains)::(tiles|tile|chains)$")
FUNCTION = re.compile(r"^[0-9a-f]+ <(.*)>:$")
LINE = re.compile(r"^\s*([0-9a-f]+):\s+(\S+)\s*(.*)$")
VECTOR = re.compile(r"%[yz]mm\d+")
# AT&T syntax: the destination comes last
STORE = re.compile(r"%[yz]mm\d+,\s*-?(0x[0-9a-f]+)?\(.*\)$")
STACK = re.compile(r"\(%rsp[,)]")


def build():
    command = ["cargo", "build", "--release", "-p", "glassbox-engine", "--example", "kernels", "--message-format=json"]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    made = [json.loads(line) for line in done.stdout.splitlines()]
    return next(m["executable"] for m in made if m.get("executable") and m["target"]["name"] == "kernels")


def functions(program):
    """(kind of tile, its instructions as (address, name, operands))."""
    text = subprocess.run(
        ["objdump", "-d", "-C", "--no-show-raw-insn", program], stdout=subprocess.PIPE, text=True, check=True
    ).stdout
    kind, body = None, []
    for line in text.splitlines():
        head = FUNCTION.match(line)
        if head:
            if kind:
                yield kind, body
            tile = TILE.search(head[1])
            kind, body = (f"{tile[1]} {tile[2]}" if tile else None), []
        elif kind and (found := LINE.match(line)):
            body.append((int(found[1], 16), found[2], found[3].split("#")[0].strip()))
    if kind:
        yield kind, body


def inner_loops(body):
    """Runs of instructions between a backward jump and its target that hold no other such run."""
    start = body[0][0]
    loops = set()
    for at, name, operands in body:
        if name.startswith("j") and (target := re.match(r"([0-9a-f]+)\b", operands)):
            if start <= int(target[1], 16) <= at:
                loops.add((int(target[1], 16), at))
    for first, last in sorted(loops):
        if not any(other != (first, last) and first <= other[0] and other[1] <= last for other in loops):
            yield [i for i in body if first <= i[0] <= last]


def main():
    if platform.machine() not in ("x86_64", "AMD64"):
        print("SKIPPED: this reads x86-64 instructions only")
        return 2
    program = sys.argv[1] if len(sys.argv) > 1 else build()
    tiles, loops, most = collections.Counter(), collections.Counter(), collections.Counter()
    faults = []
    for kind, body in functions(program):
        tiles[kind] += 1
        for loop in inner_loops(body):
            sums = sum(name.startswith("vfmadd") and bool(VECTOR.search(operands)) for _, name, operands in loop)
            if sums == 0:
                continue
            loops[kind] += 1
            most[kind] = max(most[kind], sums)
            for at, name, operands in loop:
                if STORE.search(operands) or (VECTOR.search(operands) and STACK.search(operands)):
                    faults.append(f"{kind}, loop at {loop[0][0]:x} with {sums} multiply-adds: {at:x} {name} {operands}")
    for kind in sorted(tiles):
        print(f"{kind:18} {tiles[kind]:3} tiles, {loops[kind]:3} inner loops, up to {most[kind]} multiply-adds each")
    if not sum(loops.values()):
        print("error: no inner loop was found; is the program stripped?", file=sys.stderr)
        return 2
    for fault in faults:
        print(f"SPILL {fault}")
    print(f"{len(faults)} vectors stored or reloaded in inner loops")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
