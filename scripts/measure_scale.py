#!/usr/bin/env python3
"""Holds the model of docs/scale.md to runs of two processes over a network of limited bandwidth.

The network is this machine's loopback device, whose bandwidth Linux's traffic control limits: needs root, tc (iproute2),
OpenMPI, and a program built with the feature mpi. A step is predicted by scale_model.py from its time without a limit, as if
that were all computation, and the bytes of its exchanges at the limit. Both ranks' bytes pass the same device. Prints a row
for each bandwidth; status 1 if a prediction is off by more than a fifth.

usage: measure_scale.py OCELLUS [IMAGE-SIZE [BATCH [ROUNDS]]]
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile

import scale_model

MEGABITS = [4000, 2000, 1000]
RANKS = 2
MOST = 0.2


def limit(megabits):
    subprocess.run("tc qdisc del dev lo root".split(), stderr=subprocess.DEVNULL)
    if megabits:
        tbf = f"tc qdisc add dev lo root tbf rate {megabits}mbit burst 1mb latency 200ms"
        subprocess.run(tbf.split(), check=True)


def step_seconds(program, folder, size, batch):
    """Mean step of a second epoch, and the share of it that was spent in exchanges."""
    run = tempfile.mkdtemp(dir=folder)
    network = "--mca pml ob1 --mca btl tcp,self --mca btl_tcp_if_include lo --oversubscribe"
    command = f"mpirun -n {RANKS} {network} {program} train --data {folder}/data --out {run}/run --epochs 2"
    command += f" --image-size {size} --batch {batch} --log-format json"
    root = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    said = subprocess.run(command.split(), env={**os.environ, **root}, check=True, stderr=subprocess.PIPE, text=True).stderr
    events = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
    [epoch] = [event for event in events if event["event"] == "epoch" and event["epoch"] == 2]
    waits = [event["exchange_wait"] for event in events if event["event"] == "step" and event["epoch"] == 2]
    return batch / epoch["images_per_second"], waits[-1]


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    program, *numbers = sys.argv[1:]
    size, batch, rounds = [int(number) for number in numbers] + [64, 32, 3][len(numbers):]
    plan = scale_model.plan(program, RANKS, size, batch)
    moved = RANKS * plan["exchanged"]["got"]
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([program, "synth", "--images", "400", "--size", str(size), f"{folder}/data"], check=True)
        try:
            seconds = {megabits: [] for megabits in [None, *MEGABITS]}
            for _ in range(rounds):
                for megabits, times in seconds.items():
                    limit(megabits)
                    times.append(step_seconds(program, folder, size, batch))
        finally:
            limit(None)
    medians = {megabits: [statistics.median(column) for column in zip(*times)] for megabits, times in seconds.items()}
    free, wait = medians.pop(None)
    print(f"{size}/{batch}, {RANKS} ranks, {moved / 2**20:.1f} MiB through the network each step")
    print(f"without a limit: {free:.3f} s, of it exchanges {wait:.1%}")
    print("\n| Mbit/s | predicted | measured | measured/predicted |\n| ---: | ---: | ---: | ---: |")
    failed = False
    for megabits, (measured, _) in medians.items():
        predicted = scale_model.step_seconds(plan, free, lambda _, got: RANKS * got / (megabits * 1e6 / 8))
        ratio = measured / predicted
        failed |= not abs(ratio - 1) <= MOST
        print(f"| {megabits} | {predicted:.2f} s | {measured:.2f} s | {ratio:.2f} |")
    sys.exit(failed)


if __name__ == "__main__":
    main()
