#!/usr/bin/env python3
"""Times a training step of the tutorial's network in this program and in others, on the same machine, in one run: in each round
every program computes one step, after a first one that compiles and tunes. Prints medians, and how many times as long as
this program's the others' steps took.

Fetched into target/peers: TensorFlow 2.15 (oneDNN, CPU), TensorFlow.js 4.22 with Dawn, burn 0.22; from PyPI, npm and
crates.io. Needs Python 3.9 to 3.11, node and cargo. The adapter is the one that VK_DRIVER_FILES leaves, for all that use one; Dawn
takes no lavapipe before Mesa 23. burn tunes for minutes at its first step.

usage: run.py [--rounds N] [--with NAME,...] [SIZE/BATCH ...]       steps; 64/32 if no size is named
       run.py convolutions [--rounds N] [SIZE/BATCH]                 forward passes of each layer here and in burn; 224/8
names: keras tfjs burn
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
FETCHED = ROOT / "target" / "peers"
ENVIRONMENT = {"XDG_RUNTIME_DIR": "/tmp", **os.environ}
LAYERS = [f"conv{number}" for number in range(1, 9)]


def must(*command):
    subprocess.run([str(word) for word in command], check=True, stdout=sys.stderr, cwd=ROOT)


def ocellus(size):
    must("cargo", "build", "--release", "--bench", "scaling")
    return ["cargo", "bench", "--quiet", "--bench", "scaling", "--", "--each-line", size]


def keras(size):
    venv = FETCHED / "keras"
    if not (venv / "done").exists():
        must(sys.executable, "-m", "venv", venv)
        must(venv / "bin" / "pip", "install", "--quiet", "tensorflow-cpu==2.15.1", "numpy==1.26.4")
        (venv / "done").touch()
    return [venv / "bin" / "python", HERE / "keras_step.py", size]


def tfjs(size):
    folder = FETCHED / "tfjs"
    if not (folder / "node_modules").exists():
        folder.mkdir(parents=True, exist_ok=True)
        packages = [f"@tensorflow/tfjs-{part}@4.22.0" for part in ["core", "layers", "backend-webgpu"]]
        must("npm", "install", "--ignore-scripts", "--prefix", folder, *packages, "webgpu@0.6.2")
    return ["node", HERE / "tfjs.mjs", folder, size]


def burn(*arguments):
    must("cargo", "build", "--release", "--manifest-path", HERE / "burn" / "Cargo.toml", "--target-dir", FETCHED / "burn")
    return [FETCHED / "burn" / "release" / "burn-step", *arguments]


PEERS = {"keras": keras, "tfjs": tfjs, "burn": burn}


class Ended(Exception):
    """A program ended without an answer; the end of what it wrote to its standard error."""


class Program:
    """A program that answers each line with a line of numbers."""

    def __init__(self, command):
        self.said = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen([str(word) for word in command], cwd=ROOT, env=ENVIRONMENT, text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.said)

    def answer(self):
        """The numbers of one more step."""
        try:
            self.process.stdin.write("\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # it has ended, and what it said tells why
        for line in self.process.stdout:
            try:
                return [float(word) for word in line.split()]
            except ValueError:
                continue  # not an answer
        self.said.seek(0)
        raise Ended(self.said.read()[-2000:])

    def end(self):
        self.process.kill()
        self.process.wait()


def steps(size, names, rounds):
    programs = {name: Program(command(size)) for name, command in [("ocellus", ocellus), *((name, PEERS[name]) for name in names)]}
    for name, program in list(programs.items()):
        try:
            first, loss = program.answer()
            print(f"{name}: first step {first:.2f} s, loss {loss:.4f}", file=sys.stderr)
        except Ended as end:
            print(f"{name}: no step at {size}\n{end}", file=sys.stderr)
            del programs[name]
    seconds = {name: [] for name in programs}
    for _ in range(rounds):
        for name, program in programs.items():
            seconds[name].append(program.answer()[0])
    for program in programs.values():
        program.end()
    print(f"{size + ', ' + str(rounds) + ' rounds':24} {'median s':>9} {'least':>9} {'times ocellus':>14} {'of each round':>20}")
    own = seconds["ocellus"]
    for name, times in seconds.items():
        ratios = [time / mine for time, mine in zip(times, own)]
        print(f"{name:24} {statistics.median(times):9.3f} {min(times):9.3f} "
              f"{statistics.median(times) / statistics.median(own):14.2f} {min(ratios):9.2f} .. {max(ratios):.2f}")


def convolutions(size, rounds):
    side, batch = size.split("/")
    must("cargo", "build", "--release")
    profile = [ROOT / "target" / "release" / "ocellus", "profile", "--json", "--image-size", side, "--batch", batch]
    theirs = Program(burn("convolutions", size))
    theirs.answer()
    own, other = [], []
    for _ in range(rounds):
        done = subprocess.run([str(word) for word in profile], cwd=ROOT, env=ENVIRONMENT, text=True, stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL, check=True)
        operations = json.loads(done.stdout)["steps"]
        own.append([sum(one["seconds"] for one in operations if one["name"].startswith(f"{layer} forward")) for layer in LAYERS])
        other.append(theirs.answer())
    theirs.end()
    print(f"{'forward, ' + size:24} {'ocellus ms':>10} {'burn ms':>10} {'times':>8}   medians of {rounds} rounds")
    for layer, mine, his in zip(LAYERS, zip(*own), zip(*other)):
        mine, his = statistics.median(mine), statistics.median(his)
        print(f"{layer:24} {1e3 * mine:10.2f} {1e3 * his:10.2f} {his / mine:8.1f}")


def main():
    arguments = argparse.ArgumentParser(usage=__doc__)
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--with", dest="names", default=",".join(PEERS))
    arguments.add_argument("sizes", nargs="*")
    arguments = arguments.parse_args()
    FETCHED.mkdir(parents=True, exist_ok=True)
    if arguments.sizes[:1] == ["convolutions"]:
        return convolutions(*(arguments.sizes[1:] or ["224/8"]), arguments.rounds)
    for size in arguments.sizes or ["64/32"]:
        steps(size, arguments.names.split(","), arguments.rounds)


main()
