// Adds partial sums up in order:  total[i] = sum over p of partial[p * STRIDE4 + OFFSET4 + i]
// and, when ONTO_TOTAL, what total[i] held before.
//
// A thread adds one vec4. The order never depends on the device, so the same partial sums give the same bits.
// Host: ops/sum.rs::merge. Twins: those of the reductions that end here. Test: tests/sum.rs::merge.
// Uses: lib/grid.wgsl

@group(0) @binding(0) var<storage, read> partial: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read_write> total: array<vec4<f32>>;

const PARTS: u32 = 1u;
const STRIDE4: u32 = 1u;
const OFFSET4: u32 = 0u;
const COUNT4: u32 = 1u;
const ONTO_TOTAL: bool = false;
const WORKGROUP: u32 = 64u;

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let index = group_index(group, groups) * WORKGROUP + thread;
    if index >= COUNT4 {
        return;
    }
    var sum = partial[OFFSET4 + index];
    for (var part = 1u; part < PARTS; part++) {
        sum += partial[part * STRIDE4 + OFFSET4 + index];
    }
    if ONTO_TOTAL {
        sum += total[index];
    }
    total[index] = sum;
}
