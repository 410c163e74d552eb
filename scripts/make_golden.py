#!/usr/bin/env python3
"""Makes golden files for `ocellus doctor --golden DIR`, of any seed and size, with Keras, Pillow and scikit-learn.

Keras computes each number three times: in f32 with TensorFlow's own kernels, in f32 with oneDNN's, and in f64. The first
are the golden numbers; how far the three are apart is what honest implementations stray ("noise", "spread").

    pip install tensorflow-cpu==2.15.1 pillow==11.3.0 scikit-learn scipy safetensors
    scripts/make_golden.py DIR [--seed N] [--size N|HxW] [--batch N] [--classes N] [--width W] [--steps N] [--full]
                           [--only SET]... [--small]
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np

FILTERS = [32, 64, 128, 256, 512, 512, 1024, 1024]
POOLED = [1, 2, 3, 4, 6]
UNITS = 256
FULL_SIZE = 224
FEW = 32
IMPLEMENTATIONS = {"eigen": "0", "onednn": "1", "f64": "0"}


def image_size(text):
    sides = [int(side) for side in text.split("x")]
    return (sides * 2)[:2] if len(sides) == 1 else tuple(sides)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--size", type=image_size, default=(64, 64), help="pixels: N or height x width")
    for name, default in [("seed", 1), ("batch", 8), ("classes", 8), ("steps", 6)]:
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--width", type=float, default=0.125, help="a multiple of 1/32")
    parser.add_argument("--only", action="append", choices=["ops", "tiny", "augment", "resize", "report", "callbacks", "options"])
    parser.add_argument("--small", action="store_true", help="files for a repository: a part of each tensor of `tiny` that "
                        "nothing starts from, and one transform of an image of that size")
    parser.add_argument("--full", action="store_true", help="the tutorial's own size, too: minutes")
    parser.add_argument("--implementation", help=argparse.SUPPRESS)
    return parser.parse_args()


def wanted(args, name):
    return args.only is None or name in args.only


# Inputs: the same in every implementation.

def normal(random, *shape):
    return random.standard_normal(shape).astype(np.float32)


def op_cases(random):
    """Each case with its inputs. Sizes are drawn around those at which kernels change their ways."""
    pick = lambda *choices: int(random.choice(choices))
    sides = (1, 2, 3, 4, 5, 7, 8, 9, 13, 16, 19)
    channels = (1, 2, 3, 4, 5, 8, 16, 17, 31, 33, 64)
    for i in range(24):
        kernel, stride, padding = [(3, 1, "same"), (3, 1, "same"), (1, 1, "same"), (5, 1, "same"), (3, 2, "same"),
                                   (3, 2, "valid"), (5, 2, "valid"), (3, 1, "valid")][i % 8]
        least = kernel if padding == "valid" else 1
        n, h, w = pick(1, 2, 3, 5), max(least, pick(*sides)), max(least, pick(*sides))
        cin, cout = pick(*channels), pick(*channels)
        case = {"op": "conv2d", "n": n, "h": h, "w": w, "cin": cin, "cout": cout, "kernel": kernel, "stride": stride,
                "padding": padding, "bias": bool(i % 3)}
        inputs = {"x": normal(random, n, h, w, cin), "w": normal(random, kernel, kernel, cin, cout)}
        inputs["w"] /= np.float32(np.sqrt(kernel * kernel * cin))
        yield f"conv{i:02}", case, inputs | ({"b": normal(random, cout)} if case["bias"] else {})
    for i in range(8):
        shape = [pick(1, 2, 3, 8), pick(*sides), pick(*sides), pick(*channels)]
        kind = ["plain", "offset", "flat"][i % 3]
        x = normal(random, *shape) * np.float32({"flat": 0.03}.get(kind, 1)) + np.float32({"offset": 300}.get(kind, 0.5))
        inputs = {"x": x, "gamma": 1 + normal(random, shape[3]) / 4, "beta": normal(random, shape[3]),
                  "moving_mean": normal(random, shape[3]), "moving_variance": random.random(shape[3], np.float32) + 0.25}
        for mode in ["train", "infer"]:
            yield f"bn{i:02}_{mode}", {"op": "batch_norm", "mode": mode, "kind": kind, "momentum": 0.99, "eps": 1e-3}, inputs
    for i in range(2):
        yield f"relu{i:02}", {"op": "relu"}, {"x": normal(random, pick(1, 2), pick(*sides), pick(*sides), pick(*channels))}
    for i in range(8):
        pool, ties = 2 + i % 2, i >= 4
        shape = [pick(1, 2, 5), max(pool, pick(*sides)), max(pool, pick(*sides)), pick(*channels)]
        x = normal(random, *shape)
        case = {"op": "max_pool", "pool": pool, "stride": 2, "padding": "valid", "ties": ties}
        yield f"maxpool{i:02}", case, {"x": np.round(x) if ties else x}
    for i in range(3):
        shape = [pick(1, 2, 5), pick(*sides), pick(*sides), pick(*channels)]
        yield f"gap{i:02}", {"op": "global_average_pool"}, {"x": normal(random, *shape)}
    for i in range(5):
        inside, outside = pick(*channels, 128), pick(*channels)
        yield f"dense{i:02}", {"op": "dense"}, {"x": normal(random, pick(1, 3, 8), inside),
                                                "w": normal(random, inside, outside) / np.float32(np.sqrt(inside)),
                                                "b": normal(random, outside)}
    for i in range(6):
        n, classes = pick(1, 2, 7, 32), pick(1, 2, 3, 5, 8, 33)
        scale = np.float32([1, 1, 4, 100, 1e-3, 2000][i])
        yield f"softmaxce{i:02}", {"op": "softmax_cross_entropy"}, {
            "logits": scale * normal(random, n, classes), "labels": random.integers(0, classes, n).astype(np.int32),
            "class_weight": (0.5 + 20 * random.random(classes)).astype(np.float32)}


def network(width, classes):
    """Names and shapes of the parameters, in the tutorial's order."""
    scaled = [max(1, round(f * width)) for f in FILTERS]
    shapes, cin = {}, 3
    for i, cout in enumerate(scaled, 1):
        shapes |= {f"conv{i}.kernel": (3, 3, cin, cout), f"conv{i}.bias": (cout,)}
        shapes |= {f"bn{i}.{name}": (cout,) for name in ["gamma", "beta", "moving_mean", "moving_variance"]}
        cin = cout
    units = max(1, round(UNITS * width))
    return shapes | {"dense1.kernel": (cin, units), "dense1.bias": (units,),
                     "dense2.kernel": (units, classes), "dense2.bias": (classes,)}


