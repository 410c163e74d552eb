// The page that a person sees: takes photographs, has the player classify one after the other, and shows what it found.
'use strict';

const { about, classes } = page;
const { thresholds } = about;

// 1. Start -----------------------------------------------------------------------------------------------------------------

let player = null;

/** Opens the device and holds it to the built-in pictures; nothing is classified by one that fails. */
async function start() {
  element('restart').hidden = true;
  say('Preparing the network and checking it on this device …');
  try {
    const opened = await Player.open(page, fromBase64(element('weights').textContent));
    const worst = await opened.prove();
    player = opened;
    const difference = worst === 0 ? 'to the last digit' : `within ${worst.toExponential(0)}`;
    say(`Ready. The ${page.checks.length} built-in pictures get the program's probabilities, ${difference}.`);
    element('work').hidden = false;
    element('doctor').hidden = !page.cases;
    player.lost.catch(giveUp);
    work();
  } catch (error) {
    giveUp(error);
  }
}

/** The page cannot go on; what was found stays. */
function giveUp(error) {
  if (player) player.stopped = true;
  say(told(error), true);
  element('work').hidden = true;
  element('doctor').hidden = !page.cases || element('verdicts').hidden;
  element('restart').hidden = false;
}

// 2. Photographs in --------------------------------------------------------------------------------------------------------

/** Files that wait, rows that were found, and the row that is shown. */
const waiting = [];
const rows = [];
let done = 0;
let working = false;
let chosen = null;

const PICTURES = /\.(jpe?g|png|bmp)$/i;
const nameOf = (file) => file.path ?? (file.webkitRelativePath || file.name);

/** Of a folder, only what is named as a picture counts. */
function add(files, ofFolder = false) {
  const wanted = ofFolder ? files.filter((file) => PICTURES.test(file.name) && !file.name.startsWith('.')) : files;
  if (ofFolder && wanted.length === 0) say('No JPEG, PNG or BMP pictures are in that folder.');
  waiting.push(...wanted);
  work();
}

/** The files of a dropped folder, with their paths. Chromium gives pages from a file no entries, and others know no handles. */
async function filesOf({ entry, handle }) {
  if (handle) return filesOfHandle(await handle, entry.name);
  if (entry.isFile) {
    const file = await new Promise((resolve, reject) => entry.file(resolve, reject));
    return [Object.assign(file, { path: entry.fullPath.slice(1) })];
  }
  const reader = entry.createReader();
  const files = [];
  for (;;) {
    // A reader gives a part of the entries at a time.
    const entries = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (entries.length === 0) return files;
    for (const each of entries) files.push(...(await filesOf({ entry: each })));
  }
}

async function filesOfHandle(handle, path) {
  if (handle.kind === 'file') return [Object.assign(await handle.getFile(), { path })];
  const files = [];
  for await (const each of handle.values()) files.push(...(await filesOfHandle(each, `${path}/${each.name}`)));
  return files;
}

async function addDropped(items) {
  // All at once: what was dropped is gone after the first wait.
  const dropped = items.map((item) => {
    const entry = item.webkitGetAsEntry();
    return { entry, file: item.getAsFile(), handle: entry?.isDirectory ? item.getAsFileSystemHandle?.() : null };
  });
  add(dropped.filter(({ entry }) => !entry?.isDirectory).map(({ file }) => file));
  for (const { entry, handle } of dropped.filter(({ entry }) => entry?.isDirectory)) {
    try {
      add(await filesOf({ entry, handle }), true);
    } catch {
      say('This browser does not open dropped folders here: choose the folder instead.', true);
    }
  }
}

async function work() {
  if (working) return;
  working = true;
  const before = rows.length;
  while (waiting.length > 0 && !player.stopped) {
    showProgress();
    const file = waiting.shift();
    try {
      const { probabilities } = await player.classify(await player.decode(file));
      addRow({ file, probabilities });
    } catch (error) {
      if (await player.failed()) {
        waiting.unshift(file);
        giveUp(error);
      } else {
        addRow({ file, fault: error.message });
      }
    }
    done += 1;
    // Now and then the browser wants to draw.
    await new Promise((resolve) => setTimeout(resolve));
  }
  working = false;
  element('progress').hidden = true;
  if (waiting.length > 0) return;
  done = 0;
  const made = rows.slice(before);
  const unread = made.filter((row) => row.fault).length;
  const count = made.length - unread;
  const left = unread > 0 ? ` ${unread} could not be classified.` : '';
  if (made.length > 0) say(`${count} photograph${count === 1 ? '' : 's'} classified.${left}`);
}

function showProgress() {
  const all = done + waiting.length;
  element('progress').hidden = all < 2;
  element('bar').max = all;
  element('bar').value = done;
  element('count').textContent = `${done} of ${all}`;
}

// 3. Results ---------------------------------------------------------------------------------------------------------------

const topOf = (probabilities) => probabilities.reduce((top, value, index) => (value > probabilities[top] ? index : top), 0);
const positives = (probabilities) =>
  thresholds.filter((threshold) => probabilities[classes.indexOf(threshold.class)] >= threshold.probability).map((t) => t.class);

