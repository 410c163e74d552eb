// Convolution of 3 x 3 taps, gradient of the weights:
//   dw[ky, kx, i, o] = sum over b, oy, ox of x[b, oy + ky - 1, ox + kx - 1, i] * dy[b, oy, ox, o]
//
// As the rung before, for one of PARTS runs of rows of the images (stage 0, into scratch). Then a thread adds up the parts of
// one vec4, in order (stage 1).
// Why: 32 by 32 channels have 576 blocks of 4 x 4: too few threads to fill a GPU, each with a sum over every pixel. Parts make
// more of them, and shorter sums, which round less. The order of the last sum is fixed, so the same numbers give the same bits.

@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;      // [image, y, x][i4]
@group(0) @binding(1) var<storage, read> grad_y: array<vec4<f32>>; // [image, y, x][o4]
@group(0) @binding(2) var<storage, read_write> grad_w: array<vec4<f32>>;  // [ky, kx, i][o4]
@group(0) @binding(3) var<storage, read_write> scratch: array<vec4<f32>>; // [part][ky, kx, i][o4]

const IMAGES: u32 = 1u;
const HEIGHT: u32 = 1u;
const WIDTH: u32 = 1u;
const CIN4: u32 = 1u;
const COUT4: u32 = 1u;
const WORKGROUP: u32 = 64u;
const BLOCKS: u32 = 9u * CIN4 * COUT4;
const ROWS: u32 = IMAGES * HEIGHT;
const PARTS: u32 = clamp(131072u / BLOCKS, 1u, min(ROWS, 32u));
const PART_ROWS: u32 = (ROWS + PARTS - 1u) / PARTS;
const STAGE: u32 = 0u;
const STAGES: u32 = 2u;
const SCRATCH: u32 = PARTS * BLOCKS * 4u;
const COUNT: u32 = select(PARTS * BLOCKS, BLOCKS * 4u, STAGE == 1u);
const GROUPS: u32 = (COUNT + WORKGROUP - 1u) / WORKGROUP;

fn sum_of_part(part: u32, block: u32) {
    let o4 = block % COUT4;
    let i4 = block / COUT4 % CIN4;
    let tap = block / (COUT4 * CIN4);
    var sum: array<vec4<f32>, 4>;
    for (var row = part * PART_ROWS; row < min((part + 1u) * PART_ROWS, ROWS); row++) {
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
        scratch[part * BLOCKS * 4u + ((tap * CIN4 + i4) * 4u + i) * COUT4 + o4] = sum[i];
    }
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    if id.x >= COUNT {
        return;
    }
    if STAGE == 0u {
        sum_of_part(id.x / BLOCKS, id.x % BLOCKS);
    } else {
        var sum = scratch[id.x];
        for (var part = 1u; part < PARTS; part++) {
            sum += scratch[part * BLOCKS * 4u + id.x];
        }
        grad_w[id.x] = sum;
    }
}
