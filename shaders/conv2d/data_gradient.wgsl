// Convolution, gradient of the input:  dx[b, iy, ix, i] = sum over ky, kx, o of dy[b, oy, ox, o] * w[ky, kx, i, o]
// where oy * STRIDE_Y + ky - PAD_Y = iy and ox * STRIDE_X + kx - PAD_X = ix have a solution inside the output.
//
// An implicit matrix product: row = input pixel, column = i, and the sum's (u, v, w) = (ky, kx, o); the weights hold the
// transpose of its right factor. One dispatch per batch window.
//
// With IMAGES_INNERMOST the rows run through all images at one position before the next position, so a tile of rows
// leaves out the taps that all its positions miss.
// Host: ops/conv2d/steps.rs::data_gradient. Twin: ops/conv2d/twin.rs::data_gradient. Test: tests/conv2d.rs::data_gradient.
// Uses: lib/gemm.wgsl or lib/gemm_subgroup.wgsl or lib/gemm_cooperative.wgsl, lib/pixels.wgsl

@group(0) @binding(0) var<storage, read> grad_y: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> weights: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> grad_x: array<vec4<f32>>;

const POSITIONS: u32 = HEIGHT * WIDTH;

// The taps [begin, end) whose window lies inside the output: (i + pad - tap) / stride < size.
fn taps(i: u32, pad: u32, stride: u32, size: u32, kernel: u32) -> vec2<u32> {
    let past = size * stride; // i + pad - tap must stay below
    return vec2(max(i + pad + 1u, past) - past, min(kernel, i + pad + 1u));
}

fn reach(first_row: u32, last_row: u32) -> vec4<u32> {
    let first = pixel_of(first_row, POSITIONS).position;
    let last = pixel_of(last_row, POSITIONS).position;
    let y_taps = taps(first / WIDTH, PAD_Y, STRIDE_Y, OUT_HEIGHT, U);
    // A pixel further right is met by higher taps: the leftmost position has the lowest that counts, the rightmost the highest.
    let left = taps(first % WIDTH, PAD_X, STRIDE_X, OUT_WIDTH, V);
    let right = taps(last % WIDTH, PAD_X, STRIDE_X, OUT_WIDTH, V);
    let all = !IMAGES_INNERMOST || first / WIDTH != last / WIDTH;
    return select(vec4(y_taps, left.x, right.y), vec4(0u, U, 0u, V), all);
}

fn load_a(row: u32, ky: u32, kx: u32, o4: u32) -> vec4<f32> {
    let at = pixel_of(row, POSITIONS);
    // Left of the first window the subtraction wraps to a large number, which lies past the last window.
    let from_y = at.position / WIDTH + PAD_Y - ky;
    let from_x = at.position % WIDTH + PAD_X - kx;
    let oy = from_y / STRIDE_Y;
    let ox = from_x / STRIDE_X;
    let inside = oy < OUT_HEIGHT && ox < OUT_WIDTH && from_y % STRIDE_Y == 0u && from_x % STRIDE_X == 0u;
    let pixel = select(0u, (at.image * OUT_HEIGHT + oy) * OUT_WIDTH + ox, inside);
    return select(vec4(0.0), grad_y[pixel * (W / 4u) + o4], inside);
}

fn load_b(i: u32, ky: u32, kx: u32, o4: u32) -> vec4<f32> {
    return weights[((ky * V + kx) * (N4 * 4u) + i) * (W / 4u) + o4];
}

fn start(n4: u32) -> vec4<f32> {
    return vec4(0.0);
}

fn store(split: u32, row: u32, n4: u32, value: vec4<f32>) {
    let at = pixel_of(row, POSITIONS);
    grad_x[(split * M + at.image * POSITIONS + at.position) * N4 + n4] = value;
}
