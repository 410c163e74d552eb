// Batch norm, statistics of the whole batch from those of its blocks, and the moving averages:
//   moving mean     = MOMENTUM * moving mean     + (1 - MOMENTUM) * mean
//   moving variance = MOMENTUM * moving variance + (1 - MOMENTUM) * variance * n / (n - 1)
// The variance that normalises is the biased one (/ n); only the moving one is Bessel-corrected, as in Keras.
//
// A few threads share four channels (lib/parts.wgsl).
// Host: ops/batch_norm/steps.rs::statistics. Twin: ops/batch_norm/twin.rs::{statistics, moving}.
// Test: tests/batch_norm.rs::statistics.
// Uses: lib/grid.wgsl, lib/parts.wgsl, lib/moments.wgsl

struct Parameters {
    columns4: u32,
    blocks: u32,
}

@group(0) @binding(0) var<storage, read> partial: array<vec4<f32>>; // [block][count, mean, m2][column4]
@group(0) @binding(1) var<storage, read_write> statistics: array<vec4<f32>>; // [mean, variance][column4]
@group(0) @binding(2) var<storage, read_write> moving: array<vec4<f32>>;     // [mean, variance][column4]
@group(0) @binding(3) var<uniform> parameters: Parameters;

const ONE_MINUS_MOMENTUM: f32 = 0.01f; // from the host: in f32, 1 - 0.99 is off by eight units in the last place

var<workgroup> shared_moments: array<Moments, WORKGROUP>;

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let at = share(group_index(group, groups), thread);
    let columns4 = parameters.columns4;
    let within = at.column < columns4;
    var own = Moments(0.0, vec4(0.0), vec4(0.0));
    if within {
        for (var block = at.lane; block < parameters.blocks; block += LANES) {
            let first = block * 3u * columns4 + at.column;
            own = merge(own, Moments(partial[first].x, partial[first + columns4], partial[first + 2u * columns4]));
        }
    }
    shared_moments[thread] = own;
    for (var step = LANES / 2u; step > 0u; step /= 2u) {
        workgroupBarrier();
        if at.lane < step {
            shared_moments[thread] = merge(shared_moments[thread], shared_moments[thread + step * COLUMNS]);
        }
    }
    if within && at.lane == 0u {
        let all = shared_moments[thread];
        let unbiased = all.m2 / max(all.count - 1.0, 1.0);
        statistics[at.column] = all.mean;
        statistics[columns4 + at.column] = all.m2 / all.count;
        moving[at.column] += (all.mean - moving[at.column]) * ONE_MINUS_MOMENTUM;
        moving[columns4 + at.column] += (unbiased - moving[columns4 + at.column]) * ONE_MINUS_MOMENTUM;
    }
}
