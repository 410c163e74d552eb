// Runs an exported network on WebGPU. Its plan is a list of dispatches of complete WGSL over numbered buffers; this file
// makes the buffers and pipelines once, then replays the list for each photograph. It never touches the document (page.js
// does), so it runs outside of browsers as well.
'use strict';

/** An error whose message is a sentence for the reader of the page. */
class Problem extends Error {}

// 1. The device ------------------------------------------------------------------------------------------------------------

/** Threads and workgroup memory that every adapter has, and plans count on. */
const WORKGROUP_LIMITS = { maxComputeInvocationsPerWorkgroup: 256, maxComputeWorkgroupStorageSize: 16384 };

/** Opens a device on which the plan fits. */
async function openDevice(plan) {
  if (globalThis.isSecureContext === false) {
    throw new Problem('Browsers compute only on pages from a file or over a secure connection: save this page, and open the file.');
  }
  if (!navigator.gpu) {
    throw new Problem('This browser has no WebGPU. Chrome and Edge since 113, Safari since 26 and Firefox since 141 have it.');
  }
  const adapter = await navigator.gpu.requestAdapter();
  if (!adapter) {
    throw new Problem('WebGPU finds no graphics device here. Turn on hardware acceleration in the settings, or update the driver.');
  }
  const largest = Math.max(...plan.buffers);
  const steps = [...plan.once, ...plan.each];
  const needs = {
    ...WORKGROUP_LIMITS, maxStorageBufferBindingSize: largest, maxBufferSize: largest,
    maxStorageBuffersPerShaderStage: Math.max(...steps.map((step) => step.buffers.length)),
    maxComputeWorkgroupsPerDimension: Math.max(...steps.flatMap((step) => step.grid)),
  };
  for (const [limit, needed] of Object.entries(needs)) {
    const offered = adapter.limits[limit];
    if (!(offered >= needed)) {
      throw new Problem(`This graphics device is too small for the network: ${limit} is ${offered}, and ${needed} are needed.`);
    }
  }
  // Plans keep to the default limits; photographs may be larger than those.
  const { maxTextureDimension2D, maxBufferSize } = adapter.limits;
  try {
    return await adapter.requestDevice({ requiredLimits: { maxTextureDimension2D, maxBufferSize } });
  } catch (error) {
    throw new Problem(`The graphics device did not open: ${error.message}`);
  }
}

// 2. The plan --------------------------------------------------------------------------------------------------------------

/** A network on a device. `page` is what the export wrote; `weights` are its bytes, one buffer after the other. */
class Player {
  static async open(page, weights, device) {
    const player = new Player(page, device ?? (await openDevice(page.plan)));
    player.upload(page.plan.weights, weights);
    await player.#load();
    return player;
  }

  #buffers;
  #each;
  #fault;

  constructor(page, device) {
    this.page = page;
    this.device = device;
    // An error that no call returns: a refused call, or a device that is gone.
    this.lost = device.lost.then(({ message }) => {
      throw new Problem(`The graphics device was lost. ${message}`.trim());
    });
    this.lost.catch(() => {});
    device.addEventListener('uncapturederror', (event) => {
      event.preventDefault();
      this.#fault ??= event.error.message;
    });
    const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST | GPUBufferUsage.COPY_SRC;
    this.#buffers = page.plan.buffers.map((size) => device.createBuffer({ size, usage }));
  }

