// Matrix product, neighbours side by side in workgroup memory:  c[m, n] = sum over k of a[m, k] * b[k, n]
//
// As the rung before, but a thread's two vec4 columns are half a tile apart, and so are its two groups of four rows.
// Why: in one read, threads side by side now ask for addresses side by side. With each thread's own columns side by side, the
// reads of a group of threads went to every other vec4, and GPUs, whose workgroup memory has banks, took them in two turns.
// Four rows of a are one vec4 too: 2 + 2 reads for 64 products instead of 8 + 2.

@group(0) @binding(0) var<storage, read> a: array<vec4<f32>>; // [m][k4]
@group(0) @binding(1) var<storage, read> b: array<vec4<f32>>; // [k][n4]
@group(0) @binding(2) var<storage, read_write> c: array<vec4<f32>>; // [m][n4]

const M: u32 = 1u;
const K: u32 = 1u;
const N4: u32 = 1u;
const K4: u32 = 1u;
const TILE: u32 = 64u;
const TILE4: u32 = TILE / 4u;
const DEPTH: u32 = 16u;
const TILES_N: u32 = (N4 + TILE4 - 1u) / TILE4;
const GROUPS: u32 = (M + TILE - 1u) / TILE * TILES_N;

var<workgroup> tile_a: array<vec4<f32>, DEPTH * TILE4>; // [k][m4]
var<workgroup> tile_b: array<vec4<f32>, DEPTH * TILE4>; // [k][n4]

// Four terms of row m.
fn load_a(m: u32, k4: u32) -> vec4<f32> {
    return select(vec4(0.0), a[min(m, M - 1u) * K4 + min(k4, K4 - 1u)], k4 < K4);
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let m = group.x / TILES_N * TILE;
    let n4 = group.x % TILES_N * TILE4;
    let row4 = thread / 8u;
    let column4 = thread % 8u;
    var sum: array<array<array<vec4<f32>, 2>, 4>, 2>; // [half][row][half]
    for (var k0 = 0u; k0 < K; k0 += DEPTH) {
        // Each of the 64 threads turns one block of four rows and four terms.
        let at = m + thread / 4u * 4u;
        let k4 = k0 / 4u + thread % 4u;
        let block = transpose(mat4x4(load_a(at, k4), load_a(at + 1u, k4), load_a(at + 2u, k4), load_a(at + 3u, k4)));
        for (var i = 0u; i < 4u; i++) {
            tile_a[(thread % 4u * 4u + i) * TILE4 + thread / 4u] = block[i];
        }
        for (var i = thread; i < TILE4 * DEPTH; i += 64u) {
            tile_b[i] = b[min(k0 + i / TILE4, K - 1u) * N4 + min(n4 + i % TILE4, N4 - 1u)];
        }
        workgroupBarrier();
        for (var k = 0u; k < DEPTH; k++) {
            let b0 = tile_b[k * TILE4 + column4];
            let b1 = tile_b[k * TILE4 + 8u + column4];
            for (var half = 0u; half < 2u; half++) {
                let four = tile_a[k * TILE4 + half * 8u + row4];
                for (var i = 0u; i < 4u; i++) {
                    sum[half][i][0] += four[i] * b0;
                    sum[half][i][1] += four[i] * b1;
                }
            }
        }
        workgroupBarrier();
    }
    for (var half = 0u; half < 2u; half++) {
        for (var i = 0u; i < 4u; i++) {
            let to = m + (half * 8u + row4) * 4u + i;
            for (var j = 0u; j < 2u; j++) {
                if to < M && n4 + j * 8u + column4 < N4 {
                    c[to * N4 + n4 + j * 8u + column4] = sum[half][i][j];
                }
            }
        }
    }
}
