// Proves the page's kernels on this device, as `ocellus doctor` does: each case's results against those of the f64 twins.
'use strict';

/** The rows of the doctor's table; `progress` gets the number of cases done. */
async function examine(cases, device, progress) {
  const rows = new Map();
  for (const [number, { kernel, about, plan, rounds }] of cases.entries()) {
    const row = rows.get(kernel) ?? { kernel, cases: 0, worst: 0, rms: 0, faults: [] };
    rows.set(kernel, row);
    row.cases += 1;
    const player = await Player.open({ plan: { ...plan, weights: [] } }, new Uint8Array(), device);
    for (const { numbers, weights, bytes, nan, results } of rounds) {
      player.upload(weights, fromBase64(bytes));
      const found = await player.run(results.map((result) => result.buffer));
      for (const [index, result] of results.entries()) {
        const { worst, rms, fault } = (nan ? judgeNan : judge)(found[index], result);
        row.worst = Math.max(row.worst, worst);
        row.rms = Math.max(row.rms, rms);
        if (fault) row.faults.push(`${kernel}: ${about}, ${numbers}: ${result.name}: ${fault}`);
      }
    }
    await progress(number + 1);
  }
  return [...rows.values()];
}

const doubles = (text) => new Float64Array(fromBase64(text).buffer);

/** The largest error and the root mean square of all as shares of their bounds. A NaN is in no bounds. */
function judge(got, { want, bound, rms }) {
  const [expected, bounds] = [doubles(want), doubles(bound)];
  let [worst, squares, count, outside] = [0, 0, 0, 0];
  bounds.forEach((most, at) => {
    if (most < 0) return; // padding
    const error = Math.abs(got[at] - expected[at]);
    count += 1;
    squares += error * error;
    if (!(error <= most)) outside += 1;
    if (error !== 0) worst = Math.max(worst, error / most);
  });
  const mean = Math.sqrt(squares / count);
  const inside = count > 0 && outside === 0 && mean <= rms;
  const fault = inside ? null : `${outside} of ${count} entries out of bounds; root mean square ${mean}, bound ${rms}`;
  return { worst, rms: mean === 0 ? 0 : mean / rms, fault };
}

/** NaN exactly where the twins have it. */
function judgeNan(got, { want, bound }) {
  const [expected, bounds] = [doubles(want), doubles(bound)];
  const wrong = expected.filter((number, at) => bounds[at] >= 0 && isNaN(number) !== isNaN(got[at]));
  const fault = wrong.length > 0 || !expected.some(isNaN) ? `NaN is elsewhere at ${wrong.length} entries` : null;
  return { worst: 0, rms: 0, fault };
}
