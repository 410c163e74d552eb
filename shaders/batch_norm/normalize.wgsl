// Batch norm, forward:  y[row, c] = gamma[c] * (x[row, c] - mean[c]) / sqrt(variance[c] + EPSILON) + beta[c]
// and max(y, 0) when RELU: the two are one pass over memory.
//
// Training binds the statistics of the batch, inference the moving ones. A thread computes one vec4.
// Host: ops/batch_norm/gpu.rs::normalize. Twin: ops/batch_norm/cpu.rs::normalize. Test: tests/batch_norm.rs::normalize.
// Uses: lib/grid.wgsl

@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> statistics: array<vec4<f32>>; // [mean, variance][column4]
@group(0) @binding(2) var<storage, read> gamma: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> beta: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> y: array<vec4<f32>>;

const ROWS: u32 = 1u;
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
    let scale = gamma[c] / sqrt(statistics[COLUMNS4 + c] + EPSILON);
    let value = (x[index] - statistics[c]) * scale + beta[c];
    if RELU {
        // Not max(value, 0), which may be 0 where the value is NaN: that would hide it from the loss.
        y[index] = select(value, vec4(0.0), value < vec4(0.0));
    } else {
        y[index] = value;
    }
}
