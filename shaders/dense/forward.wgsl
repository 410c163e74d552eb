// Dense layer, forward:  y[b, o] = bias[o] + sum over i of x[b, i] * w[i, o]
//
// A matrix product with M = BATCH rows, N = outputs, a sum of 1 x 1 x inputs.
// Host: ops/dense/steps.rs::forward. Twin: ops/dense/twin.rs::forward. Test: tests/dense.rs::forward.
// Uses: lib/gemm.wgsl or lib/gemm_subgroup.wgsl

@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> weights: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> bias: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> y: array<vec4<f32>>;

fn reach(first_row: u32, last_row: u32) -> vec4<u32> {
    return vec4(0u, U, 0u, V);
}

fn load_a(row: u32, u: u32, v: u32, w4: u32) -> vec4<f32> {
    return x[row * (W / 4u) + w4];
}

fn load_b(w: u32, u: u32, v: u32, n4: u32) -> vec4<f32> {
    return weights[w * N4 + n4];
}

fn start(n4: u32) -> vec4<f32> {
    return select(bias[n4], vec4(0.0), SPLITS > 1u);
}

fn store(split: u32, row: u32, n4: u32, value: vec4<f32>) {
    y[(split * M + row) * N4 + n4] = value;
}
