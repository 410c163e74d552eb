#!/usr/bin/env python3
"""Reads a run's event files with TensorBoard's own reader, and holds every number to history.csv.

    scripts/check_tensorboard.py RUN LOGS     # after: ocellus train ... --out RUN --tensorboard LOGS

Needs: pip install tensorboard."""
import csv
import math
import struct
import sys

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

run, logs = sys.argv[1:]
accumulator = EventAccumulator(logs)
accumulator.Reload()
with open(f"{run}/history.csv") as file:
    history = list(csv.DictReader(file))
assert history, "the run has no epoch"
names = ["loss", "accuracy", "val_loss", "val_accuracy", "lr"]
assert sorted(accumulator.Tags()["scalars"]) == sorted(names), accumulator.Tags()
for name in names:
    events = accumulator.Scalars(name)
    assert [event.step for event in events] == [int(row["epoch"]) for row in history], name
    for event, row in zip(events, history):
        (want,) = struct.unpack("f", struct.pack("f", float(row[name])))
        assert event.value == want or (math.isnan(event.value) and math.isnan(want)), (name, event, want)
print(f"{len(history)} epochs of {len(names)} scalars: the same numbers")
