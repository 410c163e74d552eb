// Matrix product on matrix units (lib/product.wgsl), which multiply small matrices as one operation of a subgroup. They take
// factors in half precision and add up in f32.
//
// A workgroup computes a tile of C of PARTS_M x PARTS_N parts, each of 32 x 32 values that one subgroup keeps in matrices.
// Threads round a tile of each factor to halves in workgroup memory, laid out as the factor is stored: a transposed one is
// read by columns. Subgroups may have any size: where they are fewer than the parts, they take turns, tile after tile.
//
// Halves end at 65,504 and, with fewer and fewer digits, at 6e-8. Gradients are smaller than that: a power of two,
// SCALE_A or SCALE_B, lifts them, and is taken out of the sums again.
//
// WGSL has the size of a matrix in its type. It is written as 8 x 8 here; the loader writes the size that MATRIX says.
// Host: ops/product.rs. Tests: tests/conv2d.rs.
// Uses: lib/grid.wgsl, lib/product.wgsl

const MATRIX: u32 = 8u;   // rows and columns of a matrix
const THREADS: u32 = 32u;
const PARTS_M: u32 = 2u;
const PARTS_N: u32 = 2u;
const SCALE_A: f32 = 1.0;
const SCALE_B: f32 = 1.0;

const PART: u32 = 32u;    // rows and columns of a part
const DEPTH: u32 = 16u;   // terms of a tile of a factor
const SIDE: u32 = PART / MATRIX;
const PARTS: u32 = PARTS_M * PARTS_N;
const TILE_M: u32 = PARTS_M * PART;
const TILE_N4: u32 = PARTS_N * PART / 4u;

// Rows in workgroup memory have 16 bytes more than they need, so that not all of them begin in the same bank.
const MORE: u32 = 2u;
const ROW_OF_TERMS: u32 = DEPTH / 4u + MORE;
const ROW_OF_A: u32 = TILE_M / 4u + MORE; // of a transposed A: its rows, at one term
const ROW_OF_B: u32 = TILE_N4 + MORE;     // columns, at one term

// As large as either layout needs.
var<workgroup> tile_a: array<vec4<f16>, TILE_M * ROW_OF_TERMS>;
var<workgroup> tile_b: array<vec4<f16>, TILE_N4 * 4u * ROW_OF_TERMS>;
// A row of each part's matrices, on its way out.
var<workgroup> sums: array<vec4<f32>, PARTS * MATRIX * PART / 4u>;

// Rounds tiles of both factors to halves, of the terms from u, v, w. Rows and columns past the edge repeat the last one; terms
// past the edge are zeros.
fn stage(tile: Tile, u: u32, v: u32, w: u32, thread: u32) {
    for (var i = thread; i < TILE_M * DEPTH / 4u; i += THREADS) {
        if TRANSPOSED_A {
            let term = w + i / (TILE_M / 4u);
            let m4 = i % (TILE_M / 4u);
            let value = load_a(min(term, W - 1u), u, v, min(tile.row / 4u + m4, M / 4u - 1u));
            tile_a[i / (TILE_M / 4u) * ROW_OF_A + m4] = vec4<f16>(select(vec4(0.0), value, term < W) * SCALE_A);
        } else {
            let m = i / (DEPTH / 4u);
            let term = w + i % (DEPTH / 4u) * 4u;
            let value = load_a(min(tile.row + m, M - 1u), u, v, min(term, W - 4u) / 4u);
            tile_a[m * ROW_OF_TERMS + i % (DEPTH / 4u)] = vec4<f16>(select(vec4(0.0), value, term < W) * SCALE_A);
        }
    }
    for (var i = thread; i < TILE_N4 * DEPTH; i += THREADS) {
        if TRANSPOSED_B {
            let n = i / (DEPTH / 4u);
            let term = w + i % (DEPTH / 4u) * 4u;
            let value = load_b(min(tile.column4 * 4u + n, N4 * 4u - 1u), u, v, min(term, W - 4u) / 4u);
            tile_b[n * ROW_OF_TERMS + i % (DEPTH / 4u)] = vec4<f16>(select(vec4(0.0), value, term < W) * SCALE_B);
        } else {
            let term = w + i / TILE_N4;
            let n4 = i % TILE_N4;
            let value = load_b(min(term, W - 1u), u, v, min(tile.column4 + n4, N4 - 1u));
            tile_b[i / TILE_N4 * ROW_OF_B + n4] = vec4<f16>(select(vec4(0.0), value, term < W) * SCALE_B);
        }
    }
}

