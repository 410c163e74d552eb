#!/usr/bin/env python3
"""Seconds of a training step on several devices, from a plan and three figures of the devices.

A step is its computation, and exchanges: each costs some time in waiting and handing work over, then its bytes at the
bandwidth. What an exchange deals in slices travels while the steps until the next exchange are computed.

usage: scale_model.py OCELLUS [OPERATIONS-PER-SECOND [LATENCY-IN-SECONDS]]

Prints tables of docs/scale.md: images per second as a multiple of one device's, for the tutorial's network at 224 x 224.
"""

import json
import subprocess
import sys

IMAGES = 32
BANDWIDTHS = {"PCIe, 12 GB/s": 12e9, "100 Gb/s, 11 GB/s": 11e9, "10 Gb/s, 1.1 GB/s": 1.1e9}
DEVICES = [2, 8, 32, 128, 1024]


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


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    program = sys.argv[1]
    rate, latency = [float(number) for number in sys.argv[2:]] + [10e12, 2e-4][len(sys.argv) - 2:]
    discrete = ["--discrete", "--max-binding-mib", 2047]
    plans = {count: plan(program, count, 224, IMAGES * count, *discrete) for count in [1, *DEVICES]}
    compute = {count: sum(step["flops"] for step in one["steps"]) / rate for count, one in plans.items()}
    print(f"{rate / 1e12:g} TFLOP/s, {1e3 * latency:g} ms an exchange, {IMAGES} images for each device\n")
    print("| between devices | " + " | ".join(f"{count:,}" for count in DEVICES) + " |")
    print("| --- |" + " ---: |" * len(DEVICES))
    for name, bandwidth in BANDWIDTHS.items():
        def faster(count):
            step = step_seconds(plans[count], compute[count], lambda given, got: (given + got) / bandwidth, latency)
            return f"{count * compute[1] / step:.2g}"
        print(f"| {name} | " + " | ".join(faster(count) for count in DEVICES) + " |")


if __name__ == "__main__":
    main()
