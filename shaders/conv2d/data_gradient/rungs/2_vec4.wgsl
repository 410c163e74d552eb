// Convolution of 3 x 3 taps, gradient of the input:
//   dx[b, iy, ix, i] = sum over ky, kx, o of dy[b, iy - ky + 1, ix - kx + 1, o] * w[ky, kx, i, o]
//
// A thread computes four channels i of one pixel.
// Why: here the sum runs over o, along which the weights lie: a vec4 of dy meets a vec4 of each of four rows of weights in a
// dot product. Five loads for 16 products, and no weight has to be moved.

@group(0) @binding(0) var<storage, read> grad_y: array<vec4<f32>>;  // [image, y, x][o4]
@group(0) @binding(1) var<storage, read> weights: array<vec4<f32>>; // [ky, kx, i][o4], padded channels are zero
@group(0) @binding(2) var<storage, read_write> grad_x: array<vec4<f32>>; // [image, y, x][i4]

const IMAGES: u32 = 1u;
const HEIGHT: u32 = 1u;
const WIDTH: u32 = 1u;
const CIN4: u32 = 1u;
const COUT4: u32 = 1u;
const WORKGROUP: u32 = 64u;
const COUNT: u32 = IMAGES * HEIGHT * WIDTH * CIN4;
const GROUPS: u32 = (COUNT + WORKGROUP - 1u) / WORKGROUP;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    if id.x >= COUNT {
        return;
    }
    let i4 = id.x % CIN4;
    let pixel = id.x / CIN4;
    let image = pixel / (HEIGHT * WIDTH);
    let iy = pixel / WIDTH % HEIGHT;
    let ix = pixel % WIDTH;
    var sum = vec4(0.0);
    for (var ky = 0u; ky < 3u; ky++) {
        for (var kx = 0u; kx < 3u; kx++) {
            let oy = iy + 1u - ky;
            let ox = ix + 1u - kx;
            if oy >= HEIGHT || ox >= WIDTH {
                continue;
            }
            let start = ((image * HEIGHT + oy) * WIDTH + ox) * COUT4;
            let rows = ((ky * 3u + kx) * CIN4 + i4) * 4u * COUT4;
            for (var o4 = 0u; o4 < COUT4; o4++) {
                let four = grad_y[start + o4];
                sum += vec4(
                    dot(four, weights[rows + o4]),
                    dot(four, weights[rows + COUT4 + o4]),
                    dot(four, weights[rows + 2u * COUT4 + o4]),
                    dot(four, weights[rows + 3u * COUT4 + o4]),
                );
            }
        }
    }
    grad_x[id.x] = sum;
}
