// Whether a tensor holds a number that training must not go on with:
//   flags[flag] = 1 if any |x| >= 2^64, or x is NaN; else it stays as it is
//
// A workgroup tests ROUNDS * WORKGROUP vec4s, side by side in each round.
// Host: ops/guard/steps.rs::check. Twin: ops/guard/twin.rs::unusable. Test: tests/guard.rs::check.
// Uses: lib/grid.wgsl, lib/usable.wgsl

struct Parameters {
    count4: u32, // vec4s of the tensor
    flag: u32,   // number of its flag
}

@group(0) @binding(0) var<storage, read> values: array<vec4<u32>>; // the bits of f32
@group(0) @binding(1) var<storage, read_write> flags: array<atomic<u32>>;
@group(0) @binding(2) var<uniform> parameters: Parameters;

const ROUNDS: u32 = 16u;
const WORKGROUP: u32 = 256u;

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let first = group_index(group, groups) * ROUNDS * WORKGROUP + thread;
    var largest = vec4(0u);
    for (var round = 0u; round < ROUNDS; round++) {
        let index = first + round * WORKGROUP;
        if index < parameters.count4 {
            largest = max(largest, magnitude_bits(values[index]));
        }
    }
    if unusable(largest) {
        atomicStore(&flags[parameters.flag], 1u);
    }
}
