// Dense layer, gradient of the input:  dx[b, i] = sum over o of dy[b, o] * w[i, o]
//
// A matrix product with M = BATCH rows, N = inputs, a sum of 1 x 1 x outputs; the weights hold the transpose of its
// right factor.
// Host: ops/dense/steps.rs::data_gradient. Twin: ops/dense/twin.rs::data_gradient. Test: tests/dense.rs::data_gradient.
// Uses: lib/gemm.wgsl or lib/gemm_subgroup.wgsl

@group(0) @binding(0) var<storage, read> grad_y: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> weights: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> grad_x: array<vec4<f32>>;

fn reach(first_row: u32, last_row: u32) -> vec4<u32> {
    return vec4(0u, U, 0u, V);
}

fn load_a(row: u32, u: u32, v: u32, w4: u32) -> vec4<f32> {
    return grad_y[row * (W / 4u) + w4];
}

fn load_b(i: u32, u: u32, v: u32, w4: u32) -> vec4<f32> {
    return weights[i * (W / 4u) + w4];
}

fn start(n4: u32) -> vec4<f32> {
    return vec4(0.0);
}

fn store(split: u32, row: u32, n4: u32, value: vec4<f32>) {
    grad_x[(split * M + row) * N4 + n4] = value;
}
