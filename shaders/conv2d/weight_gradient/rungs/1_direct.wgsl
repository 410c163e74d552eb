// Convolution of 3 x 3 taps, gradient of the weights:
//   dw[ky, kx, i, o] = sum over b, oy, ox of x[b, oy + ky - 1, ox + kx - 1, i] * dy[b, oy, ox, o]
//
// A thread computes one number of dw: it runs through all pixels of all images. Outside the image x is zero.
// Why: the formula, word for word. A weight has met every pixel, so its gradient is a sum over all of them: few sums, and long
// ones. Few threads have work.

@group(0) @binding(0) var<storage, read> x: array<f32>;      // [image, y, x][i]
@group(0) @binding(1) var<storage, read> grad_y: array<f32>; // [image, y, x][o]
@group(0) @binding(2) var<storage, read_write> grad_w: array<f32>; // [ky, kx, i][o]

const IMAGES: u32 = 1u;
const HEIGHT: u32 = 1u;
const WIDTH: u32 = 1u;
const CIN: u32 = 1u;
const COUT: u32 = 1u;
const CIN4: u32 = 1u;
const COUT4: u32 = 1u;
const WORKGROUP: u32 = 64u;
const COUNT: u32 = 9u * CIN * COUT;
const GROUPS: u32 = (COUNT + WORKGROUP - 1u) / WORKGROUP;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    if id.x >= COUNT {
        return;
    }
    let o = id.x % COUT;
    let i = id.x / COUT % CIN;
    let tap = id.x / (COUT * CIN);
    var sum = 0.0;
    for (var row = 0u; row < IMAGES * HEIGHT; row++) {
        let iy = row % HEIGHT + tap / 3u - 1u;
        for (var ox = 0u; ox < WIDTH; ox++) {
            // Above and left of the image the subtraction wraps to a large number, which is outside too.
            let ix = ox + tap % 3u - 1u;
            if iy < HEIGHT && ix < WIDTH {
                let start = (row / HEIGHT * HEIGHT + iy) * WIDTH + ix;
                sum += x[start * CIN4 * 4u + i] * grad_y[(row * WIDTH + ox) * COUT4 * 4u + o];
            }
        }
    }
    grad_w[(tap * CIN4 * 4u + i) * COUT4 * 4u + o] = sum;
}
