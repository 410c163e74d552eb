// Matrix product, its sum in parts:  c[m, n] = sum over k of a[m, k] * b[k, n]
//
// As 5_conflict_free, but the sum over k is cut into SPLITS parts, each with workgroups and a result of its own (stage 0, into
// scratch); then a thread adds up the parts of one vec4 of c, in order (stage 1).
// Why: a 512 x 512 product has 64 tiles, and a GPU with a hundred cores wants several workgroups for each. It also shortens
// the chain of additions, and with it the rounding error.

@group(0) @binding(0) var<storage, read> a: array<vec4<f32>>; // [m][k4]
@group(0) @binding(1) var<storage, read> b: array<vec4<f32>>; // [k][n4]
@group(0) @binding(2) var<storage, read_write> c: array<vec4<f32>>; // [m][n4]
@group(0) @binding(3) var<storage, read_write> scratch: array<vec4<f32>>; // [part][m][n4]

const M: u32 = 1u;
const K: u32 = 1u;
const N4: u32 = 1u;
const K4: u32 = 1u;
const TILE: u32 = 64u;
const TILE4: u32 = TILE / 4u;
const DEPTH: u32 = 16u;
const TILES_N: u32 = (N4 + TILE4 - 1u) / TILE4;
const TILES: u32 = (M + TILE - 1u) / TILE * TILES_N;
const SPLITS: u32 = clamp(512u / TILES, 1u, (K + 63u) / 64u);
const SPLIT_K: u32 = (K + SPLITS * DEPTH - 1u) / (SPLITS * DEPTH) * DEPTH; // terms of a part
const STAGE: u32 = 0u;
const STAGES: u32 = 2u;
const SCRATCH: u32 = SPLITS * M * N4;
const GROUPS: u32 = select(TILES * SPLITS, (M * N4 + 63u) / 64u, STAGE == 1u);

var<workgroup> tile_a: array<vec4<f32>, DEPTH * TILE4>; // [k][m4]
var<workgroup> tile_b: array<vec4<f32>, DEPTH * TILE4>; // [k][n4]

// Four terms of row m.
fn load_a(m: u32, k4: u32) -> vec4<f32> {
    return select(vec4(0.0), a[min(m, M - 1u) * K4 + min(k4, K4 - 1u)], k4 < K4);
}

fn merge(i: u32) {
    if i >= M * N4 {
        return;
    }
    var sum = scratch[i];
    for (var part = 1u; part < SPLITS; part++) {
        sum += scratch[part * M * N4 + i];
    }
    c[i] = sum;
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    if STAGE == 1u {
        merge(group.x * 64u + thread);
        return;
    }
    let part = group.x / TILES;
    let m = group.x % TILES / TILES_N * TILE;
    let n4 = group.x % TILES_N * TILE4;
    let row4 = thread / 8u;
    let column4 = thread % 8u;
    var sum: array<array<array<vec4<f32>, 2>, 4>, 2>; // [half][row][half]
    for (var k0 = part * SPLIT_K; k0 < min((part + 1u) * SPLIT_K, K); k0 += DEPTH) {
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
                    scratch[(part * M + to) * N4 + n4 + j * 8u + column4] = sum[half][i][j];
                }
            }
        }
    }
}
