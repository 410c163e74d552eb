// Matrix product, the next tile on its way:  c[m, n] = sum over k of a[m, k] * b[k, n]
//
// As the rung before, but a thread loads its part of the next tiles into registers before it multiplies the present ones, and
// stores it to workgroup memory after them.
// Why: a load from memory takes hundreds of cycles on a GPU, in which the thread now has 1,024 products to do. It costs eight
// vec4s of registers. A CPU adapter, where memory is in its caches, only gets more code.

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

// Loads of one thread from the tiles at k0: four rows of a at four terms, and four rows of b.
struct Next {
    a: mat4x4<f32>, // [term][row]
    b: mat4x4<f32>,
}

fn load(m: u32, n4: u32, k0: u32, thread: u32) -> Next {
    let at = m + thread / 4u * 4u;
    let k4 = k0 / 4u + thread % 4u;
    let rows = mat4x4(load_a(at, k4), load_a(at + 1u, k4), load_a(at + 2u, k4), load_a(at + 3u, k4));
    let k = k0 + thread / TILE4;
    let column4 = min(n4 + thread % TILE4, N4 - 1u);
    return Next(transpose(rows), mat4x4(load_b(k, column4), load_b(k + 4u, column4), load_b(k + 8u, column4),
        load_b(k + 12u, column4)));
}

fn load_b(k: u32, column4: u32) -> vec4<f32> {
    return b[min(k, K - 1u) * N4 + column4];
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let m = group.x / TILES_N * TILE;
    let n4 = group.x % TILES_N * TILE4;
    let row4 = thread / 8u;
    let column4 = thread % 8u;
    var sum: array<array<array<vec4<f32>, 2>, 4>, 2>; // [half][row][half]
    var next = load(m, n4, 0u, thread);
    for (var k0 = 0u; k0 < K; k0 += DEPTH) {
        for (var i = 0u; i < 4u; i++) {
            tile_a[(thread % 4u * 4u + i) * TILE4 + thread / 4u] = next.a[i];
            tile_b[(thread / TILE4 + i * 4u) * TILE4 + thread % TILE4] = next.b[i];
        }
        next = load(m, n4, k0 + DEPTH, thread);
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
