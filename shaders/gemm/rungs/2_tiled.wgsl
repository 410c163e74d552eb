// Matrix product, tiled:  c[m, n] = sum over k of a[m, k] * b[k, n]
//
// A workgroup computes SIDE x SIDE numbers of c. It copies SIDE x SIDE tiles of a and b to workgroup memory, waits, multiplies
// them, waits, and goes on to the next tiles along k.
// Why: a number that is loaded serves SIDE threads. Of memory, 1/16 is read; workgroup memory is read as often as memory was.

@group(0) @binding(0) var<storage, read> a: array<f32>; // [m][k]
@group(0) @binding(1) var<storage, read> b: array<f32>; // [k][n]
@group(0) @binding(2) var<storage, read_write> c: array<f32>; // [m][n]

const M: u32 = 1u;
const N: u32 = 1u;
const K: u32 = 1u;
const N4: u32 = 1u;
const K4: u32 = 1u;
const SIDE: u32 = 16u;
const TILES_N: u32 = (N + SIDE - 1u) / SIDE;
const GROUPS: u32 = (M + SIDE - 1u) / SIDE * TILES_N;

var<workgroup> tile_a: array<f32, SIDE * SIDE>; // [m][k]
var<workgroup> tile_b: array<f32, SIDE * SIDE>; // [k][n]

@compute @workgroup_size(SIDE * SIDE)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let row = thread / SIDE;
    let column = thread % SIDE;
    let m = group.x / TILES_N * SIDE + row;
    let n = group.x % TILES_N * SIDE + column;
    var sum = 0.0;
    for (var k = 0u; k < K; k += SIDE) {
        // Past the end of k a row of a counts as zero; past the last row and column, what is loaded is not stored.
        let inside = k + column < K;
        tile_a[thread] = select(0.0, a[min(m, M - 1u) * K4 * 4u + min(k + column, K - 1u)], inside);
        tile_b[thread] = b[min(k + row, K - 1u) * N4 * 4u + min(n, N - 1u)];
        workgroupBarrier(); // or threads would read what others have not written yet
        for (var i = 0u; i < SIDE; i++) {
            sum += tile_a[row * SIDE + i] * tile_b[i * SIDE + column];
        }
        workgroupBarrier(); // or threads would overwrite what others still read
    }
    if m < M && n < N {
        c[m * N4 * 4u + n] = sum;
    }
}
