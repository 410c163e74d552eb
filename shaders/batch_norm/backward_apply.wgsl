// Batch norm, backward, second pass: the gradient goes through the mean and the variance too,
//   dx = gamma / sqrt(variance + EPSILON) * (dy - dbeta / n - xhat * dgamma / n)
// where xhat = (x - mean) / sqrt(variance + EPSILON), n = rows of the whole batch, and dy counts only where y > 0 when
// RELU follows.
//
// A thread computes one vec4. One dispatch a batch window.
// Host: ops/batch_norm/gpu.rs::backward. Twin: ops/batch_norm/cpu.rs::backward. Test: tests/batch_norm.rs::backward.
// Uses: lib/grid.wgsl

@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> y: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> dy: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> statistics: array<vec4<f32>>; // [mean, variance][column4]
@group(0) @binding(4) var<storage, read> gamma: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read> dgamma: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read> dbeta: array<vec4<f32>>;
@group(0) @binding(7) var<storage, read_write> dx: array<vec4<f32>>;

const ROWS: u32 = 1u;      // of this window
const BATCH_ROWS: u32 = 1u; // of the whole batch
const COLUMNS4: u32 = 1u;
const RELU: bool = false;
const EPSILON: f32 = 1e-3f;
const WORKGROUP: u32 = 256u;

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let index = group_index(group, groups) * WORKGROUP + thread;
    if index >= ROWS * COLUMNS4 {
        return;
    }
    let c = index % COLUMNS4;
    var gradient = dy[index];
    if RELU {
        gradient = select(vec4(0.0), gradient, y[index] > vec4(0.0));
    }
    let inverse_deviation = 1.0 / sqrt(statistics[COLUMNS4 + c] + EPSILON);
    let xhat = (x[index] - statistics[c]) * inverse_deviation;
    let through_statistics = (dbeta[c] + xhat * dgamma[c]) / f32(BATCH_ROWS);
    dx[index] = gamma[c] * inverse_deviation * (gradient - through_statistics);
}
