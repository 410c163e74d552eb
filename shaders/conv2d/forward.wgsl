// Convolution, forward:  y[b, oy, ox, o] = bias[o] + sum over ky, kx, i of
//                        x[b, oy * STRIDE_Y + ky - PAD_Y, ox * STRIDE_X + kx - PAD_X, i] * w[ky, kx, i, o]
//
// An implicit matrix product: row = output pixel, column = o, and the sum's (u, v, w) = (ky, kx, i). The matrix of
// patches is never stored; load_a finds its numbers in x, zeros outside the image. One dispatch per batch window.
//
// With IMAGES_INNERMOST the rows run through all images at one position before the next position, so a tile of rows
// sees only few positions and leaves out the taps that all of them miss: of 3 x 3 taps a 2 x 2 image needs 4.
// Host: ops/conv2d/steps.rs::direct_forward. Twin: ops/conv2d/twin.rs::forward. Test: tests/conv2d.rs::forward.
// Uses: lib/gemm.wgsl or lib/gemm_subgroup.wgsl or lib/gemm_cooperative.wgsl, lib/pixels.wgsl

@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> weights: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> bias: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> y: array<vec4<f32>>;

const POSITIONS: u32 = OUT_HEIGHT * OUT_WIDTH;

// The taps [begin, end) that meet 0 .. size from a window that starts `pad` before `first`.
fn taps(first: u32, pad: u32, size: u32, kernel: u32) -> vec2<u32> {
    return vec2(max(first, pad) - first, min(kernel, size + pad - min(first, size + pad)));
}

fn reach(first_row: u32, last_row: u32) -> vec4<u32> {
    let first = pixel_of(first_row, POSITIONS).position;
    let last = pixel_of(last_row, POSITIONS).position;
    let y_taps = taps(first / OUT_WIDTH * STRIDE_Y, PAD_Y, HEIGHT, U);
    // From the leftmost position to the rightmost: a tap counts when it meets the image at either end or between. The left
    // edge of the image cuts off low taps, most at the leftmost position, and the right edge high ones: so the rightmost has
    // the lowest tap that counts, and the leftmost the highest.
    let left = taps(first % OUT_WIDTH * STRIDE_X, PAD_X, WIDTH, V);
    let right = taps(last % OUT_WIDTH * STRIDE_X, PAD_X, WIDTH, V);
    let all = !IMAGES_INNERMOST || first / OUT_WIDTH != last / OUT_WIDTH;
    return select(vec4(y_taps, right.x, left.y), vec4(0u, U, 0u, V), all);
}

fn load_a(row: u32, ky: u32, kx: u32, i4: u32) -> vec4<f32> {
    let at = pixel_of(row, POSITIONS);
    // Above and left of the image the subtraction wraps to a large number, which is outside too.
    let iy = at.position / OUT_WIDTH * STRIDE_Y + ky - PAD_Y;
    let ix = at.position % OUT_WIDTH * STRIDE_X + kx - PAD_X;
    let inside = iy < HEIGHT && ix < WIDTH;
    let pixel = select(0u, (at.image * HEIGHT + iy) * WIDTH + ix, inside);
    return select(vec4(0.0), x[pixel * (W / 4u) + i4], inside);
}

fn load_b(i: u32, ky: u32, kx: u32, n4: u32) -> vec4<f32> {
    return weights[((ky * V + kx) * W + i) * N4 + n4];
}

fn start(n4: u32) -> vec4<f32> {
    return select(bias[n4], vec4(0.0), SPLITS > 1u);
}

fn store(split: u32, row: u32, n4: u32, value: vec4<f32>) {
    let at = pixel_of(row, POSITIONS);
    y[(split * M + at.image * POSITIONS + at.position) * N4 + n4] = value;
}
