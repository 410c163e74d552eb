"""Makes residual*.* in this folder with Keras: the preset `residual` at 1/32 of its width on 33 x 33 pixels, saved in two
ways, what it predicts, one training step's loss and gradients in f32 and f64, and a summary.
Needs: tensorflow-cpu==2.15.1, python 3.11."""
import base64
import json
import tomllib
import numpy as np, tensorflow as tf
from tensorflow.keras import layers as L

SIZE, WIDTH, CLASSES = 33, 1 / 32, 3
TEMPLATE = tomllib.load(open("../../../src/network/residual.toml", "rb"))["layer"]


def network(size, width, classes):
    def layer(entry):
        entry = {key: value for key, value in entry.items() if key != "inputs"}
        kind, name, window = entry.pop("type"), entry.pop("name"), entry.pop("window", None)
        if kind == "conv2d":
            filters, kernel = max(1, round(entry.pop("filters") * width)), entry.pop("kernel")
            return L.Conv2D(filters, kernel, strides=entry.pop("stride", 1), padding="same", name=name)
        if kind == "dense":
            return L.Dense(classes, name=name)
        kinds = {"batch_norm": L.BatchNormalization, "relu": L.ReLU, "add": L.Add, "max_pool": L.MaxPool2D,
                 "average_pool": L.AveragePooling2D, "global_average_pool": L.GlobalAveragePooling2D}
        window = {} if window is None else {"pool_size": window}
        return kinds[kind](name=name, **window, **entry)

    x = inputs = L.Input((size, size, 3), name="input")
    made = {"input": inputs}
    for entry in TEMPLATE:
        taken = [made[name] for name in entry["inputs"]] if "inputs" in entry else [x]
        x = made[entry["name"]] = layer(entry)(taken if len(taken) > 1 else taken[0])
    return tf.keras.Model(inputs, x, name="residual")


def texts(array):
    return base64.b64encode(np.asarray(array, np.float32).tobytes()).decode()


random = np.random.default_rng(0)
model = network(SIZE, WIDTH, CLASSES)
shaken = [w + random.normal(0, 0.1, w.shape) for w in model.get_weights()]
weights = [np.abs(w) if "variance" in v.name else w for w, v in zip(shaken, model.weights)]
pixels = random.integers(0, 256, (4, SIZE, SIZE, 3), dtype=np.uint8)
labels = np.array([0, 2, 1, 2])
results = {}
for precision in ["float64", "float32"]:
    tf.keras.backend.set_floatx(precision)
    model = network(SIZE, WIDTH, CLASSES)
    model.set_weights([w.astype(np.float32) for w in weights])
    x = (pixels.astype(np.float32) * np.float32(1 / 255)).astype(precision)
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, model(x, training=True)))
    gradients = tape.gradient(loss, model.trainable_variables)
    # The step moved the moving statistics.
    model.set_weights([w.astype(np.float32) for w in weights])
    names = [v.name.split(":")[0].replace("/", ".") for v in model.trainable_variables]
    results[precision] = (tf.nn.softmax(model(x, training=False)).numpy(), float(loss),
                          {name: gradient.numpy() for name, gradient in zip(names, gradients)})
model.save_weights("residual.h5")
model.save_weights("residual.weights.h5")
(_, loss64, exact), (probabilities, loss, rounded) = results["float64"], results["float32"]
noise = {name: float(np.abs(rounded[name] - exact[name]).max()) for name in exact}
with open("residual.json", "w") as file:
    json.dump({"pixels": pixels.flatten().tolist(), "labels": labels.tolist(),
               "probabilities": probabilities.flatten().tolist(), "loss": loss64, "loss_noise": abs(loss - loss64),
               "gradients": {name: texts(gradient) for name, gradient in exact.items()}, "noise": noise}, file)
with open("residual_summary.txt", "w") as file:
    network(224, 1, 8).summary(print_fn=lambda line, **_: print(line, file=file))
