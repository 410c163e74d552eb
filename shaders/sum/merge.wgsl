// Adds partial sums up in order:  total[i] = sum over p of partial[p * stride4 + offset4 + i]
// and, when ONTO_TOTAL, what total[i] held before.
//
// A few threads share a vec4 (lib/parts.wgsl).
// Host: ops/sum.rs::step. Twins: those of the reductions that end here. Test: tests/sum.rs::merge.
// Uses: lib/grid.wgsl, lib/parts.wgsl

struct Parameters {
    parts: u32,
    stride4: u32,
    offset4: u32,
    count4: u32,
}

@group(0) @binding(0) var<storage, read> partial: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read_write> total: array<vec4<f32>>;
@group(0) @binding(2) var<uniform> parameters: Parameters;

const ONTO_TOTAL: bool = false;

var<workgroup> shared_sum: array<vec4<f32>, WORKGROUP>;

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let at = share(group_index(group, groups), thread);
    let within = at.column < parameters.count4;
    var sum = vec4(0.0);
    if within {
        for (var part = at.lane; part < parameters.parts; part += LANES) {
            sum += partial[part * parameters.stride4 + parameters.offset4 + at.column];
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
        var all = shared_sum[thread];
        if ONTO_TOTAL {
            all += total[at.column];
        }
        total[at.column] = all;
    }
}
