// Dense layer, gradient of the weights:  dw[i, o] = sum over b of x[b, i] * dy[b, o]
//
// A matrix product with M = inputs, N = outputs, a sum of 1 x 1 x BATCH; x is stored as the transpose of its left factor.
// Host: ops/dense/steps.rs::weight_gradient. Twin: ops/dense/twin.rs::weight_gradient.
// Test: tests/dense.rs::weight_gradient.
// Uses: lib/gemm.wgsl or lib/gemm_subgroup.wgsl

@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> grad_y: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> grad_w: array<vec4<f32>>;

fn reach(first_row: u32, last_row: u32) -> vec4<u32> {
    return vec4(0u, U, 0u, V);
}

fn load_a(sample: u32, u: u32, v: u32, row4: u32) -> vec4<f32> {
    return x[sample * (M / 4u) + row4];
}

fn load_b(sample: u32, u: u32, v: u32, n4: u32) -> vec4<f32> {
    return grad_y[sample * N4 + n4];
}

fn start(n4: u32) -> vec4<f32> {
    return vec4(0.0);
}

fn store(split: u32, row: u32, n4: u32, value: vec4<f32>) {
    grad_w[row * N4 + n4] = value;
}
