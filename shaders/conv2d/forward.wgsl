// Convolution, forward:  y[b, oy, ox, o] = bias[o] + sum over ky, kx, i of
//                        x[b, oy * STRIDE_Y + ky - PAD_Y, ox * STRIDE_X + kx - PAD_X, i] * w[ky, kx, i, o]
//
// An implicit matrix product: row = output pixel, column = o, and the sum's (u, v, w) = (ky, kx, i). The matrix of
// patches is never stored (lib/patches.wgsl); load_a finds its numbers in x, zeros outside the image. One dispatch per batch
// window.
// Host: ops/conv2d/steps.rs::direct_forward. Twin: ops/conv2d/twin.rs::forward. Test: tests/conv2d.rs::forward.
// Uses: lib/gemm.wgsl or lib/gemm_subgroup.wgsl or lib/gemm_cooperative.wgsl, lib/patches.wgsl

@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> weights: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> bias: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> y: array<vec4<f32>>;

fn load_a(row: u32, ky: u32, kx: u32, i4: u32) -> vec4<f32> {
    let tap = tap_of(row, ky, kx);
    return select(vec4(0.0), x[tap.pixel * (W / 4u) + i4], tap.inside);
}

fn load_b(i: u32, ky: u32, kx: u32, n4: u32) -> vec4<f32> {
    return weights[((ky * V + kx) * W + i) * N4 + n4];
}

fn start(n4: u32) -> vec4<f32> {
    return select(bias[n4], vec4(0.0), SPLITS > 1u);
}

fn store(split: u32, row: u32, n4: u32, value: vec4<f32>) {
    y[(split * M + output_of(row)) * N4 + n4] = value;
}
