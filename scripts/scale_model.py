#!/usr/bin/env python3
"""Seconds of a training step on several devices, from a plan and three figures of the devices.

A step is its computation, and exchanges: each costs some time in waiting and handing work over, then its bytes at the
bandwidth. What an exchange deals in slices travels while the steps until the next exchange are computed.

usage: scale_model.py OCELLUS [OPERATIONS-PER-SECOND [LATENCY-IN-SECONDS]]

Prints the tables of docs/scale.md, for the tutorial's network at 224 x 224: how many times as fast as one device several
are with the same batch, and with as many images for each.
"""

import json
import subprocess
import sys

IMAGES = 32
BANDWIDTHS = {"PCIe, 12 GB/s": 12e9, "100 Gb/s, 11 GB/s": 11e9, "10 Gb/s, 1.1 GB/s": 1.1e9}
BATCHES = [32, 256]
FEW = [2, 4, 8]
MANY = [2, 8, 32, 128, 1024]


def plan(program, devices, size, batch, *options):
    command = [program, "plan", "--devices", devices, "--image-size", size, "--batch", batch, "--json", *options]
    return json.loads(subprocess.run(map(str, command), check=True, stdout=subprocess.PIPE).stdout)


def bytes_of(exchange, devices):
    """Bytes that a rank gives and gets in an exchange: of what all get, and of what is dealt."""
    dealt = sum(4 * one["numbers"] for one in exchange["dealt"]) * (devices - 1) / devices
    return [exchange["given"] - dealt, exchange["got"] - dealt], [dealt, dealt]


def step_seconds(plan, computation, seconds_of, latency=0.0):
    """Seconds of a step whose computation takes so long; `seconds_of` gives those of bytes that a rank gives and gets."""
    devices = plan.get("devices", 1)
    flops = [step["flops"] for step in plan["steps"]]
    rate = computation / sum(flops)
    seconds, first, under_way = 0.0, 0, 0.0
    for exchange in plan.get("exchanges", []):
        before = exchange["before"]
        seconds += max(rate * sum(flops[first:before]), under_way) + latency
        gathered, dealt = bytes_of(exchange, devices)
        seconds += seconds_of(*gathered)
        under_way = seconds_of(*dealt)
        if exchange["until"] == before:
            seconds, under_way = seconds + under_way, 0.0
        first = before
    return seconds + max(rate * sum(flops[first:]), under_way)


def table(head, columns, rows):
    print(f"\n| {head} | " + " | ".join(f"{column:,}" for column in columns) + " |")
    print("| --- |" + " ---: |" * len(columns))
    for name, figures in rows:
        # Two digits, without an exponent.
        print(f"| {name} | " + " | ".join(f"{float(f'{figure:.2g}'):g}" for figure in figures) + " |")


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    program = sys.argv[1]
    rate, latency = [float(number) for number in sys.argv[2:]] + [10e12, 2e-4][len(sys.argv) - 2:]
    plans = {}

    def faster(devices, batch, bandwidth):
        """Batches per second, as a multiple of one device's."""
        seconds = []
        for count, images in [(1, batch), (devices, batch)]:
            if (count, images) not in plans:
                plans[count, images] = plan(program, count, 224, images, "--discrete", "--max-binding-mib", 2047)
            one = plans[count, images]
            computation = sum(step["flops"] for step in one["steps"]) / rate
            seconds.append(step_seconds(one, computation, lambda given, got: (given + got) / bandwidth, latency))
        return seconds[0] / seconds[1]

    print(f"{rate / 1e12:g} TFLOP/s, {1e3 * latency:g} ms for each exchange")
    pcie = BANDWIDTHS["PCIe, 12 GB/s"]
    table("the same batch, PCIe", FEW, [(batch, [faster(count, batch, pcie) for count in FEW]) for batch in BATCHES])
    rows = [(name, [faster(count, IMAGES * count, bytes) for count in MANY]) for name, bytes in BANDWIDTHS.items()]
    table(f"{IMAGES} images for each", MANY, rows)


if __name__ == "__main__":
    main()
