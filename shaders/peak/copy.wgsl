// Peak of memory:  y[i] = x[i], over more than the caches hold.
//
// A thread copies one vec4.
// Host: ops/peak/gpu.rs::copy. Twin: ops/peak/cpu.rs::copy. Test: tests/peak.rs::copy.
// Uses: lib/grid.wgsl

@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read_write> y: array<vec4<f32>>;

const COUNT4: u32 = 1u;
const WORKGROUP: u32 = 64u;

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let index = group_index(group, groups) * WORKGROUP + thread;
    if index < COUNT4 {
        y[index] = x[index];
    }
}
