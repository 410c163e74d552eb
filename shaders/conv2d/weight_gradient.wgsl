// Convolution, gradient of the weights:
//   dw[ky, kx, i, o] = sum over b, oy, ox of x[b, oy * STRIDE_Y + ky - PAD_Y, ox * STRIDE_X + kx - PAD_X, i]
//                                            * dy[b, oy, ox, o]
//
// An implicit matrix product: row = (ky, kx, i), k = output pixel (b, oy, ox), column = o; x holds the transpose of its
// left factor. The pixels are cut into SPLITS parts, each with sums of its own; sum/merge.wgsl adds them up in a fixed
// order, one batch window after the other.
// Host: ops/conv2d/gpu.rs::weight_gradient. Twin: ops/conv2d/cpu.rs::weight_gradient.
// Test: tests/conv2d.rs::weight_gradient.
// Uses: lib/gemm.wgsl or another core with its interface.

@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> dy: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> partial: array<vec4<f32>>; // [split][ky, kx, i][o]

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

fn load_a(pixel: u32, row4: u32) -> vec4<f32> {
    let image = pixel / (OUT_HEIGHT * OUT_WIDTH);
    let oy = pixel / OUT_WIDTH % OUT_HEIGHT;
    let ox = pixel % OUT_WIDTH;
    let tap = row4 / CIN4;
    let iy = oy * STRIDE_Y + tap / KERNEL_WIDTH - PAD_Y;
    let ix = ox * STRIDE_X + tap % KERNEL_WIDTH - PAD_X;
    let inside = iy < HEIGHT && ix < WIDTH;
    let source = select(0u, (image * HEIGHT + iy) * WIDTH + ix, inside);
    return select(vec4(0.0), x[source * CIN4 + row4 % CIN4], inside);
}

fn load_b(pixel: u32, n4: u32) -> vec4<f32> {
    return dy[pixel * N4 + n4];
}

fn start(n4: u32) -> vec4<f32> {
    return vec4(0.0);
}

fn store(split: u32, row: u32, n4: u32, value: vec4<f32>) {
    partial[(split * M + row) * N4 + n4] = value;
}
