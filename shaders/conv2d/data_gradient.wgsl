// Convolution, gradient of the input:  dx[b, iy, ix, i] = sum over ky, kx, o of dy[b, oy, ox, o] * w[ky, kx, i, o]
// where oy * STRIDE_Y + ky - PAD_Y = iy and ox * STRIDE_X + kx - PAD_X = ix have a solution inside the output.
//
// An implicit matrix product: row = input pixel, k = (ky, kx, o), column = i. It reads w with its last two axes
// transposed, so that four columns are one vec4. One dispatch a batch window.
// Host: ops/conv2d/gpu.rs::data_gradient. Twin: ops/conv2d/cpu.rs::data_gradient. Test: tests/conv2d.rs::data_gradient.
// Uses: lib/gemm.wgsl or another core with its interface.

@group(0) @binding(0) var<storage, read> dy: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> w_transposed: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> dx: array<vec4<f32>>;

const HEIGHT: u32 = 1u;
const WIDTH: u32 = 1u;
const COUT4: u32 = 1u;
const OUT_HEIGHT: u32 = 1u;
const OUT_WIDTH: u32 = 1u;
const KERNEL_WIDTH: u32 = 1u;
const STRIDE_Y: u32 = 1u;
const STRIDE_X: u32 = 1u;
const PAD_Y: u32 = 0u;
const PAD_X: u32 = 0u;

fn load_a(row: u32, k4: u32) -> vec4<f32> {
    let image = row / (HEIGHT * WIDTH);
    let tap = k4 / COUT4;
    // Left of the first window the subtraction wraps to a large number, which lies past the last window.
    let from_y = row / WIDTH % HEIGHT + PAD_Y - tap / KERNEL_WIDTH;
    let from_x = row % WIDTH + PAD_X - tap % KERNEL_WIDTH;
    let oy = from_y / STRIDE_Y;
    let ox = from_x / STRIDE_X;
    let inside = oy < OUT_HEIGHT && ox < OUT_WIDTH && from_y % STRIDE_Y == 0u && from_x % STRIDE_X == 0u;
    let pixel = select(0u, (image * OUT_HEIGHT + oy) * OUT_WIDTH + ox, inside);
    return select(vec4(0.0), dy[pixel * COUT4 + k4 % COUT4], inside);
}

fn load_b(k: u32, n4: u32) -> vec4<f32> {
    return w_transposed[k * N4 + n4];
}

fn start(n4: u32) -> vec4<f32> {
    return vec4(0.0);
}

fn store(split: u32, row: u32, n4: u32, value: vec4<f32>) {
    dx[row * N4 + n4] = value;
}
