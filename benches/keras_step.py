#!/usr/bin/env python3
"""Median seconds of a training step of the tutorial's network in Keras, to hold `cargo bench --bench scaling` against.

    pip install tensorflow-cpu==2.15.1
    benches/keras_step.py 64/32 128/32 224/8        # SIZE/BATCH
"""

import os
import statistics
import sys
import time

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"
import numpy as np
import tensorflow as tf
from tensorflow.keras import layers

FILTERS = [(32, True), (64, True), (128, True), (256, True), (512, False), (512, True), (1024, False), (1024, False)]
CLASSES = 8
ROUNDS = 7


def network(size):
    x = inputs = layers.Input((size, size, 3))
    for filters, pooled in FILTERS:
        x = layers.Conv2D(filters, 3, padding="same", kernel_initializer="he_normal")(x)
        x = layers.Activation("relu")(layers.BatchNormalization()(x))
        if pooled:
            x = layers.MaxPool2D(2)(x)
    x = layers.Dense(256)(layers.GlobalAveragePooling2D()(x))
    return tf.keras.Model(inputs, layers.Activation("softmax")(layers.Dense(CLASSES)(x)))


def seconds(size, batch):
    model = network(size)
    model.compile(loss="categorical_crossentropy", optimizer=tf.keras.optimizers.Adam(1e-3, amsgrad=True))
    images = np.random.rand(batch, size, size, 3).astype("float32")
    labels = np.eye(CLASSES, dtype="float32")[np.arange(batch) % CLASSES]
    times = []
    for _ in range(ROUNDS + 1):
        start = time.perf_counter()
        model.train_on_batch(images, labels)
        times.append(time.perf_counter() - start)
    return times[1:]  # the first one traces and compiles


for size, batch in (map(int, argument.split("/")) for argument in sys.argv[1:] or ["64/32"]):
    times = seconds(size, batch)
    print(f"{size}/{batch}: median {statistics.median(times):.3f} s, least {min(times):.3f} s")
