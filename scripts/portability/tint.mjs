// Strict check of WGSL files by Tint, the compiler of Chromium's WebGPU, through npm's `webgpu` (Dawn): uniformity of
// barriers and subgroup operations, aliasing, constants. One line a file that is refused; status 1 if there is one.
// usage: VK_DRIVER_FILES=ICD.json node tint.mjs NODE_MODULES FILE.wgsl...
import fs from 'node:fs';
import { pathToFileURL } from 'node:url';

const [modules, ...files] = process.argv.slice(2);
const { create, globals } = await import(pathToFileURL(`${modules}/webgpu/index.js`));
Object.assign(globalThis, globals);
globalThis.gpu = create([]); // Dawn aborts when this is collected
const adapter = await gpu.requestAdapter();
if (!adapter) throw new Error('Dawn finds no adapter');
const device = await adapter.requestDevice({ requiredFeatures: ['subgroups'].filter(name => adapter.features.has(name)) });

let refused = 0;
for (const file of files) {
  const source = fs.readFileSync(file, 'utf8');
  // Tint wants this line, and naga refuses it.
  const code = (/\bsubgroup[A-Z]/.test(source) ? 'enable subgroups;\n' : '') + source;
  device.pushErrorScope('validation');
  const module = device.createShaderModule({ code });
  const error = await device.popErrorScope();
  const { messages } = await module.getCompilationInfo();
  const faults = messages.filter(message => message.type !== 'info').map(m => `${m.lineNum}:${m.linePos} ${m.message}`);
  if (error && !faults.length) faults.push(error.message);
  if (faults.length) {
    refused++;
    console.log(`${file}: ${faults.join('; ')}`);
  }
}
console.log(`${files.length - refused} of ${files.length} accepted by Tint`);
process.exit(refused ? 1 : 0);
