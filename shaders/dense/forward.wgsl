// Dense layer, forward:  y[b, o] = bias[o] + sum over i of x[b, i] * w[i, o]
//
// A matrix product with M = BATCH rows, N = outputs, K = inputs.
// Host: ops/dense/gpu.rs::forward. Twin: ops/dense/cpu.rs::forward. Test: tests/dense.rs::forward.
// Uses: lib/gemm.wgsl or another core with its interface.

@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> w: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> bias: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> y: array<vec4<f32>>;

fn load_a(row: u32, k4: u32) -> vec4<f32> {
    return x[row * (K / 4u) + k4];
}

fn load_b(k: u32, n4: u32) -> vec4<f32> {
    return w[k * N4 + n4];
}

fn start(n4: u32) -> vec4<f32> {
    return bias[n4];
}

fn store(split: u32, row: u32, n4: u32, value: vec4<f32>) {
    y[row * N4 + n4] = value;
}