  /** Compiles the plan, and runs what it runs once. */
  async #load() {
    const { device, page: { plan } } = this;
    const pipelines = await Promise.all(plan.modules.map((code) => this.#pipeline(code)));
    const bound = (step) => this.#bound(step, pipelines[step.module]);
    this.#each = plan.each.map(bound);
    const encoder = device.createCommandEncoder();
    encode(encoder, plan.once.map(bound));
    device.queue.submit([encoder.finish()]);
    await this.#settled(device.queue.onSubmittedWorkDone());
  }

  /** Fills buffers with numbers, which lie in `bytes` one buffer after the other. */
  upload(weights, bytes) {
    let start = 0;
    for (const { buffer, size, scale } of weights) {
      const end = start + (this.#buffers[buffer].size / 4) * size;
      const stored = bytes.slice(start, end).buffer;
      const levels = () => Float32Array.from(new Int8Array(stored), (level) => level * scale);
      const numbers = size === 4 ? stored : size === 2 ? fromHalves(new Uint16Array(stored)) : levels();
      this.device.queue.writeBuffer(this.#buffers[buffer], 0, numbers);
      start = end;
    }
    if (start !== bytes.length) throw new Problem('This page is damaged: its weights are not of its network. Export it anew.');
  }

  async #pipeline(code) {
    try {
      const module = this.device.createShaderModule({ code });
      return await this.#settled(this.device.createComputePipelineAsync({ layout: 'auto', compute: { module } }));
    } catch (error) {
      if (error instanceof Problem) throw error;
      throw new Problem(`This browser refuses a kernel: ${error.message}`);
    }
  }

  /** A step, ready to be encoded. */
  #bound({ grid, buffers, parameters }, pipeline) {
    // Without an offset and a size the binding is of the whole buffer.
    const resource = ([, index, offset, size]) => ({ buffer: this.#buffers[index], offset, size });
    const entries = buffers.map((bound) => ({ binding: bound[0], resource: resource(bound) }));
    if (parameters) {
      const [binding, values] = parameters;
      const numbers = new Uint32Array(values);
      const usage = GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST;
      const buffer = this.device.createBuffer({ size: Math.ceil(numbers.byteLength / 16) * 16, usage });
      this.device.queue.writeBuffer(buffer, 0, numbers);
      entries.push({ binding, resource: { buffer } });
    }
    return { pipeline, grid, group: this.device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries }) };
  }

  /** Whether the device is gone or has refused a call, so that nothing more comes of it. */
  async failed() {
    return Boolean(this.#fault) || Promise.race([this.lost.then(() => true, () => true), Promise.resolve(false)]);
  }

  /** Waits for the device, and throws what went wrong on the way. */
  async #settled(promise) {
    const value = await Promise.race([promise, this.lost]);
    if (this.#fault) throw new Problem(`The graphics device failed: ${this.#fault}`);
    return value;
  }

  /** Class probabilities and features of a picture of any size. */
  async classify(picture) {
    const { device, page: { plan, image, resize, classes } } = this;
    device.queue.writeBuffer(this.#buffers[plan.pixels], 0, packed(resized(picture, image, resize).rgb));
    const [probabilities, features] = await this.run([plan.probabilities, plan.features].filter((index) => index !== null));
    const row = probabilities.subarray(0, classes.length);
    const sum = row.reduce((total, probability) => total + probability, 0);
    if (!(Math.abs(sum - 1) < 1e-3)) {
      throw new Problem(`The graphics device computed no probabilities: their sum is ${sum}.`);
    }
    return { probabilities: row, features };
  }

  /** Runs the plan, and returns what these buffers then hold. */
  async run(results) {
    const encoder = this.device.createCommandEncoder();
    const buffers = results.map((index) => this.#buffers[index]);
    // Results of the run before can never pass for those of this one.
    buffers.forEach((buffer) => encoder.clearBuffer(buffer));
    encode(encoder, this.#each);
    return (await this.#read(encoder, buffers)).map((bytes) => new Float32Array(bytes));
  }

  /** Submits what is encoded, and returns the bytes of these buffers after it. */
  async #read(encoder, buffers) {
    const size = buffers.reduce((total, buffer) => total + buffer.size, 0);
    const host = this.device.createBuffer({ size, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST });
    let end = 0;
    const starts = buffers.map((buffer) => {
      encoder.copyBufferToBuffer(buffer, 0, host, end, buffer.size);
      return (end += buffer.size) - buffer.size;
    });
    this.device.queue.submit([encoder.finish()]);
    await this.#settled(host.mapAsync(GPUMapMode.READ));
    const bytes = host.getMappedRange().slice(0);
    host.destroy();
    return starts.map((start, index) => bytes.slice(start, start + buffers[index].size));
  }

  /** Classifies the built-in pictures; returns how far a probability is from the program's, and throws if that is too far. */
  async prove() {
    let worst = 0;
    for (const { png, probabilities } of this.page.checks) {
      const found = await this.classify(await this.decode(new Blob([fromBase64(png)])));
      for (const [index, expected] of probabilities.entries()) {
        const probability = found.probabilities[index];
        const difference = Math.abs(probability - expected);
        if (!(difference <= this.page.agreement)) {
          const instead = `a built-in picture has the probability ${probability} instead of ${expected}`;
          throw new Problem(`This browser and device do not compute what the program did: ${instead}. Nothing is classified here.`);
        }
        worst = Math.max(worst, difference);
      }
    }
    return worst;
  }

  // 3. Pictures ------------------------------------------------------------------------------------------------------------

  /** The pixels of a file, as they are stored: no orientation, no conversion of colours, no transparency. */
  async decode(file) {
    const bytes = new Uint8Array(await file.arrayBuffer());
    if (!SIGNATURES.some((signature) => signature.every((byte, at) => bytes[at] === byte))) {
      throw new Problem('Not a JPEG, PNG or BMP picture.');
    }
    let bitmap;
    try {
      const asStored = { colorSpaceConversion: 'none', premultiplyAlpha: 'none' };
      bitmap = await createImageBitmap(withoutExif(bytes), asStored);
    } catch {
      throw new Problem('A damaged picture, or one of a kind that this browser does not read.');
    }
    const { device } = this;
    const { width, height } = bitmap;
    const most = device.limits.maxTextureDimension2D;
    if (Math.max(width, height) > most) {
      throw new Problem(`A picture of ${width} x ${height} pixels; this graphics device takes ${most} a side.`);
    }
    // By way of a texture, and not of a canvas: that would lose colours under transparency, and browsers that guard against
    // fingerprints add noise to what is read from it.
    const filters = ['validation', 'out-of-memory'];
    filters.forEach((filter) => device.pushErrorScope(filter));
    const usage = GPUTextureUsage.COPY_SRC | GPUTextureUsage.COPY_DST | GPUTextureUsage.RENDER_ATTACHMENT;
    const texture = device.createTexture({ size: [width, height], format: 'rgba8unorm', usage });
    device.queue.copyExternalImageToTexture({ source: bitmap }, { texture }, [width, height]);
    bitmap.close();
    const bytesPerRow = Math.ceil((4 * width) / 256) * 256;
    const size = bytesPerRow * height;
    const buffer = device.createBuffer({ size, usage: GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST });
    const encoder = device.createCommandEncoder();
    encoder.copyTextureToBuffer({ texture }, { buffer, bytesPerRow }, [width, height]);
    const reading = this.#read(encoder, [buffer]);
    reading.catch(() => {}); // the scopes say why
    const errors = await Promise.all(filters.map(() => device.popErrorScope()));
    if (errors.some((error) => error)) throw new Problem(`${width} x ${height} pixels are too many for the graphics memory.`);
    const rgba = new Uint8Array((await reading)[0]);
    texture.destroy();
    buffer.destroy();
    const rgb = new Uint8Array(3 * width * height);
    for (let row = 0, to = 0; row < height; row++) {
      for (let at = row * bytesPerRow, end = at + 4 * width; at < end; at += 4) {
        rgb[to++] = rgba[at];
        rgb[to++] = rgba[at + 1];
        rgb[to++] = rgba[at + 2];
      }
    }
    return { width, height, rgb };
  }

  // 4. Maps ----------------------------------------------------------------------------------------------------------------

  /** What speaks for a class, position by position: its mean is the class's logit, without the constant. */
  map(features, index) {
    const { map: { positions, weights }, classes } = this.page;
    const channels = weights.length / classes.length;
    const stored = Math.ceil(channels / 4) * 4;
    const sums = new Float32Array(positions[0] * positions[1]);
    return sums.map((sum, position) => {
      for (let channel = 0; channel < channels; channel++) {
        sum += features[position * stored + channel] * weights[channel * classes.length + index];
      }
      return sum;
    });
  }

  /** The map over its picture, which is made smaller if it is large. */
  overlay(picture, map) {
    const { positions, longest, strongest, colours } = this.page.map;
    const { width, height, rgb } = shrunk(picture, longest);
    const largest = map.reduce((most, value) => Math.max(most, value), 2 ** -126);
    const strength = stretched(map.map((value) => Math.max(value, 0) / largest), positions, [height, width]);
    const out = new Uint8Array(rgb.length);
    for (let at = 0; at < out.length; at++) {
      const strong = strength[Math.floor(at / 3)];
      const colour = colours[Math.round(255 * strong)][at % 3];
      out[at] = Math.round((1 - strongest * strong) * rgb[at] + strongest * strong * colour);
    }
    return { width, height, rgb: out };
  }
}

/** Adds steps to a command encoder, in order. */
function encode(encoder, steps) {
  const pass = encoder.beginComputePass();
  for (const { pipeline, group, grid } of steps) {
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, group);
    pass.dispatchWorkgroups(...grid);
  }
  pass.end();
}

/** First bytes of JPEG, PNG and BMP files. */
const SIGNATURES = [[0xff, 0xd8, 0xff], [0x89, 0x50, 0x4e], [0x42, 0x4d]];

/** A file without the metadata by which browsers turn pictures, whatever they are asked: the program does not turn them. */
function withoutExif(bytes) {
  const view = new DataView(bytes.buffer);
  const isPng = bytes[0] === 0x89;
  const parts = [];
  let start = 0;
  // Chunks of a PNG file, segments of a JPEG file up to its first scan; BMP files have neither.
  for (let at = isPng ? 8 : 2, end; at + 8 <= bytes.length && (isPng || (bytes[at] === 0xff && bytes[at + 1] !== 0xda)); at = end) {
    if (!isPng && bytes[at + 1] === 0xff) {
      end = at + 1; // a byte that fills up
      continue;
    }
    end = at + (isPng ? 12 + view.getUint32(at) : 2 + view.getUint16(at + 2));
    const isExif = isPng ? view.getUint32(at + 4) === 0x65584966 : bytes[at + 1] === 0xe1; // eXIf, APP1
    if (isExif) {
      parts.push(bytes.subarray(start, at));
      start = end;
    }
  }
  return new Blob([...parts, bytes.subarray(start)]);
}

// 5. Resizing --------------------------------------------------------------------------------------------------------------

/** A picture at another size, equal to the program's to the bit. */
function resized(picture, [height, width], resampling) {
  if (resampling === 'nearest') return nearest(picture, height, width);
  return vertical(horizontal(picture, width), height);
}

function nearest({ width, height, rgb }, targetHeight, targetWidth) {
  // The step is added up, not multiplied: the rounding of that sum decides at exact halves.
  const sources = (input, output) => {
    const indices = [];
    const step = input / output;
    for (let position = 0.5 * step; indices.length < output; position += step) {
      indices.push(Math.min(Math.trunc(position), input - 1));
    }
    return indices;
  };
  const [rows, columns] = [sources(height, targetHeight), sources(width, targetWidth)];
  const out = new Uint8Array(3 * targetHeight * targetWidth);
  let to = 0;
  for (const row of rows) {
    for (const column of columns) {
      const at = 3 * (row * width + column);
      out.set(rgb.subarray(at, at + 3), to);
      to += 3;
    }
  }
  return { width: targetWidth, height: targetHeight, rgb: out };
}

/** Weights are in units of 2^-22; half the width of Lanczos's window is three target pixels. */
const [WEIGHT_BITS, LOBES] = [22, 3];
const HALF = 1 << (WEIGHT_BITS - 1);

/** The source pixels that make each target pixel, and their weights. */
function taps(input, output) {
  const scale = input / output;
  const filterScale = Math.max(scale, 1);
  const support = LOBES * filterScale;
  return Array.from({ length: output }, (_, target) => {
    const center = (target + 0.5) * scale;
    const first = Math.trunc(Math.max(center - support + 0.5, 0));
    const end = Math.min(Math.trunc(center + support + 0.5), input);
    const exact = [];
    for (let source = first; source < end; source++) exact.push(lanczos((source - center + 0.5) * (1 / filterScale)));
    const sum = exact.reduce((total, weight) => total + weight, 0);
    // Halves are rounded away from zero.
    const fixed = (weight) => Math.sign(weight) * Math.round(Math.abs((weight / sum) * 2 ** WEIGHT_BITS));
    return { first, weights: Int32Array.from(exact, fixed) };
  });
}

function lanczos(t) {
  const sinc = (x) => (x === 0 ? 1 : Math.sin(x * Math.PI) / (x * Math.PI));
  return t >= -LOBES && t < LOBES ? sinc(t) * sinc(t / LOBES) : 0;
}

const toByte = (sum) => Math.min(Math.max(sum >> WEIGHT_BITS, 0), 255);

function horizontal(picture, target) {
  const { width, height, rgb } = picture;
  if (width === target) return picture;
  const out = new Uint8Array(3 * height * target);
  const all = taps(width, target);
  let to = 0;
  for (let row = 0; row < height; row++) {
    for (const { first, weights } of all) {
      let [red, green, blue] = [HALF, HALF, HALF];
      let at = 3 * (row * width + first);
      for (let tap = 0; tap < weights.length; tap++) {
        red += weights[tap] * rgb[at++];
        green += weights[tap] * rgb[at++];
        blue += weights[tap] * rgb[at++];
      }
      out[to++] = toByte(red);
      out[to++] = toByte(green);
      out[to++] = toByte(blue);
    }
  }
  return { width: target, height, rgb: out };
}

function vertical(picture, target) {
  const { width, height, rgb } = picture;
  if (height === target) return picture;
  const row = 3 * width;
  const out = new Uint8Array(target * row);
  const sums = new Int32Array(row);
  taps(height, target).forEach(({ first, weights }, targetRow) => {
    sums.fill(HALF);
    for (let tap = 0; tap < weights.length; tap++) {
      const start = (first + tap) * row;
      for (let at = 0; at < row; at++) sums[at] += weights[tap] * rgb[start + at];
    }
    for (let at = 0; at < row; at++) out[targetRow * row + at] = toByte(sums[at]);
  });
  return { width, height: target, rgb: out };
}

/** A picture whose longer side is `longest` pixels at most: means of boxes, whose edges are rounded as f32. */
function shrunk(picture, longest) {
  const { width, height, rgb } = picture;
  const shrink = longest / Math.max(width, height);
  if (shrink >= 1) return picture;
  const [toWidth, toHeight] = [width, height].map((side) => Math.max(Math.round(side * shrink), 1));
  const edges = (from, to) => {
    const ratio = Math.fround(from / to);
    const start = (index) => Math.fround(index * ratio);
    const end = (index) => Math.min(Math.ceil(Math.fround(start(index) + ratio)), from);
    return Array.from({ length: to }, (_, index) => [Math.ceil(start(index)), end(index)]);
  };
  const [rows, columns] = [edges(height, toHeight), edges(width, toWidth)];
  const out = new Uint8Array(3 * toWidth * toHeight);
  let to = 0;
  for (const [top, bottom] of rows) {
    for (const [left, right] of columns) {
      const count = (bottom - top) * (right - left);
      let [red, green, blue] = [0, 0, 0];
      for (let row = top; row < bottom; row++) {
        for (let at = 3 * (row * width + left), end = 3 * (row * width + right); at < end; ) {
          red += rgb[at++];
          green += rgb[at++];
          blue += rgb[at++];
        }
      }
      for (const sum of [red, green, blue]) out[to++] = Math.trunc((sum + Math.trunc(count / 2)) / count);
    }
  }
  return { width: toWidth, height: toHeight, rgb: out };
}

/** Numbers at another size, with straight lines between them. */
function stretched(values, [height, width], [toHeight, toWidth]) {
  const blends = (input, output) =>
    Array.from({ length: output }, (_, target) => {
      const center = ((target + 0.5) * input) / output - 0.5;
      const weight = (source) => 1 - Math.abs(source - center) / Math.max(input / output, 1);
      const weights = Array.from({ length: input }, (_, source) => [source, weight(source)]).filter(([, weight]) => weight > 0);
      const sum = weights.reduce((total, [, weight]) => total + weight, 0);
      return weights.map(([source, weight]) => [source, weight / sum]);
    });
  const columns = blends(width, toWidth);
  const wide = Array.from({ length: height }, (_, row) =>
    columns.map((blend) => blend.reduce((sum, [column, weight]) => sum + weight * values[row * width + column], 0)),
  );
  const out = new Float32Array(toHeight * toWidth);
  blends(height, toHeight).forEach((blend, row) => {
    for (const [source, weight] of blend) {
      for (let column = 0; column < toWidth; column++) out[row * toWidth + column] += weight * wide[source][column];
    }
  });
  return out;
}

// 6. Numbers ---------------------------------------------------------------------------------------------------------------

function fromBase64(text) {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(text);
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
}

/** Pixels as kernels read them: an integer each, red in its lowest byte. */
function packed(rgb) {
  const at = (pixel) => rgb[3 * pixel] | (rgb[3 * pixel + 1] << 8) | (rgb[3 * pixel + 2] << 16);
  return Uint32Array.from({ length: rgb.length / 3 }, (_, pixel) => at(pixel));
}

/** IEEE 754's binary16 as f32, exactly; infinities and NaN are not among them. */
function fromHalves(halves) {
  const floats = new Float32Array(halves.length);
  const bits = new Uint32Array(floats.buffer);
  for (let at = 0; at < halves.length; at++) {
    // The exponents' biases are 15 and 127.
    bits[at] = (halves[at] & 0x7fff) << 13;
    floats[at] *= 2 ** 112;
    bits[at] |= (halves[at] & 0x8000) << 16;
  }
  return floats;
}
