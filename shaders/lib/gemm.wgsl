// Matrix product through workgroup memory (lib/product.wgsl).
//
// This core stages tiles through workgroup memory: right for GPUs, whose threads wait long for global memory.
// A workgroup computes a (THREADS_M * 8) x (THREADS_N * 8) tile of C, each thread 8 x 8 of it in registers: two
// groups of four rows and two vec4 columns, half a tile apart so that neighbours read neighbouring addresses.
// Host: ops/product.rs. Tests: tests/dense.rs, tests/conv2d.rs.
// Uses: lib/grid.wgsl, lib/product.wgsl

const THREADS_M: u32 = 8u;
const THREADS_N: u32 = 8u;
const TILE_W: u32 = 16u;

const THREADS: u32 = THREADS_M * THREADS_N;
const TILE_M: u32 = THREADS_M * 8u;
const TILE_M4: u32 = THREADS_M * 2u;
const TILE_N4: u32 = THREADS_N * 2u;

var<workgroup> tile_a: array<vec4<f32>, TILE_W * TILE_M4>; // [w][m4]
var<workgroup> tile_b: array<vec4<f32>, TILE_W * TILE_N4>; // [w][n4]

// The blocks below are written out: FXC does not come to an end where a loop fills a matrix column by column.

// Four numbers of A as they are stored, of four rows from m and four terms from w: row m + i, or with TRANSPOSED_A term w + i.
fn stored_a(i: u32, m: u32, u: u32, v: u32, w: u32) -> vec4<f32> {
    if TRANSPOSED_A {
        return select(vec4(0.0), load_a(min(w + i, W - 1u), u, v, min(m, M - 4u) / 4u), w + i < W);
    }
    return select(vec4(0.0), load_a(min(m + i, M - 1u), u, v, min(w, W - 4u) / 4u), w < W);
}

// Four rows from m and four terms from w, as the columns of a matrix: block[term][row].
fn block_of_a(m: u32, u: u32, v: u32, w: u32) -> mat4x4<f32> {
    let block = mat4x4(
        stored_a(0u, m, u, v, w),
        stored_a(1u, m, u, v, w),
        stored_a(2u, m, u, v, w),
        stored_a(3u, m, u, v, w),
    );
    if TRANSPOSED_A {
        return block;
    }
    return transpose(block);
}

// Four numbers of B as they are stored, of four terms from w and four columns from 4 * n4: term w + i, or with TRANSPOSED_B
// column 4 * n4 + i.
fn stored_b(i: u32, u: u32, v: u32, w: u32, n4: u32) -> vec4<f32> {
    if TRANSPOSED_B {
        return select(vec4(0.0), load_b(n4 * 4u + i, u, v, min(w, W - 4u) / 4u), w < W);
    }
    return select(vec4(0.0), load_b(min(w + i, W - 1u), u, v, n4), w + i < W);
}

// Four terms from w and four columns from 4 * n4: block[term][column].
fn block_of_b(u: u32, v: u32, w: u32, n4: u32) -> mat4x4<f32> {
    let within = min(n4, N4 - 1u);
    let block = mat4x4(
        stored_b(0u, u, v, w, within),
        stored_b(1u, u, v, w, within),
        stored_b(2u, u, v, w, within),
        stored_b(3u, u, v, w, within),
    );
    if TRANSPOSED_B {
        return transpose(block);
    }
    return block;
}

@compute @workgroup_size(THREADS)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let tile = tile_of(group_index(group, groups));
    if tile.split >= SPLITS {
        return;
    }
    let row4 = thread / THREADS_N;
    let column4 = thread % THREADS_N;

    var sum: array<vec4<f32>, 16>; // [row][half of the columns]
    let terms = terms_of(tile.split, reach(tile.row, min(tile.row + TILE_M, M) - 1u));
    for (var u = terms.u.x; u < terms.u.y; u++) {
        for (var v = terms.v.x; v < terms.v.y; v++) {
            for (var w0 = terms.w.x; w0 < terms.w.y; w0 += TILE_W) {
                for (var b = thread; b < TILE_M4 * TILE_W / 4u; b += THREADS) {
                    let m4 = b / (TILE_W / 4u);
                    let w4 = b % (TILE_W / 4u);
                    let block = block_of_a(tile.row + m4 * 4u, u, v, w0 + w4 * 4u);
                    for (var i = 0u; i < 4u; i++) {
                        tile_a[(w4 * 4u + i) * TILE_M4 + m4] = block[i];
                    }
                }
                for (var b = thread; b < TILE_N4 * TILE_W / 4u; b += THREADS) {
                    let n4 = b % TILE_N4;
                    let w4 = b / TILE_N4;
                    let block = block_of_b(u, v, w0 + w4 * 4u, tile.column4 + n4);
                    for (var i = 0u; i < 4u; i++) {
                        tile_b[(w4 * 4u + i) * TILE_N4 + n4] = block[i];
                    }
                }
                workgroupBarrier();
                for (var w = 0u; w < TILE_W; w++) {
                    let b0 = tile_b[w * TILE_N4 + column4];
                    let b1 = tile_b[w * TILE_N4 + THREADS_N + column4];
                    for (var half = 0u; half < 2u; half++) {
                        let a = tile_a[w * TILE_M4 + half * THREADS_M + row4];
                        for (var i = 0u; i < 4u; i++) {
                            sum[half * 8u + i * 2u] = fma(vec4(a[i]), b0, sum[half * 8u + i * 2u]);
                            sum[half * 8u + i * 2u + 1u] = fma(vec4(a[i]), b1, sum[half * 8u + i * 2u + 1u]);
                        }
                    }
                }
                workgroupBarrier();
            }
        }
    }

    for (var i = 0u; i < 16u; i++) {
        let m = tile.row + (i / 8u * THREADS_M + row4) * 4u + i % 8u / 2u;
        let n4 = tile.column4 + i % 2u * THREADS_N + column4;
        if m < M && n4 < N4 {
            store(tile.split, m, n4, start(n4) + sum[i]);
        }
    }
}