def drawn_weights(random, shapes):
    weights = {}
    for name, shape in shapes.items():
        numbers = normal(random, *shape)
        kind = name.split(".")[1]
        weights[name] = np.float32({"kernel": numbers * np.float32(np.sqrt(2 / np.prod(shape[:-1]))), "gamma": 1 + numbers / 10,
                                    "moving_mean": 0 * numbers, "moving_variance": 1 + 0 * numbers}.get(kind, numbers / 20))
    return weights


def mix(x):
    x = x.astype(np.uint32)
    x ^= x >> np.uint32(16)
    x *= np.uint32(0x7FEB352D)
    x ^= x >> np.uint32(15)
    x *= np.uint32(0x846CA68B)
    return x ^ (x >> np.uint32(16))


def hashed(tag, i):
    return mix(np.asarray(i, np.uint32) ^ mix(np.array([(tag + 0x9E3779B9) & 0xFFFFFFFF], np.uint32)))


def symmetric(tag, shape, amplitude):
    odd = 2 * (hashed(tag, np.arange(np.prod(shape))) >> 8).astype(np.int64) + 1 - (1 << 24)
    return (odd.astype(np.float32) * np.float32(amplitude / (1 << 24))).reshape(shape)


def formula_weights(shapes):
    weights, tag = {}, 99
    for name, shape in shapes.items():
        kind = name.split(".")[1]
        if kind.startswith("moving"):
            weights[name] = np.full(shape, float(kind == "moving_variance"), np.float32)
            continue
        tag += 1
        amplitude = {"kernel": np.sqrt(3) * np.sqrt(2 / np.prod(shape[:-1])), "bias": 0.05}.get(kind, 0.2)
        weights[name] = np.float32(kind == "gamma") + symmetric(tag, shape, amplitude)
    return weights


