// Transposes each of a stack of matrices:  y[s, column, row] = x[s, row, column]
//
// A thread moves a block of 4 x 4 numbers. It turns weights round once a step, so that the data gradients of
// convolution and dense layers load four columns as one vec4.
// Host: ops/transpose.rs::forward. Twins: those of the data gradients. Test: tests/transpose.rs::forward.
// Uses: lib/grid.wgsl

@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read_write> y: array<vec4<f32>>;

const STACK: u32 = 1u;
const ROWS4: u32 = 1u;
const COLUMNS4: u32 = 1u;
const WORKGROUP: u32 = 64u;

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let index = group_index(group, groups) * WORKGROUP + thread;
    if index >= STACK * ROWS4 * COLUMNS4 {
        return;
    }
    let row4 = index / COLUMNS4 % ROWS4;
    let column4 = index % COLUMNS4;
    let base = index / (ROWS4 * COLUMNS4) * ROWS4 * COLUMNS4 * 4u;
    var block: mat4x4<f32>;
    for (var i = 0u; i < 4u; i++) {
        block[i] = x[base + (row4 * 4u + i) * COLUMNS4 + column4];
    }
    block = transpose(block);
    for (var i = 0u; i < 4u; i++) {
        y[base + (column4 * 4u + i) * ROWS4 + row4] = block[i];
    }
}
