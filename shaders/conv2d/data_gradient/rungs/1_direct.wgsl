// Convolution of 3 x 3 taps, gradient of the input:
//   dx[b, iy, ix, i] = sum over ky, kx, o of dy[b, iy - ky + 1, ix - kx + 1, o] * w[ky, kx, i, o]
//
// A thread computes one number of dx: it gathers from the outputs that used its pixel. Outside the image dy is zero.
// Why: the formula, word for word. Forward, tap ky of output oy lies on row iy = oy + ky - 1; so this pixel was tap ky of
// output oy = iy - ky + 1. The sign of ky has changed: that is the flipped kernel (docs/ops/conv2d.md). A thread for each output
// that adds to nine pixels of dx would need atomics; gathering needs none.

@group(0) @binding(0) var<storage, read> grad_y: array<f32>;  // [image, y, x][o]
@group(0) @binding(1) var<storage, read> weights: array<f32>; // [ky, kx, i][o]
@group(0) @binding(2) var<storage, read_write> grad_x: array<f32>; // [image, y, x][i]

const IMAGES: u32 = 1u;
const HEIGHT: u32 = 1u;
const WIDTH: u32 = 1u;
const CIN: u32 = 1u;
const COUT: u32 = 1u;
const CIN4: u32 = 1u;
const COUT4: u32 = 1u;
const WORKGROUP: u32 = 64u;
const COUNT: u32 = IMAGES * HEIGHT * WIDTH * CIN;
const GROUPS: u32 = (COUNT + WORKGROUP - 1u) / WORKGROUP;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    if id.x >= COUNT {
        return;
    }
    let i = id.x % CIN;
    let pixel = id.x / CIN;
    let image = pixel / (HEIGHT * WIDTH);
    let iy = pixel / WIDTH % HEIGHT;
    let ix = pixel % WIDTH;
    var sum = 0.0;
    for (var ky = 0u; ky < 3u; ky++) {
        for (var kx = 0u; kx < 3u; kx++) {
            // Left of the first output the subtraction wraps to a large number, which is outside too.
            let oy = iy + 1u - ky;
            let ox = ix + 1u - kx;
            if oy >= HEIGHT || ox >= WIDTH {
                continue;
            }
            let start = ((image * HEIGHT + oy) * WIDTH + ox) * COUT4 * 4u;
            for (var o = 0u; o < COUT; o++) {
                sum += grad_y[start + o] * weights[((ky * 3u + kx) * CIN4 * 4u + i) * COUT4 * 4u + o];
            }
        }
    }
    grad_x[pixel * CIN4 * 4u + i] = sum;
}
