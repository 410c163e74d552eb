"""Makes the files in this folder with Keras: the tutorial's network at 1/32 of its width, saved in three ways, what it
predicts, and a summary. Needs: tensorflow-cpu==2.15.1."""
import json
import numpy as np, tensorflow as tf
from tensorflow.keras import layers as L

x = inputs = L.Input((32, 32, 3))
for filters, pool in [(1, 1), (2, 1), (4, 1), (8, 1), (16, 0), (16, 1), (32, 0), (32, 0)]:
    x = L.Activation("relu")(L.BatchNormalization()(L.Conv2D(filters, 3, padding="same")(x)))
    if pool:
        x = L.MaxPool2D(2)(x)
x = L.Dense(8)(L.GlobalAveragePooling2D()(x))
model = tf.keras.Model(inputs, L.Activation("softmax")(L.Dense(3)(x)))

random = np.random.default_rng(0)
shaken = [w + random.normal(0, 0.1, w.shape) for w in model.get_weights()]
model.set_weights([np.abs(w) if "variance" in v.name else w for w, v in zip(shaken, model.weights)])
model.save_weights("layers.h5")
model.save_weights("classes.weights.h5")
model.save("model.h5")
pixels = random.integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)
probabilities = model.predict(pixels.astype(np.float32) / np.float32(255), verbose=0)
with open("predictions.json", "w") as file:
    json.dump({"pixels": pixels.flatten().tolist(), "probabilities": probabilities.flatten().tolist()}, file)

# summary.txt: the network at full width, its layers named as ocellus names them.
tutorial = tf.keras.Sequential(name="tutorial")
tutorial.add(L.Input((224, 224, 3)))
pools = 0
for i, (filters, pool) in enumerate(zip([32, 64, 128, 256, 512, 512, 1024, 1024], [1, 1, 1, 1, 0, 1, 0, 0]), 1):
    tutorial.add(L.Conv2D(filters, 3, padding="same", name=f"conv{i}"))
    tutorial.add(L.BatchNormalization(name=f"bn{i}"))
    tutorial.add(L.ReLU(name=f"relu{i}"))
    if pool:
        pools += 1
        tutorial.add(L.MaxPooling2D(name=f"pool{pools}"))
for layer in [L.GlobalAveragePooling2D(name="gap1"), L.Dense(256, name="dense1"), L.Dense(8, name="dense2")]:
    tutorial.add(layer)
with open("summary.txt", "w") as file:
    tutorial.summary(print_fn=lambda line, **_: print(line, file=file))
