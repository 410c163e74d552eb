// Convolution of 3 x 3 taps, gradient of the weights:
//   dw[ky, kx, i, o] = sum over b, oy, ox of x[b, oy + ky - 1, ox + kx - 1, i] * dy[b, oy, ox, o]
//
// A thread computes a block of four channels i and four channels o of one tap.
// Why: an outer product. A vec4 of x and one of dy make 16 products, where the direct form loads 32 numbers for them.

@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;      // [image, y, x][i4]
@group(0) @binding(1) var<storage, read> grad_y: array<vec4<f32>>; // [image, y, x][o4]
@group(0) @binding(2) var<storage, read_write> grad_w: array<vec4<f32>>; // [ky, kx, i][o4]

const IMAGES: u32 = 1u;
const HEIGHT: u32 = 1u;
const WIDTH: u32 = 1u;
const CIN4: u32 = 1u;
const COUT4: u32 = 1u;
const WORKGROUP: u32 = 64u;
const COUNT: u32 = 9u * CIN4 * COUT4;
const GROUPS: u32 = (COUNT + WORKGROUP - 1u) / WORKGROUP;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    if id.x >= COUNT {
        return;
    }
    let o4 = id.x % COUT4;
    let i4 = id.x / COUT4 % CIN4;
    let tap = id.x / (COUT4 * CIN4);
    var sum: array<vec4<f32>, 4>;
    for (var row = 0u; row < IMAGES * HEIGHT; row++) {
        let iy = row % HEIGHT + tap / 3u - 1u;
        for (var ox = 0u; ox < WIDTH; ox++) {
            let ix = ox + tap % 3u - 1u;
            if iy < HEIGHT && ix < WIDTH {
                let four = x[((row / HEIGHT * HEIGHT + iy) * WIDTH + ix) * CIN4 + i4];
                let gradient = grad_y[(row * WIDTH + ox) * COUT4 + o4];
                for (var i = 0u; i < 4u; i++) {
                    sum[i] += four[i] * gradient;
                }
            }
        }
    }
    for (var i = 0u; i < 4u; i++) {
        grad_w[((tap * CIN4 + i4) * 4u + i) * COUT4 + o4] = sum[i];
    }
}