def formula_images(t, count, size):
    n, y, x, c = np.meshgrid(*map(np.arange, (count, size, size, 3)), indexing="ij")
    tile = hashed(1000 + t, ((n * (size // 16) + y // 16) * (size // 16) + x // 16) * 3 + c) >> 24
    noise = hashed(2000 + t, np.arange(count * size * size * 3).reshape(n.shape)) >> 24
    return ((3 * tile + noise) >> 2).astype(np.uint8)


# What one implementation computes.

def computed(args, folder):
    import tensorflow as tf

    f64 = args.implementation == "f64"
    tf.keras.backend.set_floatx("float64" if f64 else "float32")
    real = tf.keras.backend.floatx()
    results = {}
    if wanted(args, "ops"):
        results |= {f"ops/{name}/{key}": value for name, key, value in op_results(tf, real, args.seed)}
    if wanted(args, "tiny"):
        random = np.random.default_rng(args.seed + 1)
        tiny = drawn_training(random, args, drawn_weights(random, network(args.width, args.classes)))
        results |= {f"tiny/{key}": value for key, value in train(tf, real, tiny, True, folder).items()}
    if args.full:
        results |= {f"full/{key}": value for key, value in train(tf, real, full_training(args), False, folder).items()}
    np.savez(folder / f"{args.implementation}.npz", **results)


def op_results(tf, real, seed):
    random = np.random.default_rng(seed + 9)
    for name, case, inputs in op_cases(np.random.default_rng(seed)):
        variables = {key: tf.constant(value if key == "labels" else value.astype(real)) for key, value in inputs.items()}
        with tf.GradientTape() as tape:
            tape.watch([value for key, value in variables.items() if key != "labels"])
            outputs, sources = op_forward(tf, case, variables)
            y = outputs.get("y")
            if y is not None:
                dy = normal(random, *y.shape)
                yield name, "dy", dy
                target = tf.reduce_sum(y * dy.astype(real))
            else:
                target = outputs["loss"]
        gradients = tape.gradient(target, [variables[key] for key in sources])
        yield from ((name, key, np.atleast_1d(value.numpy())) for key, value in outputs.items())
        yield from ((name, f"d{key}", gradient.numpy()) for key, gradient in zip(sources, gradients))


def batch_norm(tf, **options):
    """Keras's layer; in f64, for which its fused kernels are not made, what they compute."""

    class Wide(tf.keras.layers.BatchNormalization):
        def call(self, x, training=False):
            mean, variance = self.moving_mean, self.moving_variance
            if training:
                n = tf.cast(tf.size(x) / tf.shape(x)[-1], x.dtype)
                mean, variance = tf.nn.moments(x, [0, 1, 2])
                self.moving_mean.assign(0.99 * self.moving_mean + 0.01 * mean)
                self.moving_variance.assign(0.99 * self.moving_variance + 0.01 * variance * n / tf.maximum(n - 1, 1))
            return tf.nn.batch_normalization(x, mean, variance, self.beta, self.gamma, self.epsilon)

    wide = tf.keras.backend.floatx() == "float64"
    return Wide(**options) if wide else tf.keras.layers.BatchNormalization(**options)


def op_forward(tf, case, v):
    """Results, and what their gradients are taken of."""
    op = case["op"]
    if op == "conv2d":
        y = tf.nn.conv2d(v["x"], v["w"], case["stride"], case["padding"].upper())
        return ({"y": y + v["b"]}, ["x", "w", "b"]) if case["bias"] else ({"y": y}, ["x", "w"])
    if op == "batch_norm":
        layer = batch_norm(tf)
        layer.build(v["x"].shape)
        layer.set_weights([v[key].numpy() for key in ["gamma", "beta", "moving_mean", "moving_variance"]])
        training = case["mode"] == "train"
        # The layer's own kernels, and gradients of what it was given.
        layer.gamma, layer.beta = v["gamma"], v["beta"]
        y = layer(v["x"], training=training)
        after = {f"{key}_after": tf.identity(getattr(layer, key)) for key in ["moving_mean", "moving_variance"]}
        return {"y": y} | (after if training else {}), ["x", "gamma", "beta"]
    if op == "relu":
        return {"y": tf.nn.relu(v["x"])}, ["x"]
    if op == "max_pool":
        return {"y": tf.nn.max_pool2d(v["x"], case["pool"], case["stride"], "VALID")}, ["x"]
    if op == "global_average_pool":
        return {"y": tf.reduce_mean(v["x"], [1, 2])}, ["x"]
    if op == "dense":
        return {"y": v["x"] @ v["w"] + v["b"]}, ["x", "w", "b"]
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(v["labels"], v["logits"])
    loss = tf.reduce_sum(tf.gather(v["class_weight"], v["labels"]) * losses) / len(v["labels"])
    right = tf.reduce_mean(tf.cast(tf.equal(tf.argmax(v["logits"], 1, tf.int32), v["labels"]), loss.dtype))
    return {"loss": loss, "probs": tf.nn.softmax(v["logits"]), "ce_per_sample": losses, "accuracy": right}, ["logits"]


def drawn_training(random, args, weights):
    images = [random.integers(0, 256, (args.batch, *args.size, 3)).astype(np.uint8) for _ in range(args.steps)]
    labels = [random.integers(0, args.classes, args.batch).astype(np.int32) for _ in range(args.steps)]
    class_weight = (1 + 9 * random.random(args.classes)).astype(np.float32)
    return {"weights": weights, "images": images, "labels": labels, "class_weight": class_weight}


def full_training(args):
    random = np.random.default_rng(args.seed + 2)
    batch, steps = min(args.batch, 3), 3
    shapes = network(1.0, args.classes)
    return {"weights": formula_weights(shapes), "images": [formula_images(t, batch, FULL_SIZE) for t in range(1, steps + 1)],
            "labels": [random.integers(0, args.classes, batch).astype(np.int32) for _ in range(steps)],
            "class_weight": np.round(1 + 19 * random.random(args.classes), 1).astype(np.float32)}


def model_of(tf, weights):
    layers = tf.keras.layers
    x = inputs = tf.keras.Input((None, None, 3))
    for i in range(1, 9):
        x = layers.Conv2D(weights[f"conv{i}.bias"].size, 3, padding="same", name=f"conv{i}")(x)
        x = batch_norm(tf, name=f"bn{i}")(x)
        x = layers.ReLU(name=f"relu{i}")(x)
        if i in POOLED:
            x = layers.MaxPool2D(name=f"pool{i}")(x)
    x = layers.GlobalAveragePooling2D(name="gap")(x)
    x = layers.Dense(weights["dense1.bias"].size, name="dense1")(x)
    x = layers.Dense(weights["dense2.bias"].size, name="dense2")(x)
    outputs = {"dense2": x, "softmax": layers.Softmax(name="softmax")(x)}
    model = tf.keras.Model(inputs, x)
    outputs = {layer.name: layer.output for layer in model.layers[1:]} | outputs
    everything = tf.keras.Model(inputs, outputs)
    assign(everything, weights)
    return everything


def named(model):
    """Variables by this project's names."""
    return {f"{layer.name}.{v.name.split('/')[-1].split(':')[0]}": v for layer in model.layers for v in layer.weights}


def assign(model, weights):
    for name, variable in named(model).items():
        variable.assign(weights[name].astype(variable.dtype.as_numpy_dtype))


def train(tf, real, run, keep, folder):
    model, results = model_of(tf, run["weights"]), {}
    scaled = lambda image: tf.constant((image.astype(np.float32) * np.float32(1 / 255)).astype(real))
    if not keep:
        results["infer/logits"] = model(scaled(run["images"][0]), training=False)["dense2"].numpy()
    optimizer = tf.keras.optimizers.Adam(1e-3, amsgrad=True)
    trainable = {name: v for name, v in named(model).items() if v.trainable}
    losses, accuracies, last = [], [], len(run["images"])
    for t, (image, labels) in enumerate(zip(run["images"], run["labels"]), 1):
        with tf.GradientTape() as tape:
            activations = model(scaled(image), training=True)
            ce = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, activations["dense2"])
            loss = tf.reduce_sum(tf.gather(run["class_weight"].astype(real), labels) * ce) / len(labels)
        gradients = tape.gradient(loss, list(trainable.values()))
        losses.append(loss.numpy())
        accuracies.append(np.mean(np.argmax(activations["dense2"], 1) == labels))
        if t == 1:
            results |= {f"step1/act/{name}": value.numpy() for name, value in activations.items()}
            results |= {f"step1/grad/{name}": value.numpy() for name, value in zip(trainable, gradients)}
        optimizer.apply_gradients(zip(gradients, trainable.values()))
        if keep and t in (1, 2, last):
            groups = {"m": optimizer._momentums, "v": optimizer._velocities, "vhat": optimizer._velocity_hats}
            for group, variables in groups.items():
                results |= {f"after{t}/{group}/{name}": v.numpy() for name, v in zip(trainable, variables)}
            for name, v in named(model).items():
                results[f"after{t}/{'param' if v.trainable else 'stat'}/{name}"] = v.numpy()
    results |= {"losses": np.array(losses), "accuracies": np.array(accuracies)}
    if keep:
        results |= infer(model, scaled(run["images"][0]), run["labels"][0], f"after{last}/infer", tf)
        # Once more from the state that will be stored: how far implementations differ when nothing has strayed.
        state = results if real == "float32" and not (folder / "eigen.npz").exists() else np.load(folder / "eigen.npz")
        prefix = "" if state is results else "tiny/"
        stored = {key.split("/")[-1]: state[key] for key in state if key.startswith((f"{prefix}after{last}/param", f"{prefix}after{last}/stat"))}
        assign(model, stored)
        results |= infer(model, scaled(run["images"][0]), run["labels"][0], "given", tf)
    return results


def infer(model, image, labels, prefix, tf):
    out = {name: model(image, training=False)[name].numpy() for name in ["dense2", "softmax"]}
    ce = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, out["dense2"]).numpy()
    right = np.mean(np.argmax(out["dense2"], 1) == labels)
    values = out | {"val_loss": np.array([ce.mean()]), "val_accuracy": np.array([right])}
    return {f"{prefix}/{name}": value for name, value in values.items()}


# The files.

def apart(values):
    return float(max(np.max(np.abs(a.astype(np.float64) - b)) for a in values for b in values))


def rms(values):
    return float(np.sqrt(np.mean(np.square(values.astype(np.float64)))))


def save(folder, name, tensors, about, small=False):
    from safetensors.numpy import save_file

    tensors = {key: np.ascontiguousarray(value if value.dtype.kind in "iu" else value.astype(np.float32)) for key, value in tensors.items()}
    save_file(tensors, folder / f"{name}.safetensors")
    layout = {"separators": (",", ":")} if small else {"indent": 1}
    (folder / f"{name}.json").write_text(json.dumps(about, **layout))


def write_ops(args, runs):
    tensors, figures, cases = {}, {}, []
    for name, case, inputs in op_cases(np.random.default_rng(args.seed)):
        cases.append({"case": name} | case)
        tensors |= {f"{name}/{key}": value for key, value in inputs.items()}
    for key in (key for key in runs["eigen"] if key.startswith("ops/")):
        tensors[key[4:]] = runs["eigen"][key]
        noise = float(np.max(np.abs(runs["eigen"][key].astype(np.float64) - runs["f64"][key])))
        figures[key[4:]] = {"noise": noise, "rms": rms(runs["eigen"][key])}
    save(args.out, "ops", tensors, {"about": "made by scripts/make_golden.py", "cases": cases, "tensors": figures})


def write_tiny(args, runs):
    random = np.random.default_rng(args.seed + 1)
    run = drawn_training(random, args, drawn_weights(random, network(args.width, args.classes)))
    tensors = {f"init/{name}": value for name, value in run["weights"].items()} | {"class_weight": run["class_weight"]}
    for t, (image, labels) in enumerate(zip(run["images"], run["labels"]), 1):
        tensors |= {f"images/t{t}": image, f"labels/t{t}": labels}
    figures = {}
    for key in (key for key in runs["eigen"] if key.startswith("tiny/") and not key.startswith("tiny/given")):
        name, values = key[5:], [run[key] for run in runs.values()]
        figures[name] = {"spread": apart(values), "rms": rms(values[0])}
        golden = runs["eigen"][key]
        if not args.small and name.endswith(tuple(f"/act/{layer}{i}" for layer in ["conv", "bn", "relu"] for i in (1, 2))):
            golden, figures[name]["about"] = golden[:2], "first 2 samples only"
        elif name.startswith(f"after{args.steps}/") and name.split("/")[1] in ("param", "stat", "infer"):
            pass  # inference starts from these
        elif args.small or name.startswith("after") and golden.size > 8192:
            count = min(golden.size, FEW if args.small else 4096)
            golden = golden.ravel()[np.arange(count) * golden.size // count]
        if "/infer/" in name:
            given = [run["tiny/given/" + name.split("/")[-1]] for run in runs.values()]
            figures[name]["spread_given_stored_state"] = apart(given)
        tensors[name] = golden
    about = {"about": "made by scripts/make_golden.py", "f64_losses": runs["f64"]["tiny/losses"].tolist(), "tensors": figures}
    if args.small:
        figures |= {name: {key: float(f"{of[key]:.4g}") for key in of if key != "rms"} for name, of in figures.items()}
    save(args.out, "tiny", tensors, about, args.small)


def write_full(args, runs):
    run = full_training(args)
    tensors, figures = {}, {}
    for key in (key for key in runs["eigen"] if key.startswith("full/")):
        name, values = key[5:], [run[key] for run in runs.values()]
        golden = values[0]
        if name.startswith("step1/act/"):
            name = name.replace("step1/act/", "act_l2/")
            if not name.split("/")[1].startswith(("pool", "gap")):
                if name != "act_l2/dense2":
                    continue
                name = "step1/logits"
            else:
                values = [np.atleast_1d(np.sqrt(np.sum(np.square(v.astype(np.float64))))) for v in values]
            golden = values[0]
        figures[name] = {"spread": apart(values), "rms": rms(golden)}
        if name.startswith("step1/grad/"):
            sample = name.replace("/grad/", "/grad_sample/")
            count = min(64, golden.size)
            index = np.arange(count) * golden.size // count
            tensors[name.replace("/grad/", "/grad_index/")] = index.astype(np.int32)
            wide = [v.astype(np.float64).ravel() for v in values]
            figures[sample] = figures.pop(name) | {"l2_full": float(np.linalg.norm(wide[0])), "l2_full_f64run": float(np.linalg.norm(wide[-1])),
                                                  "l2_of_difference": float(np.linalg.norm(wide[0] - wide[-1]))}
            name, golden = sample, golden.ravel()[index]
        tensors[name] = golden
    w = run["weights"]
    check = {"h(100,0..3)": [int(h) for h in hashed(100, np.arange(4))], "conv1.kernel[0..3]": w["conv1.kernel"].ravel()[:4].tolist(),
             "conv8.kernel[9437183]": float(w["conv8.kernel"].ravel()[9437183]), "bn1.gamma[0..1]": w["bn1.gamma"][:2].tolist(),
             "dense2.bias": w["dense2.bias"].tolist(), "sum of u8 per step": [int(i.sum(dtype=np.int64)) for i in run["images"]],
             "image step1 first 6 u8": run["images"][0].ravel()[:6].tolist(),
             "f64 sum of abs per parameter": {name: float(np.sum(np.abs(v.astype(np.float64)))) for name, v in w.items() if "moving" not in name}}
    losses = {f"losses_{key}": [float(x) for x in runs[run]["full/losses"]] for key, run in [("f64", "f64"), ("f32_eigen", "eigen"), ("f32_onednn", "onednn")]}
    del tensors["accuracies"]
    save(args.out, "full", tensors, {"labels": [l.tolist() for l in run["labels"]], "class_weight": run["class_weight"].tolist(),
                                     "formula_check": check, **losses, "tensors": figures})


def write_augment(args):
    from keras.preprocessing.image import ImageDataGenerator

    random = np.random.default_rng(args.seed + 3)
    tensors, params = {}, {}
    generator = ImageDataGenerator(rescale=1 / 255, fill_mode="nearest", dtype=np.float32)
    sizes = {"a": (random.integers(8, 60, 2)), "b": 2 * [int(random.integers(8, 60))]}
    if args.size[0] != args.size[1] or args.small:
        sizes = {"sized": args.size} if args.small else sizes | {"sized": args.size}
    for image, (h, w) in sizes.items():
        tensors[f"image/{image}"] = random.integers(0, 256, (h, w, 3)).astype(np.uint8)
        for i in [1] if args.small else range(12):
            zoom = random.uniform(0.95, 1.05, 2)
            p = {"theta": random.uniform(-5, 5), "tx": random.uniform(-0.05, 0.05) * h, "ty": random.uniform(-0.05, 0.05) * w,
                 "shear": random.uniform(-0.1, 0.1), "zx": zoom[0], "zy": zoom[1]} if i else {}
            p = {key: float(value) for key, value in p.items()}
            p |= {"flip_horizontal": bool(random.integers(2)), "flip_vertical": bool(random.integers(2))} if i else {}
            out = generator.apply_transform(tensors[f"image/{image}"].astype(np.float32), p)
            params[f"{image}/{i:02}"], tensors[f"out/{image}/{i:02}"] = p, np.asarray(out, np.float32)
        if not args.small:
            tensors[f"scaled/{image}/{i:02}"] = generator.standardize(np.array(out, np.float32))
    save(args.out, "augment", tensors, {"params": params}, args.small)


def write_resize(args):
    from PIL import Image

    random = np.random.default_rng(args.seed + 4)
    tensors = {}
    for name in "ab":
        h, w = random.integers(1, 90, 2)
        tensors[f"image/{name}"] = image = random.integers(0, 256, (h, w, 3)).astype(np.uint8)
        for _ in range(6):
            h, w = (int(side) for side in random.integers(1, 120, 2))
            for mode, filter in [("nearest", Image.NEAREST), ("lanczos", Image.LANCZOS)]:
                tensors[f"{mode}/{name}/{h}x{w}"] = np.asarray(Image.fromarray(image).resize((w, h), filter))
    for _ in range(8):
        before, after = int(random.integers(1, 4000)), int(random.integers(1, 400))
        row = Image.fromarray(np.arange(before, dtype=np.int32)[None, :], mode="I").resize((after, 1), Image.NEAREST)
        tensors[f"nearest_index/{before}_{after}"] = np.asarray(row)[0].astype(np.int32)
    save(args.out, "resize", tensors, {})


def write_report(args):
    from sklearn.metrics import classification_report, confusion_matrix

    random, cases = np.random.default_rng(args.seed + 5), []
    for i in range(12):
        classes, count = int(random.integers(2, 12)), int(random.integers(1, 400))
        names = [f"class {'x' * int(random.integers(0, 16))}{c}" for c in range(classes)]
        true = random.integers(0, classes, count)
        predicted = np.where(random.random(count) < 0.7, true, random.integers(0, classes, count))
        case = {"name": f"drawn {i}", "y_true": true.tolist(), "y_pred": predicted.tolist(), "target_names": names}
        labels = {"labels": list(range(classes))} if i % 3 == 0 or len({*case["y_true"], *case["y_pred"]}) < classes else {}
        case |= labels | {"confusion_matrix": confusion_matrix(true, predicted, **labels).tolist(),
                          "report": classification_report(true, predicted, target_names=names, zero_division=0, **labels)}
        cases.append(case)
    (args.out / "report.json").write_text(json.dumps({"cases": cases}))


def write_callbacks(args):
    import tempfile

    from tensorflow import keras

    random, cases = np.random.default_rng(args.seed + 6), []
    for i in range(10):
        epochs = int(random.integers(1, 30))
        loss, val_loss = (np.round(np.exp(-0.03 * np.arange(epochs)) + s * random.random(epochs), 4).tolist() for s in (0.1, 0.3))
        model = keras.Sequential([keras.layers.Dense(1, input_shape=(1,))])
        model.compile(keras.optimizers.Adam(1e-3), "mse")
        with tempfile.TemporaryDirectory() as folder:
            checkpoint = keras.callbacks.ModelCheckpoint(f"{folder}/best.weights.h5", "val_loss", save_best_only=True, save_weights_only=True)
            callbacks = [checkpoint, keras.callbacks.ReduceLROnPlateau("loss", 0.2, 3, min_delta=1e-4), keras.callbacks.EarlyStopping("loss", patience=5)]
            trace = {"lr_used": [], "lr_after": [], "epochs_saved": [], "stop_after_epoch": None}
            for callback in callbacks:
                callback.set_model(model)
                callback.on_train_begin()
            model.stop_training = False
            for epoch in range(epochs):
                best = checkpoint.best
                trace["lr_used"].append(float(model.optimizer.learning_rate))
                for callback in callbacks:
                    callback.on_epoch_begin(epoch)
                    callback.on_epoch_end(epoch, {"loss": loss[epoch], "val_loss": val_loss[epoch]})
                trace["lr_after"].append(float(model.optimizer.learning_rate))
                trace["epochs_saved"] += [epoch] if checkpoint.best != best else []
                if model.stop_training:
                    trace["stop_after_epoch"] = epoch
                    break
        cases.append({"name": f"drawn {i}", "loss": loss, "val_loss": val_loss, **trace, "epochs_run": len(trace["lr_used"])})
    (args.out / "callbacks.json").write_text(json.dumps({"cases": cases}))


def write_options(args):
    """Options of training that the tutorial leaves alone, in f64: smoothed labels, a cosine's rates, clipped gradients."""
    import tensorflow as tf
    from tensorflow import keras

    random, smoothing, cosine, clipped = np.random.default_rng(args.seed + 7), [], [], []
    for batch, classes, share in [(4, 3, 0.1), (7, 8, 0.1), (3, 2, 0.5), (5, 33, 0.01), (2, 4, 0.0), (3, 5, 1.0)]:
        logits = 3 * random.standard_normal((batch, classes))
        labels, weight = random.integers(0, classes, batch), 0.5 + random.random(classes)
        loss = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=share)
        z = tf.Variable(logits, dtype=tf.float64)
        with tf.GradientTape() as tape:
            value = loss(tf.one_hot(labels, classes, dtype=tf.float64), z, sample_weight=tf.constant(weight[labels]))
        smoothing.append({"classes": classes, "share": share, "logits": logits.ravel().tolist(), "labels": labels.tolist(),
                          "class_weight": weight.tolist(), "loss": float(value), "dlogits": tape.gradient(value, z).numpy().ravel().tolist()})
    for rate, warmup, steps in [(1e-3, 0, 12), (0.5, 3, 12), (6e-5, 10, 40)]:
        options = {"initial_learning_rate": 0.0, "warmup_target": rate, "warmup_steps": warmup} if warmup else {"initial_learning_rate": rate}
        schedule = keras.optimizers.schedules.CosineDecay(decay_steps=steps - warmup, **options)
        cosine.append({"rate": rate, "warmup": warmup, "steps": steps, "rates": [float(schedule(step)) for step in range(steps + 3)]})
    for limit, scale in [(1.0, 1.0), (1.0, 0.01), (0.3, 5.0)]:
        gradients = [scale * random.standard_normal(shape) for shape in [(3, 3, 4, 5), (5,), (20, 3)]]
        after, norm = tf.clip_by_global_norm([tf.constant(g) for g in gradients], limit)
        clipped.append({"limit": limit, "norm": float(norm), "before": [g.ravel().tolist() for g in gradients],
                        "after": [g.numpy().ravel().tolist() for g in after]})
    (args.out / "options.json").write_text(json.dumps({"smoothing": smoothing, "cosine": cosine, "clipped": clipped}))


def main():
    args = arguments()
    parts = args.out / "parts"
    if args.implementation:
        return computed(args, parts)
    parts.mkdir(parents=True)
    for name, onednn in IMPLEMENTATIONS.items():
        environment = os.environ | {"TF_ENABLE_ONEDNN_OPTS": onednn, "CUDA_VISIBLE_DEVICES": "", "TF_CPP_MIN_LOG_LEVEL": "2"}
        subprocess.run([sys.executable, *sys.argv, "--implementation", name], env=environment, check=True)
    runs = {name: np.load(parts / f"{name}.npz") for name in IMPLEMENTATIONS}
    if wanted(args, "ops"):
        write_ops(args, runs)
    if wanted(args, "tiny"):
        write_tiny(args, runs)
    if args.full:
        write_full(args, runs)
    for name, write in {"augment": write_augment, "resize": write_resize, "report": write_report, "callbacks": write_callbacks,
                        "options": write_options}.items():
        if wanted(args, name):
            write(args)
    for name in IMPLEMENTATIONS:
        (parts / f"{name}.npz").unlink()
    parts.rmdir()


main()
