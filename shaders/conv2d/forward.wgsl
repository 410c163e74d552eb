// Convolution, forward:  y[b, oy, ox, o] = bias[o] + sum over ky, kx, i of
//                        x[b, oy * STRIDE_Y + ky - PAD_Y, ox * STRIDE_X + kx - PAD_X, i] * w[ky, kx, i, o]
//
// An implicit matrix product: row = output pixel (b, oy, ox), k = (ky, kx, i), column = o. The matrix of patches is
// never stored; load_a finds its numbers in x, zeros outside the image. One dispatch a batch window.
// Host: ops/conv2d/gpu.rs::forward. Twin: ops/conv2d/cpu.rs::forward. Test: tests/conv2d.rs::forward.
// Uses: lib/gemm.wgsl or another core with its interface.

@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> w: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> bias: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> y: array<vec4<f32>>;

const HEIGHT: u32 = 1u;
const WIDTH: u32 = 1u;
const CIN4: u32 = 1u;
const OUT_HEIGHT: u32 = 1u;
const OUT_WIDTH: u32 = 1u;
const KERNEL_WIDTH: u32 = 1u;
const STRIDE_Y: u32 = 1u;
const STRIDE_X: u32 = 1u;
const PAD_Y: u32 = 0u;
const PAD_X: u32 = 0u;

fn load_a(row: u32, k4: u32) -> vec4<f32> {
    let image = row / (OUT_HEIGHT * OUT_WIDTH);
    let oy = row / OUT_WIDTH % OUT_HEIGHT;
    let ox = row % OUT_WIDTH;
    let tap = k4 / CIN4;
    // Above and left of the image the subtraction wraps to a large number, which is outside too.
    let iy = oy * STRIDE_Y + tap / KERNEL_WIDTH - PAD_Y;
    let ix = ox * STRIDE_X + tap % KERNEL_WIDTH - PAD_X;
    let inside = iy < HEIGHT && ix < WIDTH;
    let pixel = select(0u, (image * HEIGHT + iy) * WIDTH + ix, inside);
    return select(vec4(0.0), x[pixel * CIN4 + k4 % CIN4], inside);
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