function addRow(row) {
  const name = row.fault ? nameOf(row.file) : make('button', { type: 'button', className: 'name' }, nameOf(row.file));
  const line = make('tr', {}, make('td', {}, name));
  if (row.fault) {
    line.append(make('td', { className: 'fault', colSpan: 1 + classes.length + (thresholds.length > 0), textContent: row.fault }));
  } else {
    const top = topOf(row.probabilities);
    line.append(make('td', { className: 'text top', textContent: classes[top] }));
    if (thresholds.length > 0) line.append(make('td', { className: 'text', textContent: positives(row.probabilities).join(', ') }));
    row.probabilities.forEach((value, index) => {
      const cell = make('td', { className: index === top ? 'share top' : 'share', textContent: value.toFixed(4) });
      cell.style.setProperty('--share-of', `${100 * value}%`);
      line.append(cell);
    });
    name.addEventListener('click', async () => {
      await choose(row);
      element('shown').scrollIntoView({ block: 'nearest' });
    });
  }
  row.line = line;
  rows.push(row);
  element('rows').append(line);
  element('found').hidden = false;
  if (!chosen && row.probabilities) choose(row);
}

/** Shows a photograph with its map. Its pixels were not kept: thousands of photographs may have been classified. */
async function choose(row) {
  if (chosen) {
    chosen.line.removeAttribute('aria-current');
    chosen.picture = chosen.features = null;
  }
  chosen = row;
  row.line.setAttribute('aria-current', 'true');
  try {
    const picture = await player.decode(row.file);
    const { features } = await player.classify(picture);
    if (chosen !== row) return;
    Object.assign(row, { picture, features });
    element('class').value = topOf(row.probabilities);
    draw();
  } catch (error) {
    if (player.stopped) return;
    if (await player.failed()) giveUp(error);
    else say(`${nameOf(row.file)}: ${error.message}`, true);
  }
}

function draw() {
  if (!chosen?.picture) return;
  const { file, picture, features, probabilities } = chosen;
  const index = Number(element('class').value);
  const mapped = page.map && element('with-map').checked;
  const { width, height, rgb } = mapped ? player.overlay(picture, player.map(features, index)) : picture;
  const canvas = Object.assign(element('picture'), { width, height });
  const pixels = new ImageData(width, height);
  for (let from = 0, to = 0; to < pixels.data.length; to++) pixels.data[to] = to % 4 === 3 ? 255 : rgb[from++];
  canvas.getContext('2d').putImageData(pixels, 0, 0);
  const top = topOf(probabilities);
  const shows = mapped ? `, coloured where it speaks for ${classes[index]}` : '';
  canvas.setAttribute('aria-label', `${nameOf(file)}${shows}`);
  element('caption').textContent = nameOf(file);
  element('chances').replaceChildren(
    ...[...probabilities].map((value, at) => {
      const item = make('li', { className: at === top ? 'top' : '' }, make('span', {}, classes[at]), make('span', {}, value.toFixed(4)));
      item.style.setProperty('--share-of', `${100 * value}%`);
      return item;
    }),
  );
  element('shown').hidden = false;
}

/** The table that `ocellus predict --format csv` prints; what could not be classified is not in it. */
function csv() {
  const quoted = (text) => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
  const positive = (probabilities) => (thresholds.length > 0 ? [positives(probabilities).join('|')] : []);
  const line = ({ file, probabilities }) => [
    nameOf(file), classes[topOf(probabilities)], ...[...probabilities].map(shortest), ...positive(probabilities),
  ];
  const head = ['filename', 'predicted', ...classes, ...(thresholds.length > 0 ? ['positive'] : [])];
  const lines = [head, ...rows.filter((row) => row.probabilities).map(line)];
  return lines.map((cells) => cells.map(quoted).join(',') + '\n').join('');
}

/** The fewest digits that give an f32 back. */
function shortest(value) {
  let digits = 6;
  while (Math.fround(Number(value.toPrecision(digits))) !== value) digits += 1;
  return String(Number(value.toPrecision(digits)));
}

