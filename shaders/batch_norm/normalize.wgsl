// Batch norm, forward:  y[row, c] = gamma[c] * (x[row, c] - mean[c]) / sqrt(variance[c] + EPSILON) + beta[c]
// then max(y, 0) when RELU, then the maximum of each cell (lib/cells.wgsl): all in one pass over memory.
//
// What follows the normalisation never decreases, nor does rounding: so the cell's largest x gives its largest y, or the
// smallest where gamma is negative, and one value per cell is normalised. Training binds the statistics of the batch,
// inference the moving ones. A thread computes one vec4 of each of CELLS_PER_THREAD cells, so that what belongs to the
// channels is loaded once for all of them.
// Host: ops/batch_norm/steps.rs::normalize. Twin: ops/batch_norm/twin.rs::{normalize, follow}.
// Test: tests/batch_norm.rs::normalize.
// Uses: lib/each.wgsl, lib/cells.wgsl

@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> statistics: array<vec4<f32>>; // [mean, variance][column4]
@group(0) @binding(2) var<storage, read> gamma: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> beta: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> y: array<vec4<f32>>;

const CELLS: u32 = 1u;
const COLUMNS4: u32 = 1u;
const CELLS_PER_THREAD: u32 = 8u;
const RELU: bool = false;
const EPSILON: f32 = 1e-3f;
const WORKGROUP: u32 = 256u;

fn each(index: u32) {
    let first = index / COLUMNS4 * CELLS_PER_THREAD;
    let c = index % COLUMNS4;
    let mean = statistics[c];
    let scale = gamma[c] / sqrt(statistics[COLUMNS4 + c] + EPSILON);
    let shift = beta[c];
    for (var i = first; i < min(first + CELLS_PER_THREAD, CELLS); i++) {
        let at = cell(i, OUT_HEIGHT, OUT_WIDTH);
        var best = x[pixel(at, 0u) * COLUMNS4 + c];
        for (var p = 1u; p < PIXELS; p++) {
            let candidate = x[pixel(at, p) * COLUMNS4 + c];
            best = select(max(best, candidate), min(best, candidate), scale < vec4(0.0));
        }
        let value = (best - mean) * scale + shift;
        if RELU {
            y[i * COLUMNS4 + c] = select(value, vec4(0.0), value < vec4(0.0)); // keeps NaN, which max may not
        } else {
            y[i * COLUMNS4 + c] = value;
        }
    }
}
