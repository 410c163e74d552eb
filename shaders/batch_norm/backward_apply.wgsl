// Batch norm, backward, second pass: the gradient goes through the mean and the variance too,
//   dx = gamma / sqrt(variance + EPSILON) * (dy - dbeta / n - xhat * dgamma / n)
// where xhat = (x - mean) / sqrt(variance + EPSILON), n = rows of the whole batch, and dy counts only where y > 0 when
// RELU follows.
//
// A thread computes one vec4 of each of ROWS_PER_THREAD rows, so that what belongs to the channels is loaded once for all
// of them. One dispatch a batch window.
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
const ROWS_PER_THREAD: u32 = 8u;
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
    let first = index / COLUMNS4 * ROWS_PER_THREAD;
    let c = index % COLUMNS4;
    let mean = statistics[c];
    let inverse_deviation = 1.0 / sqrt(statistics[COLUMNS4 + c] + EPSILON);
    let scale = gamma[c] * inverse_deviation;
    let through_mean = dbeta[c] / f32(BATCH_ROWS);
    let through_variance = dgamma[c] / f32(BATCH_ROWS);
    for (var row = first; row < min(first + ROWS_PER_THREAD, ROWS); row++) {
        let at = row * COLUMNS4 + c;
        var gradient = dy[at];
        if RELU {
            gradient = select(vec4(0.0), gradient, y[at] > vec4(0.0));
        }
        let xhat = (x[at] - mean) * inverse_deviation;
        dx[at] = scale * (gradient - through_mean - xhat * through_variance);
    }
}
