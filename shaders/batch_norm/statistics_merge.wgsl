// Batch norm, statistics of the whole batch from those of its blocks, and the moving averages:
//   moving mean     = MOMENTUM * moving mean     + (1 - MOMENTUM) * mean
//   moving variance = MOMENTUM * moving variance + (1 - MOMENTUM) * variance * n / (n - 1)
// The variance that normalises is the biased one (/ n); only the moving one is Bessel-corrected, as in Keras.
//
// A thread merges the blocks of four channels in order.
// Host: ops/batch_norm/steps.rs::statistics. Twin: ops/batch_norm/twin.rs::{statistics, moving}.
// Test: tests/batch_norm.rs::statistics.
// Uses: lib/each.wgsl, lib/moments.wgsl

struct Parameters {
    columns4: u32,
    blocks: u32,
}

@group(0) @binding(0) var<storage, read> partial: array<vec4<f32>>; // [block][count, mean, m2][column4]
@group(0) @binding(1) var<storage, read_write> statistics: array<vec4<f32>>; // [mean, variance][column4]
@group(0) @binding(2) var<storage, read_write> moving: array<vec4<f32>>;     // [mean, variance][column4]
@group(0) @binding(3) var<uniform> parameters: Parameters;

const ONE_MINUS_MOMENTUM: f32 = 0.01f; // from the host: in f32, 1 - 0.99 is off by eight units in the last place
const WORKGROUP: u32 = 64u;

fn each(column4: u32) {
    let columns4 = parameters.columns4;
    if column4 >= columns4 {
        return;
    }
    var all = Moments(0.0, vec4(0.0), vec4(0.0));
    for (var block = 0u; block < parameters.blocks; block++) {
        let first = block * 3u * columns4 + column4;
        all = merge(all, Moments(partial[first].x, partial[first + columns4], partial[first + 2u * columns4]));
    }
    let unbiased = all.m2 / max(all.count - 1.0, 1.0);
    statistics[column4] = all.mean;
    statistics[columns4 + column4] = all.m2 / all.count;
    moving[column4] += (all.mean - moving[column4]) * ONE_MINUS_MOMENTUM;
    moving[columns4 + column4] += (unbiased - moving[columns4 + column4]) * ONE_MINUS_MOMENTUM;
}
