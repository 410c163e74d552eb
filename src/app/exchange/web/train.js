// The page that a person sees: trains a network step by step, draws its curves, and holds its first losses to the program's.
'use strict';

const { about, classes, inputs, metrics } = page;
const pictures = fromBase64(page.pictures);
/** Six numbers of each picture in each epoch, and the pictures of each step. */
const maps = new Float32Array(fromBase64(page.maps).buffer);
const order = new Uint16Array(fromBase64(page.order).buffer);
const bytesOf = (picture) => pictures.subarray(picture * about.bytes, (picture + 1) * about.bytes);
const steps = order.length / about.batch;
const perEpoch = steps / about.epochs;

// 1. Training --------------------------------------------------------------------------------------------------------------

let player = null;
let working = false;
let farthest = 0;
/** Of each step so far. */
const losses = [];
const accuracies = [];

/** Opens the device, with the weights that training starts from. */
async function start() {
  losses.length = accuracies.length = farthest = 0;
  draw();
  show(['restart', 'train', 'pause'], false);
  say('Preparing the kernels …');
  try {
    player = await Player.open(page, fromBase64(element('weights').textContent));
    player.lost.catch(giveUp);
    show(['train'], true);
    say(`Ready. The first ${page.losses.length} losses will be compared with those that the program computed.`);
  } catch (error) {
    giveUp(error);
  }
}

/** Whatever a step takes in, as its buffers lie in memory. */
async function batch(step) {
  const chosen = [...order.subarray(step * about.batch, (step + 1) * about.batch)];
  const epoch = Math.floor(step / perEpoch);
  const affine = chosen.flatMap((picture) => {
    const at = 6 * (epoch * page.labels.length + picture);
    return [...maps.subarray(at, at + 3), 0, ...maps.subarray(at + 3, at + 6), 0];
  });
  const labels = Uint32Array.from(chosen, (picture) => page.labels[picture]);
  const rate = Float32Array.of(page.alphas[step], 0, 0, 0);
  const all = [...chosen.map((picture) => packed(bytesOf(picture))), Float32Array.from(affine), labels, rate];
  return new Uint8Array(await new Blob(all).arrayBuffer());
}

async function train() {
  working = true;
  show(['train', 'restart'], false);
  show(['pause', 'progress'], true);
  if (losses.length === 0) say('Training: the first step waits for its kernels …');
  try {
    while (working && losses.length < steps) {
      const step = losses.length;
      player.upload(inputs, await batch(step));
      const [numbers] = await player.run([metrics.buffer]);
      const loss = numbers[metrics.at] / about.batch;
      compare(step, loss);
      losses.push(loss);
      accuracies.push(numbers[metrics.at + 1] / about.batch);
      draw();
      tell();
      // Now and then the browser wants to draw.
      await new Promise((resolve) => setTimeout(resolve));
    }
    working = false;
    show(['pause'], false);
    show(['train'], losses.length < steps);
    show(['restart'], true);
  } catch (error) {
    giveUp(error);
  }
}

/** Throws where a loss is no number, or not the program's; NaN is within no distance. */
function compare(step, loss) {
  if (!Number.isFinite(loss)) throw new Problem(`The loss of step ${step + 1} is ${loss}: training cannot go on.`);
  if (step >= page.losses.length) return;
  const distance = Math.abs(loss - page.losses[step]);
  if (!(distance <= page.agreement)) {
    const instead = `step ${step + 1} has the loss ${loss} instead of ${page.losses[step]}`;
    throw new Problem(`This browser and device do not compute what the program did: ${instead}.`);
  }
  farthest = Math.max(farthest, distance);
}

/** The verdict when it is made, and how far training is: after the first step and at the end of each epoch. */
function tell() {
  const done = losses.length;
  const isProved = done >= page.losses.length;
  if (done % perEpoch !== 0 && ![1, page.losses.length].includes(done)) return;
  const difference = farthest === 0 ? 'to the last digit' : `within ${farthest.toExponential(0)}`;
  const verdict = isProved ? `The first ${page.losses.length} losses are the program's, ${difference}.` : 'Training.';
  const end = done === steps ? ` Done: the pictures of ${about.epochs} epochs are used up.` : '';
  say(`${verdict} After ${(done / perEpoch).toFixed(1)} epochs: loss ${mean(losses).toFixed(4)}, accuracy ${percent(mean(accuracies))}.${end}`);
}