// MATRIX rows from m and as many terms from w, of the tile.
fn matrix_of_a(m: u32, w: u32) -> coop_mat8x8<f16, A> {
    if TRANSPOSED_A {
        return coopLoad<coop_mat8x8<f16, A>>(&tile_a[w * ROW_OF_A + m / 4u], ROW_OF_A);
    }
    return coopLoadT<coop_mat8x8<f16, A>>(&tile_a[m * ROW_OF_TERMS + w / 4u], ROW_OF_TERMS);
}

// MATRIX terms from w and as many columns from n, of the tile.
fn matrix_of_b(w: u32, n: u32) -> coop_mat8x8<f16, B> {
    if TRANSPOSED_B {
        return coopLoad<coop_mat8x8<f16, B>>(&tile_b[n * ROW_OF_TERMS + w / 4u], ROW_OF_TERMS);
    }
    return coopLoadT<coop_mat8x8<f16, B>>(&tile_b[w * ROW_OF_B + n / 4u], ROW_OF_B);
}

@compute @workgroup_size(THREADS)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
    @builtin(subgroup_id) subgroup: u32,
    @builtin(num_subgroups) subgroups: u32,
) {
    let tile = tile_of(group_index(group, groups));
    let terms = terms_of(tile.split, reach(tile.row, min(tile.row + TILE_M, M) - 1u));
    // Workgroups past the last split, and subgroups past the last part, leave out loops: naga allows these matrices where control
    // flow is uniform, and takes an `if` or a return for flow that is not.
    for (var first = select(PARTS, 0u, tile.split < SPLITS); first < PARTS; first += subgroups) {
        let part = first + subgroup;
        let is_part = part < PARTS;
        let row = part / PARTS_N * PART;
        let column = part % PARTS_N * PART;
        var c: array<array<coop_mat8x8<f32, C>, SIDE>, SIDE>;
        for (var u = terms.u.x; u < terms.u.y; u++) {
            for (var v = terms.v.x; v < terms.v.y; v++) {
                for (var w = terms.w.x; w < terms.w.y; w += DEPTH) {
                    stage(tile, u, v, w, thread);
                    workgroupBarrier();
                    for (var k = select(DEPTH, 0u, is_part); k < DEPTH; k += MATRIX) {
                        var b: array<coop_mat8x8<f16, B>, SIDE>;
                        for (var j = 0u; j < SIDE; j++) {
                            b[j] = matrix_of_b(k, column + j * MATRIX);
                        }
                        for (var i = 0u; i < SIDE; i++) {
                            let a = matrix_of_a(row + i * MATRIX, k);
                            for (var j = 0u; j < SIDE; j++) {
                                c[i][j] = coopMultiplyAdd(a, b[j], c[i][j]);
                            }
                        }
                    }
                    workgroupBarrier();
                }
            }
        }
        let count = min(subgroups, PARTS - first) * MATRIX * PART / 4u;
        for (var i = 0u; i < SIDE; i++) {
            for (var j = select(SIDE, 0u, is_part); j < SIDE; j++) {
                coopStoreT(c[i][j], &sums[(subgroup * MATRIX * PART + j * MATRIX) / 4u], PART / 4u);
            }
            workgroupBarrier();
            for (var at = thread; at < count; at += THREADS) {
                let owner = first + at / (MATRIX * PART / 4u);
                let m = tile.row + owner / PARTS_N * PART + i * MATRIX + at / (PART / 4u) % MATRIX;
                let n4 = tile.column4 + owner % PARTS_N * (PART / 4u) + at % (PART / 4u);
                if m < M && n4 < N4 {
                    store(tile.split, m, n4, start(n4) + sums[at] * (1.0 / (SCALE_A * SCALE_B)));
                }
            }
            workgroupBarrier();
        }
    }
}
