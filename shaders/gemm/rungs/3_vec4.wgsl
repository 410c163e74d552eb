// Matrix product, tiled, four columns at a time:  c[m, n] = sum over k of a[m, k] * b[k, n]
//
// A workgroup computes SIDE rows and SIDE vec4 columns of c, a thread one vec4 of them. Tiles are SIDE deep along k.
// Why: one load brings four numbers, and one number of a meets four of b. For four products a thread reads 1 1/4 vec4s of
// workgroup memory instead of eight numbers.

@group(0) @binding(0) var<storage, read> a: array<vec4<f32>>; // [m][k4]
@group(0) @binding(1) var<storage, read> b: array<vec4<f32>>; // [k][n4]
@group(0) @binding(2) var<storage, read_write> c: array<vec4<f32>>; // [m][n4]

const M: u32 = 1u;
const K: u32 = 1u;
const N4: u32 = 1u;
const K4: u32 = 1u;
const SIDE: u32 = 16u;
const SIDE4: u32 = SIDE / 4u;
const TILES_N: u32 = (N4 + SIDE - 1u) / SIDE;
const GROUPS: u32 = (M + SIDE - 1u) / SIDE * TILES_N;

var<workgroup> tile_a: array<vec4<f32>, SIDE * SIDE4>; // [m][k4]
var<workgroup> tile_b: array<vec4<f32>, SIDE * SIDE>;  // [k][n4]

@compute @workgroup_size(SIDE * SIDE)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let row = thread / SIDE;
    let column4 = thread % SIDE;
    let m = group.x / TILES_N * SIDE;
    let n4 = group.x % TILES_N * SIDE + column4;
    var sum = vec4(0.0);
    for (var k4 = 0u; k4 < K4; k4 += SIDE4) {
        if thread < SIDE * SIDE4 {
            let start = k4 + thread % SIDE4;
            let at = min(m + thread / SIDE4, M - 1u) * K4 + min(start, K4 - 1u);
            tile_a[thread] = select(vec4(0.0), a[at], start < K4);
        }
        tile_b[thread] = b[min(k4 * 4u + row, K - 1u) * N4 + min(n4, N4 - 1u)];
        workgroupBarrier();
        for (var i = 0u; i < SIDE4; i++) {
            let four = tile_a[row * SIDE4 + i];
            sum += four.x * tile_b[(i * 4u) * SIDE + column4];
            sum += four.y * tile_b[(i * 4u + 1u) * SIDE + column4];
            sum += four.z * tile_b[(i * 4u + 2u) * SIDE + column4];
            sum += four.w * tile_b[(i * 4u + 3u) * SIDE + column4];
        }
        workgroupBarrier();
    }
    if m + row < M && n4 < N4 {
        c[(m + row) * N4 + n4] = sum;
    }
}
