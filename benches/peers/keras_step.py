#!/usr/bin/env python3
"""A training step of the tutorial's network in Keras: one for each line that is read; the seconds and the loss of each on a line.

usage: keras_step.py SIZE/BATCH
"""

import os
import sys
import time

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"
import numpy as np
import tensorflow as tf
from tensorflow.keras import layers

FILTERS = [(32, True), (64, True), (128, True), (256, True), (512, False), (512, True), (1024, False), (1024, False)]
CLASSES = 8


def network(size):
    x = inputs = layers.Input((size, size, 3))
    for filters, pooled in FILTERS:
        x = layers.Conv2D(filters, 3, padding="same", kernel_initializer="he_normal")(x)
        x = layers.Activation("relu")(layers.BatchNormalization()(x))
        if pooled:
            x = layers.MaxPool2D(2)(x)
    x = layers.Dense(256)(layers.GlobalAveragePooling2D()(x))
    return tf.keras.Model(inputs, layers.Activation("softmax")(layers.Dense(CLASSES)(x)))


size, batch = map(int, sys.argv[1].split("/"))
model = network(size)
model.compile(loss="categorical_crossentropy", optimizer=tf.keras.optimizers.Adam(1e-3, amsgrad=True))
images = np.random.rand(batch, size, size, 3).astype("float32")
labels = np.eye(CLASSES, dtype="float32")[np.arange(batch) % CLASSES]
for _ in sys.stdin:
    start = time.perf_counter()
    loss = model.train_on_batch(images, labels)
    print(time.perf_counter() - start, loss, flush=True)
