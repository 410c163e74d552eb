// Squares of a gradient added up, part by part:
//   partial[first + part] = (sum of g * g over the part, 0, 0, 0)
//
// A workgroup adds ROUNDS * WORKGROUP vec4s, side by side in each round, and then the sums of its threads in a tree.
// Host: ops/clip/steps.rs::clip. Twin: ops/clip/twin.rs::clip. Test: tests/clip.rs::clip.
// Uses: lib/grid.wgsl

struct Parameters {
    count4: u32, // vec4s of the gradient
    first: u32,  // number of its first part
}

@group(0) @binding(0) var<storage, read> gradient: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read_write> partial: array<vec4<f32>>;
@group(0) @binding(2) var<uniform> parameters: Parameters;

const ROUNDS: u32 = 16u;
const WORKGROUP: u32 = 256u;

var<workgroup> shared_sums: array<vec4<f32>, WORKGROUP>;

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let part = group_index(group, groups);
    let first = part * ROUNDS * WORKGROUP;
    var sum = vec4(0.0);
    for (var round = 0u; round < ROUNDS; round++) {
        let index = first + round * WORKGROUP + thread;
        if index < parameters.count4 {
            sum += gradient[index] * gradient[index];
        }
    }
    shared_sums[thread] = sum;
    for (var half = WORKGROUP / 2u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if thread < half {
            shared_sums[thread] += shared_sums[thread + half];
        }
    }
    if thread == 0u && first < parameters.count4 {
        let total = shared_sums[0];
        partial[parameters.first + part] = vec4((total.x + total.y) + (total.z + total.w), 0.0, 0.0, 0.0);
    }
}
