// Convolution of 3 x 3 taps, forward:
//   y[b, oy, ox, o] = bias[o] + sum over ky, kx, i of x[b, oy + ky - 1, ox + kx - 1, i] * w[ky, kx, i, o]
//
// A thread computes four channels of RUN pixels side by side in a row.
// Why: the four vec4s of weights that it loads serve RUN pixels, and stay in registers meanwhile: 12 loads for 128 products.

@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;       // [image, y, x][i4]
@group(0) @binding(1) var<storage, read> weights: array<vec4<f32>>; // [ky, kx, i][o4]
@group(0) @binding(2) var<storage, read> bias: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> y: array<vec4<f32>>; // [image, y, x][o4]

const IMAGES: u32 = 1u;
const HEIGHT: u32 = 1u;
const WIDTH: u32 = 1u;
const CIN4: u32 = 1u;
const COUT4: u32 = 1u;
const RUN: u32 = 8u;
const RUNS: u32 = (WIDTH + RUN - 1u) / RUN; // in a row of the image
const WORKGROUP: u32 = 64u;
const COUNT: u32 = IMAGES * HEIGHT * RUNS * COUT4;
const GROUPS: u32 = (COUNT + WORKGROUP - 1u) / WORKGROUP;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    if id.x >= COUNT {
        return;
    }
    let o4 = id.x % COUT4;
    let first = id.x / COUT4 % RUNS * RUN;
    let row = id.x / (COUT4 * RUNS); // of all images
    let image = row / HEIGHT;
    var sum: array<vec4<f32>, RUN>;
    for (var p = 0u; p < RUN; p++) {
        sum[p] = bias[o4];
    }
    for (var tap = 0u; tap < 9u; tap++) {
        let iy = row % HEIGHT + tap / 3u - 1u;
        if iy >= HEIGHT {
            continue;
        }
        for (var i4 = 0u; i4 < CIN4; i4++) {
            let at = (tap * CIN4 + i4) * 4u * COUT4 + o4;
            let w0 = weights[at];
            let w1 = weights[at + COUT4];
            let w2 = weights[at + 2u * COUT4];
            let w3 = weights[at + 3u * COUT4];
            for (var p = 0u; p < RUN; p++) {
                let ix = first + p + tap % 3u - 1u;
                let inside = ix < WIDTH;
                let four = select(vec4(0.0), x[((image * HEIGHT + iy) * WIDTH + select(0u, ix, inside)) * CIN4 + i4], inside);
                sum[p] += four.x * w0 + four.y * w1 + four.z * w2 + four.w * w3;
            }
        }
    }
    for (var p = 0u; p < RUN; p++) {
        if first + p < WIDTH {
            y[(row * WIDTH + first + p) * COUT4 + o4] = sum[p];
        }
    }
}
