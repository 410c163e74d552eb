// Convolution of 3 x 3 taps as a matrix product:
//   y[pixel, o] = bias[o] + sum over (ky, kx, i) of patch[pixel, (ky, kx, i)] * w[(ky, kx, i), o]
//
// As shaders/gemm/rungs/5_conflict_free.wgsl: a workgroup computes 64 pixels by 64 channels, 16 input channels of a tap at a
// time. The matrix of patches is never stored: load_patch finds its numbers in x.
// Why: a convolution is a product whose left factor repeats each pixel nine times. Stored, it would be nine times as large as
// x; found on the way to workgroup memory, it costs an address, and everything that makes products fast serves convolutions.

@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;       // [image, y, x][i4]
@group(0) @binding(1) var<storage, read> weights: array<vec4<f32>>; // [ky, kx, i][o4]
@group(0) @binding(2) var<storage, read> bias: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> y: array<vec4<f32>>; // [image, y, x][o4]

const IMAGES: u32 = 1u;
const HEIGHT: u32 = 1u;
const WIDTH: u32 = 1u;
const CIN4: u32 = 1u;
const COUT4: u32 = 1u;
const PIXELS: u32 = IMAGES * HEIGHT * WIDTH;
const TILES_N: u32 = (COUT4 + 15u) / 16u;
const GROUPS: u32 = (PIXELS + 63u) / 64u * TILES_N;

var<workgroup> tile_a: array<vec4<f32>, 256>; // [i][pixel4]
var<workgroup> tile_b: array<vec4<f32>, 256>; // [i][o4]

// Four channels of the pixel that a tap of an output pixel lies on; zero outside the image.
fn load_patch(output: u32, tap: u32, i4: u32) -> vec4<f32> {
    let pixel = min(output, PIXELS - 1u);
    let iy = pixel / WIDTH % HEIGHT + tap / 3u - 1u;
    let ix = pixel % WIDTH + tap % 3u - 1u;
    let inside = iy < HEIGHT && ix < WIDTH && i4 < CIN4;
    let start = select(0u, ((pixel / (HEIGHT * WIDTH) * HEIGHT + iy) * WIDTH + ix) * CIN4 + i4, inside);
    return select(vec4(0.0), x[start], inside);
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let pixel = group.x / TILES_N * 64u;
    let o4 = group.x % TILES_N * 16u;
    let row4 = thread / 8u;
    let column4 = thread % 8u;
    var sum: array<array<array<vec4<f32>, 2>, 4>, 2>; // [half][pixel][half]
    for (var tap = 0u; tap < 9u; tap++) {
        for (var i4 = 0u; i4 < CIN4; i4 += 4u) {
            let at = pixel + thread / 4u * 4u;
            let start = i4 + thread % 4u;
            let block = transpose(mat4x4(load_patch(at, tap, start), load_patch(at + 1u, tap, start),
                load_patch(at + 2u, tap, start), load_patch(at + 3u, tap, start)));
            for (var i = 0u; i < 4u; i++) {
                tile_a[(thread % 4u * 4u + i) * 16u + thread / 4u] = block[i];
                let channel = min(i4 * 4u + thread / 16u + i * 4u, CIN4 * 4u - 1u);
                let to = (thread / 16u + i * 4u) * 16u + thread % 16u;
                tile_b[to] = weights[(tap * CIN4 * 4u + channel) * COUT4 + min(o4 + thread % 16u, COUT4 - 1u)];
            }
            workgroupBarrier();
            for (var k = 0u; k < 16u; k++) {
                let b0 = tile_b[k * 16u + column4];
                let b1 = tile_b[k * 16u + 8u + column4];
                for (var half = 0u; half < 2u; half++) {
                    let four = tile_a[k * 16u + half * 8u + row4];
                    for (var i = 0u; i < 4u; i++) {
                        sum[half][i][0] += four[i] * b0;
                        sum[half][i][1] += four[i] * b1;
                    }
                }
            }
            workgroupBarrier();
        }
    }
    for (var half = 0u; half < 2u; half++) {
        for (var i = 0u; i < 4u; i++) {
            let to = pixel + (half * 8u + row4) * 4u + i;
            for (var j = 0u; j < 2u; j++) {
                let column = o4 + j * 8u + column4;
                if to < PIXELS && column < COUT4 {
                    y[to * COUT4 + column] = bias[column] + sum[half][i][j];
                }
            }
        }
    }
}