function giveUp(error) {
  working = false;
  say(told(error), true);
  show(['train', 'pause'], false);
  show(['restart'], true);
}

function show(ids, shown) {
  for (const id of ids) element(id).hidden = !shown;
}

// 2. Curves ----------------------------------------------------------------------------------------------------------------

const percent = (share) => `${(100 * share).toFixed(1)} %`;

/** Mean of the last values, as many as an epoch has, up to `end`. */
function mean(values, end = values.length) {
  const last = values.slice(Math.max(end - perEpoch, 0), end);
  return last.reduce((sum, value) => sum + value, 0) / last.length;
}

/** Draws values of steps from the left edge to the right; `top` is at the upper edge. */
function curve(id, values, top, text) {
  const means = values.map((_, step) => mean(values, step + 1));
  const point = (value, step) => `${((step + 0.5) / steps) * 1000},${1000 * (1 - value / top)}`;
  for (const [name, numbers] of [['each', values], ['mean', means]]) {
    element(id).querySelector(`.${name}`).setAttribute('points', numbers.map(point).join(' '));
  }
  const now = values.length === 0 ? '' : text(means.at(-1));
  element(`${id}-scale`).textContent = `0 to ${text(top)}`;
  element(`${id}-now`).textContent = now;
  element(id).setAttribute('aria-label', `${id} over ${values.length} steps${now && `, now ${now}`}`);
}

function draw() {
  // Of guesses the loss is the logarithm.
  curve('loss', losses, Math.ceil(Math.max(Math.log(classes.length), ...losses)), (loss) => loss.toFixed(2));
  curve('accuracy', accuracies, 1, percent);
  element('bar').max = steps;
  element('bar').value = losses.length;
  element('count').textContent = `step ${losses.length} of ${steps}`;
}

// 3. About -----------------------------------------------------------------------------------------------------------------

function describe() {
  const [height, width] = page.image;
  const date = new Date(1000 * about.exported).toISOString().slice(0, 10);
  element('title').textContent = about.title;
  element('subtitle').textContent =
    `A network learns ${classes.length} classes of drawn fundus photographs in this browser, with the kernels of ${about.program}.`;
  for (const [label, name] of classes.entries()) {
    const canvas = make('canvas', { width, height });
    const pixels = new ImageData(width, height);
    const rgb = bytesOf(page.labels.indexOf(label));
    for (let from = 0, to = 0; to < pixels.data.length; to++) pixels.data[to] = to % 4 === 3 ? 255 : rgb[from++];
    canvas.getContext('2d').putImageData(pixels, 0, 0);
    element('samples').append(make('figure', {}, canvas, make('figcaption', { textContent: name })));
  }
  element('legend').textContent =
    `From left to right: ${about.epochs} epochs. Thin: each step, on its own batch. Thick: the mean over the last ${perEpoch} steps.`;
  const facts = [
    ['Network', `${about.network}, width ${about.width}, ${about.parameters.toLocaleString('en')} parameters, drawn at random`],
    ['Photographs', `${page.labels.length} of ${height} x ${width} pixels (height x width), each varied anew in each epoch`],
    ['Training', `Adam, rate ${about.rate}, ${about.epochs} epochs of ${perEpoch} steps of ${about.batch} photographs`],
    ['A step', `${page.plan.each.length} dispatches of ${page.plan.modules.length} compiled kernels: forward, backward, update`],
    ['Compared with', `the first ${page.losses.length} losses on ${about.device}, to ${page.agreement}`],
    ['Made by', `${about.program} on ${date}; the page makes no requests`],
  ];
  for (const [name, text] of facts) {
    element('facts').append(make('dt', { textContent: name }), make('dd', { textContent: text }));
  }
}

element('train').addEventListener('click', train);
element('pause').addEventListener('click', () => (working = false));
element('restart').addEventListener('click', start);

describe();
start();
