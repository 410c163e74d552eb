// Adds the parts of a product up in order, and a bias:  y[row, c] = bias[c] + sum over p of partial[p][row, c]
//
// A few threads share a vec4 (lib/total.wgsl).
// Host: ops/sum.rs::merge_rows. Twins: those of the products that end here. Test: tests/sum.rs::merge_rows.
// Uses: lib/total.wgsl

struct Parameters {
    parts: u32,
    count4: u32,
    columns4: u32,
}

@group(0) @binding(0) var<storage, read> partial: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> bias: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4<f32>>;
@group(0) @binding(3) var<uniform> parameters: Parameters;

fn parts() -> u32 {
    return parameters.parts;
}

fn columns4() -> u32 {
    return parameters.count4;
}

fn load(part: u32, column4: u32) -> vec4<f32> {
    return partial[part * parameters.count4 + column4];
}

fn store(column4: u32, sum: vec4<f32>) {
    y[column4] = bias[column4 % parameters.columns4] + sum;
}
