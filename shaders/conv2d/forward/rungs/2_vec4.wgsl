// Convolution of 3 x 3 taps, forward:
//   y[b, oy, ox, o] = bias[o] + sum over ky, kx, i of x[b, oy + ky - 1, ox + kx - 1, i] * w[ky, kx, i, o]
//
// A thread computes four channels of one pixel.
// Why: a vec4 of x and four of the weights make 16 products: five loads instead of 32. Neighbouring threads read neighbouring
// vec4s of the weights, and the same one of x.

@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;       // [image, y, x][i4]
@group(0) @binding(1) var<storage, read> weights: array<vec4<f32>>; // [ky, kx, i][o4], padded channels are zero
@group(0) @binding(2) var<storage, read> bias: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> y: array<vec4<f32>>; // [image, y, x][o4]

const IMAGES: u32 = 1u;
const HEIGHT: u32 = 1u;
const WIDTH: u32 = 1u;
const CIN4: u32 = 1u;
const COUT4: u32 = 1u;
const WORKGROUP: u32 = 64u;
const COUNT: u32 = IMAGES * HEIGHT * WIDTH * COUT4;
const GROUPS: u32 = (COUNT + WORKGROUP - 1u) / WORKGROUP;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    if id.x >= COUNT {
        return;
    }
    let o4 = id.x % COUT4;
    let pixel = id.x / COUT4;
    let image = pixel / (HEIGHT * WIDTH);
    let oy = pixel / WIDTH % HEIGHT;
    let ox = pixel % WIDTH;
    var sum = bias[o4];
    for (var ky = 0u; ky < 3u; ky++) {
        for (var kx = 0u; kx < 3u; kx++) {
            let iy = oy + ky - 1u;
            let ix = ox + kx - 1u;
            if iy >= HEIGHT || ix >= WIDTH {
                continue;
            }
            let start = ((image * HEIGHT + iy) * WIDTH + ix) * CIN4;
            let tap = (ky * 3u + kx) * CIN4 * 4u;
            for (var i4 = 0u; i4 < CIN4; i4++) {
                let four = x[start + i4];
                let at = (tap + i4 * 4u) * COUT4 + o4;
                sum += four.x * weights[at];
                sum += four.y * weights[at + COUT4];
                sum += four.z * weights[at + 2u * COUT4];
                sum += four.w * weights[at + 3u * COUT4];
            }
        }
    }
    y[id.x] = sum;
}
