// Matrix product with a tile in registers:  c[m, n] = sum over k of a[m, k] * b[k, n]
//
// A workgroup of 64 threads computes TILE x TILE numbers of c, a thread ROWS rows and two vec4 columns of them, side by side.
// Why: for each k a thread reads 8 numbers of a and 8 of b from workgroup memory, and makes 64 products of them: four
// products per number read, where the rung before had fewer than one. Sums stay in registers.

@group(0) @binding(0) var<storage, read> a: array<vec4<f32>>; // [m][k4]
@group(0) @binding(1) var<storage, read> b: array<vec4<f32>>; // [k][n4]
@group(0) @binding(2) var<storage, read_write> c: array<vec4<f32>>; // [m][n4]

const M: u32 = 1u;
const K: u32 = 1u;
const N4: u32 = 1u;
const K4: u32 = 1u;
const TILE: u32 = 64u;
const TILE4: u32 = TILE / 4u;
const DEPTH: u32 = 16u; // of the staged tiles, along k
const ROWS: u32 = 8u;
const TILES_N: u32 = (N4 + TILE4 - 1u) / TILE4;
const GROUPS: u32 = (M + TILE - 1u) / TILE * TILES_N;

var<workgroup> tile_a: array<f32, DEPTH * TILE>;        // [k][m]
var<workgroup> tile_b: array<vec4<f32>, DEPTH * TILE4>; // [k][n4]

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let m = group.x / TILES_N * TILE;
    let n4 = group.x % TILES_N * TILE4;
    let row = thread / 8u * ROWS;
    let column4 = thread % 8u * 2u;
    var sum: array<array<vec4<f32>, 2>, ROWS>;
    for (var k0 = 0u; k0 < K; k0 += DEPTH) {
        for (var i = thread; i < TILE * DEPTH / 4u; i += 64u) {
            let start = k0 / 4u + i % 4u;
            let at = min(m + i / 4u, M - 1u) * K4 + min(start, K4 - 1u);
            let four = select(vec4(0.0), a[at], start < K4);
            for (var j = 0u; j < 4u; j++) {
                tile_a[(i % 4u * 4u + j) * TILE + i / 4u] = four[j];
            }
        }
        for (var i = thread; i < TILE4 * DEPTH; i += 64u) {
            tile_b[i] = b[min(k0 + i / TILE4, K - 1u) * N4 + min(n4 + i % TILE4, N4 - 1u)];
        }
        workgroupBarrier();
        for (var k = 0u; k < DEPTH; k++) {
            for (var i = 0u; i < ROWS; i++) {
                let value = tile_a[k * TILE + row + i];
                for (var j = 0u; j < 2u; j++) {
                    sum[i][j] += value * tile_b[k * TILE4 + column4 + j];
                }
            }
        }
        workgroupBarrier();
    }
    for (var i = 0u; i < ROWS; i++) {
        for (var j = 0u; j < 2u; j++) {
            if m + row + i < M && n4 + column4 + j < N4 {
                c[(m + row + i) * N4 + n4 + column4 + j] = sum[i][j];
            }
        }
    }
}
