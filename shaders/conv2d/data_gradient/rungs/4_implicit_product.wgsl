// Convolution of 3 x 3 taps, gradient of the input, as a matrix product:
//   dx[b, iy, ix, i] = sum over ky, kx, o of dy[b, iy - ky + 1, ix - kx + 1, o] * w[ky, kx, i, o]
//
// A workgroup computes 64 pixels by 64 channels i, as shaders/gemm/rungs/5_conflict_free.wgsl does, 16 channels o of a tap at a
// time.
// Why: the left factor is dy, looked up at the flipped tap; the right factor is the transpose of each tap's weights, turned in
// blocks of 4 x 4 on the way to workgroup memory. Nothing else differs from forward.

@group(0) @binding(0) var<storage, read> grad_y: array<vec4<f32>>;  // [image, y, x][o4]
@group(0) @binding(1) var<storage, read> weights: array<vec4<f32>>; // [ky, kx, i][o4]
@group(0) @binding(2) var<storage, read_write> grad_x: array<vec4<f32>>; // [image, y, x][i4]

const IMAGES: u32 = 1u;
const HEIGHT: u32 = 1u;
const WIDTH: u32 = 1u;
const CIN4: u32 = 1u;
const COUT4: u32 = 1u;
const PIXELS: u32 = IMAGES * HEIGHT * WIDTH;
const TILES_N: u32 = (CIN4 + 15u) / 16u;
const GROUPS: u32 = (PIXELS + 63u) / 64u * TILES_N;

var<workgroup> tile_a: array<vec4<f32>, 256>; // [o][pixel4]
var<workgroup> tile_b: array<vec4<f32>, 256>; // [o][i4]

// Four channels of dy of the output in which a tap lies on this pixel; zero where there is no such output.
fn load_patch(input: u32, tap: u32, o4: u32) -> vec4<f32> {
    let pixel = min(input, PIXELS - 1u);
    let oy = pixel / WIDTH % HEIGHT + 1u - tap / 3u;
    let ox = pixel % WIDTH + 1u - tap % 3u;
    let inside = oy < HEIGHT && ox < WIDTH && o4 < COUT4;
    let start = select(0u, ((pixel / (HEIGHT * WIDTH) * HEIGHT + oy) * WIDTH + ox) * COUT4 + o4, inside);
    return select(vec4(0.0), grad_y[start], inside);
}

// Four terms o of row i of a tap's weights: its transpose is what is multiplied.
fn load_weights(tap: u32, i: u32, o4: u32) -> vec4<f32> {
    return weights[(tap * CIN4 * 4u + min(i, CIN4 * 4u - 1u)) * COUT4 + min(o4, COUT4 - 1u)];
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let pixel = group.x / TILES_N * 64u;
    let i4 = group.x % TILES_N * 16u;
    let row4 = thread / 8u;
    let column4 = thread % 8u;
    var sum: array<array<array<vec4<f32>, 2>, 4>, 2>; // [half][pixel][half]
    for (var tap = 0u; tap < 9u; tap++) {
        for (var o4 = 0u; o4 < COUT4; o4 += 4u) {
            let at = pixel + thread / 4u * 4u;
            let i = i4 * 4u + thread / 4u * 4u;
            let start = o4 + thread % 4u;
            let patches = transpose(mat4x4(load_patch(at, tap, start), load_patch(at + 1u, tap, start),
                load_patch(at + 2u, tap, start), load_patch(at + 3u, tap, start)));
            let turned = transpose(mat4x4(load_weights(tap, i, start), load_weights(tap, i + 1u, start),
                load_weights(tap, i + 2u, start), load_weights(tap, i + 3u, start)));
            for (var j = 0u; j < 4u; j++) {
                tile_a[(thread % 4u * 4u + j) * 16u + thread / 4u] = patches[j];
                tile_b[(thread % 4u * 4u + j) * 16u + thread / 4u] = turned[j];
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
                let column = i4 + j * 8u + column4;
                if to < PIXELS && column < CIN4 {
                    grad_x[to * CIN4 + column] = sum[half][i][j];
                }
            }
        }
    }
}
