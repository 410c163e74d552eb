#!/usr/bin/env python3
"""Compares what ocellus predicts with what onnxruntime and Keras make of its exported weights.

usage: check_export.py OCELLUS WEIGHTS PHOTOGRAPHS [COUNT] [--width WIDTH]
OCELLUS is the program, WEIGHTS a run's folder, PHOTOGRAPHS a folder, COUNT how many of them (default 100); WIDTH is the
run's multiplier of the channels. Needs: numpy onnxruntime pillow tensorflow-cpu==2.15.1.
Exits with 1 when a probability differs by more than 1e-4.
"""
import argparse, json, os, subprocess, sys, tempfile
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
from pathlib import Path
import numpy as np, onnxruntime, tensorflow as tf
from PIL import Image
from tensorflow.keras import layers as L


def network(height, width, classes, multiplier):
    """The tutorial's model."""
    scaled = lambda channels: max(1, int(channels * multiplier + 0.5))
    x = inputs = L.Input((height, width, 3))
    for filters, pool in [(32, 1), (64, 1), (128, 1), (256, 1), (512, 0), (512, 1), (1024, 0), (1024, 0)]:
        x = L.Activation("relu")(L.BatchNormalization()(L.Conv2D(scaled(filters), 3, padding="same")(x)))
        if pool:
            x = L.MaxPool2D(2)(x)
    x = L.Dense(scaled(256))(L.GlobalAveragePooling2D()(x))
    return tf.keras.Model(inputs, L.Activation("softmax")(L.Dense(classes)(x)))


def main():
    p = argparse.ArgumentParser()
    p.add_argument("ocellus"), p.add_argument("weights"), p.add_argument("photographs")
    p.add_argument("count", type=int, nargs="?", default=100), p.add_argument("--width", type=float, default=1.0)
    a = p.parse_args()
    run = lambda *arguments: subprocess.run([a.ocellus, *map(str, arguments)], check=True, stdout=subprocess.PIPE).stdout
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        run("export", a.weights, "--format", "onnx", "--out", folder / "m.onnx")
        session = onnxruntime.InferenceSession(folder / "m.onnx", providers=["CPUExecutionProvider"])
        height, width = session.get_inputs()[0].shape[1:3]
        classes = json.loads(session.get_modelmeta().custom_metadata_map["classes"])
        # Decoded and resized here, and losslessly stored: every program sees the same pixels.
        (folder / "img").mkdir()
        paths = sorted(Path(a.photographs).iterdir())[: a.count]
        for number, path in enumerate(paths):
            image = Image.open(path).convert("RGB").resize((width, height), Image.LANCZOS)
            image.save(folder / "img" / f"{number:05}.png")
        pixels = np.stack([np.asarray(Image.open(path)) for path in sorted((folder / "img").iterdir())])
        x = pixels.astype(np.float32) / np.float32(255)
        rows = json.loads(run("predict", a.weights, folder / "img", "--format", "json"))
        ours = np.array([[row["probabilities"][name] for name in classes] for row in rows])
        theirs = {"onnxruntime": session.run(None, {"image": x})[0]}
        for name in ["m.h5", "m.weights.h5"]:
            run("export", a.weights, "--format", "keras", "--out", folder / name)
            model = network(height, width, len(classes), a.width)
            model.load_weights(folder / name)
            theirs[f"Keras, {name}"] = model.predict(x, verbose=0)
    worst = 0
    for name, probabilities in theirs.items():
        difference = np.abs(probabilities - ours).max()
        worst = max(worst, difference) if difference == difference else np.inf
        print(f"{name}: {len(ours)} photographs, largest difference of a probability {difference:.2e}")
    sys.exit(not worst <= 1e-4)


main()
