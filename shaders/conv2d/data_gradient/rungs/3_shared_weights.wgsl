// Convolution of 3 x 3 taps, gradient of the input:
//   dx[b, iy, ix, i] = sum over ky, kx, o of dy[b, iy - ky + 1, ix - kx + 1, o] * w[ky, kx, i, o]
//
// A thread computes four channels of RUN pixels side by side in a row.
// Why: as forward: the four vec4s of weights that a thread loads serve RUN pixels, 12 loads for 128 products.

@group(0) @binding(0) var<storage, read> grad_y: array<vec4<f32>>;  // [image, y, x][o4]
@group(0) @binding(1) var<storage, read> weights: array<vec4<f32>>; // [ky, kx, i][o4]
@group(0) @binding(2) var<storage, read_write> grad_x: array<vec4<f32>>; // [image, y, x][i4]

const IMAGES: u32 = 1u;
const HEIGHT: u32 = 1u;
const WIDTH: u32 = 1u;
const CIN4: u32 = 1u;
const COUT4: u32 = 1u;
const RUN: u32 = 8u;
const RUNS: u32 = (WIDTH + RUN - 1u) / RUN; // in a row of the image
const WORKGROUP: u32 = 64u;
const COUNT: u32 = IMAGES * HEIGHT * RUNS * CIN4;
const GROUPS: u32 = (COUNT + WORKGROUP - 1u) / WORKGROUP;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    if id.x >= COUNT {
        return;
    }
    let i4 = id.x % CIN4;
    let first = id.x / CIN4 % RUNS * RUN;
    let row = id.x / (CIN4 * RUNS); // of all images
    let image = row / HEIGHT;
    var sum: array<vec4<f32>, RUN>;
    for (var tap = 0u; tap < 9u; tap++) {
        let oy = row % HEIGHT + 1u - tap / 3u;
        if oy >= HEIGHT {
            continue;
        }
        for (var o4 = 0u; o4 < COUT4; o4++) {
            let at = (tap * CIN4 + i4) * 4u * COUT4 + o4;
            let w0 = weights[at];
            let w1 = weights[at + COUT4];
            let w2 = weights[at + 2u * COUT4];
            let w3 = weights[at + 3u * COUT4];
            for (var p = 0u; p < RUN; p++) {
                let ox = first + p + 1u - tap % 3u;
                let inside = ox < WIDTH;
                let pixel = (image * HEIGHT + oy) * WIDTH + select(0u, ox, inside);
                let four = select(vec4(0.0), grad_y[pixel * COUT4 + o4], inside);
                sum[p] += vec4(dot(four, w0), dot(four, w1), dot(four, w2), dot(four, w3));
            }
        }
    }
    for (var p = 0u; p < RUN; p++) {
        if first + p < WIDTH {
            grad_x[(row * WIDTH + first + p) * CIN4 + i4] = sum[p];
        }
    }
}
