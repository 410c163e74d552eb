// Convolution of 3 x 3 taps, forward:
//   y[b, oy, ox, o] = bias[o] + sum over ky, kx, i of x[b, oy + ky - 1, ox + kx - 1, i] * w[ky, kx, i, o]
//
// A thread computes one number of y. Outside the image x is zero. Channels lie padded to whole vec4s: CIN4 and COUT4 of them.
// Why: the formula, word for word. Each product loads two numbers.

@group(0) @binding(0) var<storage, read> x: array<f32>;       // [image, y, x][i]
@group(0) @binding(1) var<storage, read> weights: array<f32>; // [ky, kx, i][o]
@group(0) @binding(2) var<storage, read> bias: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>; // [image, y, x][o]

const IMAGES: u32 = 1u;
const HEIGHT: u32 = 1u;
const WIDTH: u32 = 1u;
const CIN: u32 = 1u;
const COUT: u32 = 1u;
const CIN4: u32 = 1u;
const COUT4: u32 = 1u;
const WORKGROUP: u32 = 64u;
const COUNT: u32 = IMAGES * HEIGHT * WIDTH * COUT;
const GROUPS: u32 = (COUNT + WORKGROUP - 1u) / WORKGROUP;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    if id.x >= COUNT {
        return;
    }
    let o = id.x % COUT;
    let pixel = id.x / COUT;
    let image = pixel / (HEIGHT * WIDTH);
    let oy = pixel / WIDTH % HEIGHT;
    let ox = pixel % WIDTH;
    var sum = bias[o];
    for (var ky = 0u; ky < 3u; ky++) {
        for (var kx = 0u; kx < 3u; kx++) {
            // Above and left of the image the subtraction wraps to a large number, which is outside too.
            let iy = oy + ky - 1u;
            let ix = ox + kx - 1u;
            if iy >= HEIGHT || ix >= WIDTH {
                continue;
            }
            let start = ((image * HEIGHT + iy) * WIDTH + ix) * CIN4 * 4u;
            for (var i = 0u; i < CIN; i++) {
                sum += x[start + i] * weights[((ky * 3u + kx) * CIN4 * 4u + i) * COUT4 * 4u + o];
            }
        }
    }
    y[pixel * COUT4 * 4u + o] = sum;
}
