// Convolution of 3 x 3 taps, gradient of the weights, as a matrix product:
//   dw[ky, kx, i, o] = sum over b, oy, ox of x[b, oy + ky - 1, ox + kx - 1, i] * dy[b, oy, ox, o]
//
// A workgroup computes 64 channels i by 64 channels o of one tap, for one of PARTS runs of pixels (stage 0, into scratch), 16
// pixels at a time, as shaders/gemm/rungs/5_conflict_free.wgsl does. Stage 1 adds up the parts in order.
// Why: rows are channels i, columns channels o, and the sum runs over pixels. Both factors lie with the channels side by side,
// so x is the transpose that workgroup memory wants, and nothing is turned.

@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;      // [image, y, x][i4]
@group(0) @binding(1) var<storage, read> grad_y: array<vec4<f32>>; // [image, y, x][o4]
@group(0) @binding(2) var<storage, read_write> grad_w: array<vec4<f32>>;  // [ky, kx, i][o4]
@group(0) @binding(3) var<storage, read_write> scratch: array<vec4<f32>>; // [part][ky, kx, i][o4]

const IMAGES: u32 = 1u;
const HEIGHT: u32 = 1u;
const WIDTH: u32 = 1u;
const CIN4: u32 = 1u;
const COUT4: u32 = 1u;
const PIXELS: u32 = IMAGES * HEIGHT * WIDTH;
const TILES_N: u32 = (COUT4 + 15u) / 16u;
const TILES: u32 = 9u * ((CIN4 + 15u) / 16u) * TILES_N;
const PARTS: u32 = clamp(512u / TILES, 1u, (PIXELS + 63u) / 64u);
const PART_PIXELS: u32 = (PIXELS + PARTS * 16u - 1u) / (PARTS * 16u) * 16u;
const WEIGHTS4: u32 = 36u * CIN4 * COUT4;
const STAGE: u32 = 0u;
const STAGES: u32 = 2u;
const SCRATCH: u32 = PARTS * WEIGHTS4;
const GROUPS: u32 = select(TILES * PARTS, (WEIGHTS4 + 63u) / 64u, STAGE == 1u);

var<workgroup> tile_a: array<vec4<f32>, 256>; // [pixel][i4]
var<workgroup> tile_b: array<vec4<f32>, 256>; // [pixel][o4]

fn load_x(pixel: u32, end: u32, tap: u32, i4: u32) -> vec4<f32> {
    let iy = pixel / WIDTH % HEIGHT + tap / 3u - 1u;
    let ix = pixel % WIDTH + tap % 3u - 1u;
    let inside = iy < HEIGHT && ix < WIDTH && pixel < end;
    let start = select(0u, (pixel / (HEIGHT * WIDTH) * HEIGHT + iy) * WIDTH + ix, inside);
    return select(vec4(0.0), x[start * CIN4 + min(i4, CIN4 - 1u)], inside);
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    if STAGE == 1u {
        let at = group.x * 64u + thread;
        var total = vec4(0.0);
        for (var part = 0u; part < PARTS && at < WEIGHTS4; part++) {
            total += scratch[part * WEIGHTS4 + at];
        }
        if at < WEIGHTS4 {
            grad_w[at] = total;
        }
        return;
    }
    let part = group.x / TILES;
    let tap = group.x % 9u;
    let i4 = group.x % TILES / 9u / TILES_N * 16u;
    let o4 = group.x % TILES / 9u % TILES_N * 16u;
    let end = min((part + 1u) * PART_PIXELS, PIXELS);
    var sum: array<array<array<vec4<f32>, 2>, 4>, 2>; // [half][i][half]
    for (var pixel = part * PART_PIXELS; pixel < end; pixel += 16u) {
        for (var at = thread; at < 256u; at += 64u) {
            tile_a[at] = load_x(pixel + at / 16u, end, tap, i4 + at % 16u);
            tile_b[at] = grad_y[min(pixel + at / 16u, PIXELS - 1u) * COUT4 + min(o4 + at % 16u, COUT4 - 1u)];
        }
        workgroupBarrier();
        for (var k = 0u; k < 16u; k++) {
            for (var half = 0u; half < 2u; half++) {
                let four = tile_a[k * 16u + half * 8u + thread / 8u];
                for (var i = 0u; i < 4u; i++) {
                    sum[half][i][0] += four[i] * tile_b[k * 16u + thread % 8u];
                    sum[half][i][1] += four[i] * tile_b[k * 16u + 8u + thread % 8u];
                }
            }
        }
        workgroupBarrier();
    }
    for (var at = 0u; at < 16u; at++) {
        let row4 = i4 + at / 8u * 8u + thread / 8u;
        let column4 = o4 + at % 2u * 8u + thread % 8u;
        if row4 < CIN4 && column4 < COUT4 {
            let to = ((tap * CIN4 + row4) * 4u + at / 2u % 4u) * COUT4 + column4;
            scratch[part * WEIGHTS4 + to] = sum[at / 8u][at / 2u % 4u][at % 2u];
        }
    }
}
