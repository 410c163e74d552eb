// A training step of the tutorial's network in TensorFlow.js on its WebGPU backend, by Dawn: one for each line that is read; the
// seconds and the loss of each on a line. Its Adam has no amsgrad. Dawn needs a Mesa newer than 22.3.
// usage: node tfjs.mjs NODE_MODULES SIZE/BATCH

import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const [folder, argument] = process.argv.slice(2);
const [size, batch] = argument.split("/").map(Number);
const load = createRequire(`${folder}/`);
const { create, globals } = await import(load.resolve("webgpu"));
Object.assign(globalThis, globals);
// Within reach for good: Dawn aborts when its instance is collected before its device.
globalThis.instance = create([]);
Object.defineProperty(globalThis, "navigator", { value: { gpu: globalThis.instance }, configurable: true });
globalThis.self ??= globalThis;

const tf = load("@tensorflow/tfjs-core");
const { layers, sequential } = load("@tensorflow/tfjs-layers");
load("@tensorflow/tfjs-backend-webgpu");

// Of each convolution: filters, and whether a max pool follows.
const LAYERS = [[32, true], [64, true], [128, true], [256, true], [512, false], [512, true], [1024, false], [1024, false]];
const CLASSES = 8;

if (!(await tf.setBackend("webgpu"))) throw new Error("no WebGPU adapter");
await tf.ready();
const model = sequential();
LAYERS.forEach(([filters, pooled], index) => {
  const inputShape = index === 0 ? { inputShape: [size, size, 3] } : {};
  model.add(layers.conv2d({ filters, kernelSize: 3, padding: "same", kernelInitializer: "heNormal", ...inputShape }));
  model.add(layers.batchNormalization());
  model.add(layers.activation({ activation: "relu" }));
  if (pooled) model.add(layers.maxPooling2d({ poolSize: 2 }));
});
model.add(layers.globalAveragePooling2d({}));
model.add(layers.dense({ units: 256 }));
model.add(layers.dense({ units: CLASSES, activation: "softmax" }));
model.compile({ optimizer: tf.train.adam(1e-3), loss: "categoricalCrossentropy" });
const images = tf.randomUniform([batch, size, size, 3]);
const labels = tf.oneHot(tf.tensor1d([...Array(batch).keys()].map((image) => image % CLASSES), "int32"), CLASSES);

for await (const _ of createInterface({ input: process.stdin })) {
  const start = performance.now();
  const loss = await model.trainOnBatch(images, labels);
  console.log((performance.now() - start) / 1000, loss);
}
process.exit(0);
