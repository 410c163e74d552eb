// The main of kernels whose threads do one thing each, most often a vec4 of an output: each(i) for every i below COUNT.
//
// The kernel that uses it supplies each(i: u32) and WORKGROUP, the threads of a workgroup. Where the count is one of its
// parameters, so that layers share a module, COUNT stays as it is and each(i) compares i with the parameter itself.
// Host: engine/shader.rs. Test: tests/relu.rs.
// Uses: lib/grid.wgsl

const COUNT: u32 = 0xffffffffu; // from the host

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let i = group_index(group, groups) * WORKGROUP + thread;
    if i < COUNT {
        each(i);
    }
}
