// Matrix products of convolution and dense layers:
//   C[m, n] = start[n] + sum over (u, v, w) of A[m, (u, v, w)] * B[(u, v, w), n]
// The sum runs over a box of U x V x W terms, W the innermost. A dense layer has a box of 1 x 1 x inputs; a convolution
// sums over kernel rows, kernel columns and channels.
//
// The kernel that uses it supplies where the numbers come from and go to (row-major, four columns a vec4):
//   reach(first_row, last_row)   u_begin, u_end, v_begin, v_end: outside these A is zero for all rows from the first to
//                                the last, so the work is left out (taps that fall outside a small image). With one
//                                `return`: FXC takes what follows an early one for uninitialised, and refuses barriers
//   load_a(i, u, v, j4)          without TRANSPOSED_A: row i, four terms from w = 4 * j4
//                                with TRANSPOSED_A: the term w = i, four rows from 4 * j4
//   load_b(i, u, v, j4)          without TRANSPOSED_B: the term w = i, four columns from 4 * j4
//                                with TRANSPOSED_B: column i, four terms from w = 4 * j4
//   start(n4)                    what four columns start from: a bias, or zeros; zeros where SPLITS > 1
//   store(split, m, n4, value)
// Rows and columns past the edge are never asked for; terms past the edge are multiplied as zero.
//
// Three cores compute it: lib/gemm.wgsl, lib/gemm_subgroup.wgsl and lib/gemm_cooperative.wgsl. A core says how large a tile of
// C a workgroup computes: TILE_M rows and TILE_N4 vec4 columns.
// Host: ops/product.rs. Tests: tests/dense.rs, tests/conv2d.rs.

const M: u32 = 1u;
const N4: u32 = 1u;
const U: u32 = 1u;
const V: u32 = 1u;
const W: u32 = 4u;
const SPLITS: u32 = 1u;      // parts of the sum, each with a result of its own: the box is cut along every axis
const V_SPLITS: u32 = 1u;
const W_SPLITS: u32 = 1u;
const U_PER_SPLIT: u32 = 1u;
const V_PER_SPLIT: u32 = 1u;
const W_PER_SPLIT: u32 = 4u;
const TRANSPOSED_A: bool = false;
const TRANSPOSED_B: bool = false;
const ROWS_FIRST: bool = false; // neighbouring workgroups share columns of B instead of rows of A

const TILES_M: u32 = (M + TILE_M - 1u) / TILE_M;
const TILES_N: u32 = (N4 + TILE_N4 - 1u) / TILE_N4;

// A tile of C, in one of the parts of its sum.
struct Tile {
    split: u32,
    row: u32,
    column4: u32,
}

// The tile of a workgroup; past the last split where there are fewer tiles than workgroups.
fn tile_of(group: u32) -> Tile {
    let row = select(group / TILES_N % TILES_M, group % TILES_M, ROWS_FIRST);
    let column = select(group % TILES_N, group / TILES_M % TILES_N, ROWS_FIRST);
    return Tile(group / (TILES_M * TILES_N), row * TILE_M, column * TILE_N4);
}

// The terms that a workgroup sums: of each axis the first, and one past the last.
struct Terms {
    u: vec2<u32>,
    v: vec2<u32>,
    w: vec2<u32>,
}

// Terms of a part of the sum that lie within reach.
fn terms_of(split: u32, box: vec4<u32>) -> Terms {
    let u = split / (V_SPLITS * W_SPLITS) * U_PER_SPLIT;
    let v = split / W_SPLITS % V_SPLITS * V_PER_SPLIT;
    let w = split % W_SPLITS * W_PER_SPLIT;
    return Terms(
        vec2(max(box.x, u), min(box.y, u + U_PER_SPLIT)),
        vec2(max(box.z, v), min(box.w, v + V_PER_SPLIT)),
        vec2(w, min(W, w + W_PER_SPLIT)),
    );
}
