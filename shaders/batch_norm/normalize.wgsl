// Batch norm, forward:  y[row, c] = gamma[c] * (x[row, c] - mean[c]) / sqrt(variance[c] + EPSILON) + beta[c]
// and max(y, 0) when RELU: the two are one pass over memory.
//
// Training binds the statistics of the batch, inference the moving ones. A thread computes one vec4 of each of
// ROWS_PER_THREAD rows, so that what belongs to the channels is loaded once for all of them.
// Host: ops/batch_norm/gpu.rs::normalize. Twin: ops/batch_norm/cpu.rs::normalize. Test: tests/batch_norm.rs::normalize.
// Uses: lib/grid.wgsl

@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> statistics: array<vec4<f32>>; // [mean, variance][column4]
@group(0) @binding(2) var<storage, read> gamma: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> beta: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> y: array<vec4<f32>>;

const ROWS: u32 = 1u;
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
    let scale = gamma[c] / sqrt(statistics[COLUMNS4 + c] + EPSILON);
    let shift = beta[c];
    for (var row = first; row < min(first + ROWS_PER_THREAD, ROWS); row++) {
        let at = row * COLUMNS4 + c;
        let value = (x[at] - mean) * scale + shift;
        if RELU {
            y[at] = select(value, vec4(0.0), value < vec4(0.0)); // keeps NaN, which max may not
        } else {
            y[at] = value;
        }
    }
}
