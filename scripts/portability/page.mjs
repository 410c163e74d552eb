// Pages that `ocellus export --format web` wrote, run by Dawn outside of a browser: their own player classifies their built-in
// pictures, and stops where it computes other probabilities than the program did. Pictures are decoded here. One line a page
// that is refused; status 1 if there is one.
// usage: VK_DRIVER_FILES=ICD.json node page.mjs NODE_MODULES PAGE.html...
import fs from 'node:fs';
import { pathToFileURL } from 'node:url';
import vm from 'node:vm';
import zlib from 'node:zlib';

const [modules, ...pages] = process.argv.slice(2);
const { create, globals } = await import(pathToFileURL(`${modules}/webgpu/index.js`));
Object.assign(globalThis, globals);
globalThis.instance = create([]); // Dawn aborts when this is collected
Object.defineProperty(globalThis, 'navigator', { value: { gpu: globalThis.instance }, configurable: true });

/** A PNG file of 8 bits and three colours. */
function decode(png) {
  const view = new DataView(png.buffer, png.byteOffset, png.length);
  const [width, height] = [view.getUint32(16), view.getUint32(20)];
  if (view.getUint32(24) >>> 16 !== 0x0802 || png[28] !== 0) throw new Error('a PNG of another kind');
  const parts = [];
  for (let at = 8; at < png.length; at += 12 + view.getUint32(at)) {
    if (png.toString('latin1', at + 4, at + 8) === 'IDAT') parts.push(png.subarray(at + 8, at + 8 + view.getUint32(at)));
  }
  const bytes = zlib.inflateSync(Buffer.concat(parts));
  const row = 3 * width;
  const rgb = new Uint8Array(row * height);
  const at = (y, x) => (y < 0 || x < 0 ? 0 : rgb[y * row + x]);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < row; x++) {
      const [left, above, corner] = [at(y, x - 3), at(y - 1, x), at(y - 1, x - 3)];
      const [toLeft, toAbove, toCorner] = [above - corner, left - corner, left + above - 2 * corner].map(Math.abs);
      const nearest = toLeft <= toAbove && toLeft <= toCorner ? left : toAbove <= toCorner ? above : corner;
      const guess = [0, left, above, (left + above) >> 1, nearest][bytes[y * (row + 1)]];
      rgb[y * row + x] = bytes[y * (row + 1) + 1 + x] + guess;
    }
  }
  return { width, height, rgb };
}

let [refused, worst] = [0, 0];
for (const file of pages) {
  const scripts = [...fs.readFileSync(file, 'utf8').matchAll(/<script([^>]*)>([^]*?)<\/script>/g)];
  const [data, weights, player] = scripts.map(([, , text]) => text);
  const { Player, fromBase64 } = vm.runInThisContext(`(() => {${player}\nreturn { Player, fromBase64 }; })()`);
  try {
    const opened = await Player.open(JSON.parse(data), fromBase64(weights));
    opened.decode = async (blob) => decode(Buffer.from(await blob.arrayBuffer()));
    worst = Math.max(worst, await opened.prove());
  } catch (error) {
    refused++;
    console.log(`${file}: ${error.message}`);
  }
}
console.log(`${pages.length - refused} of ${pages.length} pages compute what the program does, within ${worst.toExponential(1)}`);
process.exit(refused ? 1 : 0);
