// The main of kernels that add up partial sums and do nothing else: as a tree, a few threads for a vec4 (lib/parts.wgsl).
//
// The kernel that uses it supplies
//   parts(), columns4()      parts of a result, and vec4s of results
//   load(part, column4)      a partial sum
//   store(column4, sum)
// Host: ops/parts.rs. Tests: tests/sum.rs, tests/batch_norm.rs::backward.
// Uses: lib/grid.wgsl, lib/parts.wgsl

var<workgroup> shared_sum: array<vec4<f32>, WORKGROUP>;

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let at = share(group_index(group, groups), thread);
    let within = at.column < columns4();
    var sum = vec4(0.0);
    if within {
        for (var part = at.lane; part < parts(); part += LANES) {
            sum += load(part, at.column);
        }
    }
    shared_sum[thread] = sum;
    for (var step = LANES / 2u; step > 0u; step /= 2u) {
        workgroupBarrier();
        if at.lane < step {
            shared_sum[thread] += shared_sum[thread + step * COLUMNS];
        }
    }
    if within && at.lane == 0u {
        store(at.column, shared_sum[thread]);
    }
}
