// ReLU, forward:  y = max(x, 0)
//
// A thread computes one vec4.
// Host: ops/relu/gpu.rs::forward. Twin: ops/relu/cpu.rs::forward. Test: tests/relu.rs::forward.
// Uses: lib/grid.wgsl

@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read_write> y: array<vec4<f32>>;

const COUNT4: u32 = 1u;
const WORKGROUP: u32 = 256u;

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let index = group_index(group, groups) * WORKGROUP + thread;
    if index < COUNT4 {
        // Not max(x, 0), which may be 0 where x is NaN: that would hide it from the loss.
        y[index] = select(x[index], vec4(0.0), x[index] < vec4(0.0));
    }
}
