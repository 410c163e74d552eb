// Batch norm, backward, second pass: the gradient goes through the mean and the variance too,
//   dx = gamma / sqrt(variance + EPSILON) * (g - dbeta / n - xhat * dgamma / n)
// where xhat = (x - mean) / sqrt(variance + EPSILON), n = rows of the whole batch, and g is dy of its cell
// (lib/cells.wgsl) at the pixel that the max pool let through, as in the first pass, and 0 at the others and where a
// ReLU's y is 0.
//
// A thread computes one vec4 of the pixels of CELLS_PER_THREAD cells, so that what belongs to the channels is loaded once
// for all of them. The pixels past the last whole cell of a row or column are cells of their own, without a dy. One
// dispatch per batch window.
// Host: ops/batch_norm/steps.rs::apply. Twin: ops/batch_norm/twin.rs::{follow_backward, backward}.
// Test: tests/batch_norm.rs::backward.
// Uses: lib/each.wgsl, lib/cells.wgsl

@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> y: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> grad_y: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> statistics: array<vec4<f32>>; // [mean, variance][column4]
@group(0) @binding(4) var<storage, read> gamma: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read> grad_gamma: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read> grad_beta: array<vec4<f32>>;
@group(0) @binding(7) var<storage, read_write> grad_x: array<vec4<f32>>;

const CELLS: u32 = 1u;      // of this window, ragged ones included
const BATCH_ROWS: u32 = 1u; // of the whole batch
const COLUMNS4: u32 = 1u;
const CELLS_PER_THREAD: u32 = 8u;
const RELU: bool = false;
const EPSILON: f32 = 1e-3f;
const WORKGROUP: u32 = 256u;

const RAGGED: bool = HEIGHT % WINDOW_HEIGHT + WIDTH % WINDOW_WIDTH != 0u;
const CELL_ROWS: u32 = (HEIGHT + WINDOW_HEIGHT - 1u) / WINDOW_HEIGHT; // of an image
const CELL_COLUMNS: u32 = (WIDTH + WINDOW_WIDTH - 1u) / WINDOW_WIDTH;

fn each(index: u32) {
    let first = index / COLUMNS4 * CELLS_PER_THREAD;
    let c = index % COLUMNS4;
    let mean = statistics[c];
    let way = sign(gamma[c]);
    let inverse_deviation = 1.0 / sqrt(statistics[COLUMNS4 + c] + EPSILON);
    let scale = gamma[c] * inverse_deviation;
    let through_mean = grad_beta[c] / f32(BATCH_ROWS);
    let through_variance = grad_gamma[c] / f32(BATCH_ROWS);
    for (var i = first; i < min(first + CELLS_PER_THREAD, CELLS); i++) {
        let at = cell(i, CELL_ROWS, CELL_COLUMNS);
        var gradient = vec4(0.0);
        if !RAGGED || (at.row < OUT_HEIGHT && at.column < OUT_WIDTH) {
            gradient = grad_y[output(at) * COLUMNS4 + c];
            if RELU {
                gradient = select(vec4(0.0), gradient, y[output(at) * COLUMNS4 + c] > vec4(0.0));
            }
        }
        var pixels: array<vec4<f32>, PIXELS>;
        var best = vec4(0.0);
        var winner = vec4(0u);
        for (var p = 0u; p < PIXELS; p++) {
            if outside(at, p) {
                continue;
            }
            pixels[p] = x[pixel(at, p) * COLUMNS4 + c];
            let wins = vec4(p == 0u) | (pixels[p] * way > best);
            best = select(best, pixels[p] * way, wins);
            winner = select(winner, vec4(p), wins);
        }
        for (var p = 0u; p < PIXELS; p++) {
            if outside(at, p) {
                continue;
            }
            let xhat = (pixels[p] - mean) * inverse_deviation;
            let let_through = select(vec4(0.0), gradient, winner == vec4(p));
            grad_x[pixel(at, p) * COLUMNS4 + c] = scale * (let_through - through_mean - xhat * through_variance);
        }
    }
}

// Whether the image ends before pixel i of a cell.
fn outside(at: Cell, i: u32) -> bool {
    let below = at.row * WINDOW_HEIGHT + i / WINDOW_WIDTH >= HEIGHT;
    let beside = at.column * WINDOW_WIDTH + i % WINDOW_WIDTH >= WIDTH;
    return RAGGED && (below || beside);
}
