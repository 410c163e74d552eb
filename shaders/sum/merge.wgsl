// Adds partial sums up in order:  total[first4 + i] = sum over p of partial[p * stride4 + offset4 + i]
// and, when ONTO_TOTAL, what total[first4 + i] held before.
//
// A few threads share a vec4 (lib/total.wgsl).
// Host: ops/sum.rs::step. Twins: those of the reductions that end here. Test: tests/sum.rs::merge.
// Uses: lib/total.wgsl

struct Parameters {
    parts: u32,
    stride4: u32,
    offset4: u32,
    count4: u32,
    first4: u32,
}

@group(0) @binding(0) var<storage, read> partial: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read_write> total: array<vec4<f32>>;
@group(0) @binding(2) var<uniform> parameters: Parameters;

const ONTO_TOTAL: bool = false;

fn parts() -> u32 {
    return parameters.parts;
}

fn columns4() -> u32 {
    return parameters.count4;
}

fn load(part: u32, column4: u32) -> vec4<f32> {
    return partial[part * parameters.stride4 + parameters.offset4 + column4];
}

fn store(column4: u32, sum: vec4<f32>) {
    var all = sum;
    if ONTO_TOTAL {
        all += total[parameters.first4 + column4];
    }
    total[parameters.first4 + column4] = all;
}
