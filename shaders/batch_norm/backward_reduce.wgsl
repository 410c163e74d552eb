// Batch norm, backward, first pass: block by block of cells (lib/cells.wgsl),
//   sums of dy[cell, c] * xhat[winner, c] (they make dgamma) and of dy[cell, c] (they make dbeta),
// where xhat = (x - mean) / sqrt(variance + EPSILON), dy counts only where y > 0 when RELU follows, and the winner is the
// pixel of the cell that a max pool let through: the first of the largest x, or of the smallest where gamma is negative.
//
// A workgroup reduces one block (lib/columns.wgsl, whose rows are cells here); backward_merge.wgsl adds the blocks up.
// Host: ops/batch_norm/steps.rs::backward. Twin: ops/batch_norm/twin.rs::{follow_backward, backward}.
// Test: tests/batch_norm.rs::backward.
// Uses: lib/grid.wgsl, lib/columns.wgsl, lib/cells.wgsl

@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> y: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> grad_y: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> statistics: array<vec4<f32>>; // [mean, variance][column4]
@group(0) @binding(4) var<storage, read> gamma: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> partial: array<vec4<f32>>; // [block][grad_gamma, grad_beta][column4]

const RELU: bool = false;
const EPSILON: f32 = 1e-3f;

var<workgroup> shared_grad_gamma: array<vec4<f32>, WORKGROUP>;
var<workgroup> shared_grad_beta: array<vec4<f32>, WORKGROUP>;

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let at = place(group_index(group, groups), thread);
    let c = min(at.column4, COLUMNS4 - 1u);
    let mean = statistics[c];
    let way = sign(gamma[c]);
    var grad_gamma = vec4(0.0);
    var grad_beta = vec4(0.0);
    var row = at.first_row;
    for (; row + 2u <= at.end_row; row += 2u) {
        // The loads of two cells on their way at once.
        let a = of_cell(row, at.column4, way);
        let b = of_cell(row + 1u, at.column4, way);
        grad_gamma += a.gradient * (a.winner - mean) + b.gradient * (b.winner - mean);
        grad_beta += a.gradient + b.gradient;
    }
    if row < at.end_row {
        let last = of_cell(row, at.column4, way);
        grad_gamma += last.gradient * (last.winner - mean);
        grad_beta += last.gradient;
    }
    shared_grad_gamma[thread] = grad_gamma;
    shared_grad_beta[thread] = grad_beta;
    for (var step = 1u; step < LANES; step *= 2u) {
        workgroupBarrier();
        if at.lane % (2u * step) == 0u && at.lane + step < LANES {
            shared_grad_gamma[thread] += shared_grad_gamma[thread + step * TILE4];
            shared_grad_beta[thread] += shared_grad_beta[thread + step * TILE4];
        }
    }
    if writes_result(at) {
        let to = (FIRST_BLOCK + at.block) * 2u * COLUMNS4 + at.column4;
        partial[to] = shared_grad_gamma[thread] / sqrt(statistics[COLUMNS4 + c] + EPSILON);
        partial[to + COLUMNS4] = shared_grad_beta[thread];
    }
}

// The gradient of a cell's output where a ReLU let it through, and the pixel that a max pool let through.
struct Through {
    gradient: vec4<f32>,
    winner: vec4<f32>,
}

fn of_cell(row: u32, column4: u32, way: vec4<f32>) -> Through {
    let index = row * COLUMNS4 + column4;
    var gradient = grad_y[index];
    if RELU {
        gradient = select(vec4(0.0), gradient, y[index] > vec4(0.0));
    }
    let here = cell(row, OUT_HEIGHT, OUT_WIDTH);
    var best = x[pixel(here, 0u) * COLUMNS4 + column4];
    for (var p = 1u; p < PIXELS; p++) {
        let candidate = x[pixel(here, p) * COLUMNS4 + column4];
        best = select(best, candidate, candidate * way > best * way);
    }
    return Through(gradient, best);
}