function save() {
  const link = make('a', { href: URL.createObjectURL(new Blob([csv()], { type: 'text/csv' })), download: 'predictions.csv' });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

function clear() {
  rows.length = waiting.length = done = 0;
  chosen = null;
  element('rows').replaceChildren();
  element('found').hidden = element('shown').hidden = true;
  say('Ready.');
}

// 4. The doctor ------------------------------------------------------------------------------------------------------------

async function prove() {
  element('examine').disabled = true;
  const examined = (text) => (element('examined').textContent = text);
  try {
    const { cases } = page;
    const rows = await examine(cases, player.device, async (done) => {
      examined(`${done} of ${cases.length} cases`);
      await new Promise((resolve) => setTimeout(resolve));
    });
    const verdict = ({ faults }) => (faults.length === 0 ? 'ok' : 'WRONG');
    const line = (row) => [row.kernel, String(row.cases), row.worst.toFixed(3), row.rms.toFixed(3), verdict(row)];
    element('verdicts').replaceChildren(table(['kernel', 'cases', 'worst error', 'worst rms', 'verdict'], rows.map(line)));
    element('verdicts').hidden = false;
    const faults = rows.flatMap((row) => row.faults);
    examined(faults.length === 0 ? 'Everything passed. Errors are shares of their bounds.' : `FAILED: ${faults.join('; ')}`);
    if (faults.length > 0) giveUp(new Problem('A kernel is wrong on this device. Nothing is classified here.'));
  } catch (error) {
    giveUp(error);
  }
  element('examine').disabled = false;
}

function table(heads, lines) {
  const cells = (texts, name, properties) => texts.map((textContent) => make(name, { ...properties, textContent }));
  return make('table', {},
    make('thead', {}, make('tr', {}, ...cells(heads, 'th', { scope: 'col' }))),
    make('tbody', {}, ...lines.map((texts) => make('tr', {}, ...cells(texts, 'td')))));
}

// 5. About -----------------------------------------------------------------------------------------------------------------

function describe() {
  const [height, width] = page.image;
  const date = new Date(1000 * about.exported).toISOString().slice(0, 10);
  element('title').textContent = about.title;
  element('subtitle').textContent = `Classifies photographs into ${classes.length} classes: ${classes.join(', ')}.`;
  const chances = thresholds.map((t) => `${t.class} from ${t.probability.toFixed(4)} (${t.goal})`).join('; ');
  const facts = [
    ['Network', `${about.network}, width ${about.width}, ${about.parameters.toLocaleString('en')} parameters, epoch ${about.epoch}`],
    ['Input', `${height} x ${width} pixels (height x width), resized by ${page.resize}`],
    ['Weights', about.exact ? 'as trained, f32' : 'kernels in half precision, the rest f32; sums are f32'],
    ['Temperature', about.temperature?.toFixed(4)],
    ['Positive', chances],
    ['Maps', page.map ? 'exact: their mean is the logit of their class' : 'none: more than dense layers follow the last pooling'],
    ['Made by', `${about.program} on ${date}`],
  ];
  for (const [name, text] of facts.filter(([, text]) => text)) {
    element('facts').append(make('dt', { textContent: name }), make('dd', { textContent: text }));
  }
  if (about.figures) element('figures').append(...figures(about.figures));
  element('heads').append(
    ...['File', 'Class', ...(thresholds.length > 0 ? ['Positive'] : []), ...classes].map((head, index) =>
      make('th', { scope: 'col', className: index < 2 ? 'text' : '', textContent: head }),
    ),
  );
  element('class').append(...classes.map((name, value) => make('option', { value, textContent: name })));
  element('map-choice').hidden = !page.map;
}

/** How well the network did on photographs that it was not trained on. */
function figures({ values, outdated, overall, perClass }) {
  const shown = ({ value, interval }) =>
    value === null ? '–' : value.toFixed(3) + (interval ? ` (${interval.map((end) => end.toFixed(3)).join('–')})` : '');
  const wide = (heads, lines) => make('div', { className: 'wide', tabIndex: 0 }, table(heads, lines));
  const { resamples, persons } = values.bootstrap;
  const how = resamples > 0 ? ` In parentheses: 95 % intervals, from ${resamples} bootstrap resamples.` : '';
  const later = outdated ? ' They were measured before temperature or thresholds were chosen.' : '';
  const one = (key, title) => [title, shown(values[key])];
  const ofClass = (name) => [name, String(values.classes[name].support), ...perClass.map(([key]) => shown(values.classes[name][key]))];
  return [
    make('details', {},
      make('summary', {}, `Figures: ${one(...overall[0]).join(' ')} on photographs of ${persons} persons`),
      make('p', { textContent: `From the run's own test.${how}${later}` }),
      wide(['figure', 'value'], overall.map(([key, title]) => one(key, title))),
      wide(['class', 'photographs', ...perClass.map(([, title]) => title)], Object.keys(values.classes).map(ofClass))),
  ];
}

// 6. What a person does ----------------------------------------------------------------------------------------------------

for (const id of ['files', 'folder', 'camera']) {
  element(id).addEventListener('change', ({ target }) => {
    const files = [...target.files];
    target.value = '';
    if (files.length > 0) add(files, id === 'folder');
  });
}
const drop = element('drop');
const isOver = (over) => (event) => {
  event.preventDefault();
  drop.classList.toggle('over', over);
};
drop.addEventListener('dragover', isOver(true));
drop.addEventListener('dragleave', isOver(false));
drop.addEventListener('drop', (event) => {
  isOver(false)(event);
  addDropped([...event.dataTransfer.items].filter((item) => item.kind === 'file'));
});
// A photograph that misses the zone must not replace the page.
for (const type of ['dragover', 'drop']) addEventListener(type, (event) => event.preventDefault());
element('stop').addEventListener('click', () => (waiting.length = 0));
element('restart').addEventListener('click', start);
element('examine').addEventListener('click', prove);
element('save').addEventListener('click', save);
element('clear').addEventListener('click', clear);
element('class').addEventListener('change', draw);
element('with-map').addEventListener('change', draw);

describe();
start();
