// Matrix product without workgroup memory: the same interface as lib/gemm.wgsl, for adapters whose subgroups have one
// fixed size, LANES. A workgroup is one subgroup. Each lane keeps COLUMNS4 vec4 columns of a 4 * LANES row tile of C; the
// lanes load a panel of A (all its rows, four terms) together, and each row of it is handed to all by a shuffle.
//
// On a CPU adapter (lavapipe: 8 lanes are one AVX register) this is about five times as fast as staging through
// workgroup memory, which is ordinary memory there. Host: ops/gemm.rs.
// Uses: lib/grid.wgsl

const M: u32 = 1u;
const N4: u32 = 1u;
const U: u32 = 1u;
const V: u32 = 1u;
const W: u32 = 4u;
const SPLITS: u32 = 1u;      // parts of the sum, each with a result of its own
const U_PER_SPLIT: u32 = 1u;
const TRANSPOSED_A: bool = false;
const ROWS_FIRST: bool = false; // neighbouring workgroups share columns of B instead of rows of A
const LANES: u32 = 8u;
const COLUMNS4: u32 = 2u;

const TILE_M: u32 = 4u * LANES;
const TILE_N4: u32 = LANES * COLUMNS4;
const TILES_M: u32 = (M + TILE_M - 1u) / TILE_M;
const TILES_N: u32 = (N4 + TILE_N4 - 1u) / TILE_N4;

// What this lane loads of a panel of A: row i * LANES + lane at all four terms; with a transposed A, rows 4 * lane ..
// 4 * lane + 3 at term number i.
fn panel_of_a(tile_row: u32, u: u32, v: u32, w: u32, i: u32, lane: u32) -> vec4<f32> {
    if TRANSPOSED_A {
        let value = load_a(min(w + i, W - 1u), u, v, min(tile_row / 4u + lane, M / 4u - 1u));
        return select(vec4(0.0), value, w + i < W);
    }
    return load_a(min(tile_row + i * LANES + lane, M - 1u), u, v, w / 4u);
}

@compute @workgroup_size(LANES)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(subgroup_invocation_id) lane: u32,
) {
    let index = group_index(group, groups);
    if index >= TILES_M * TILES_N * SPLITS {
        return;
    }
    let split = index / (TILES_M * TILES_N);
    let tile_row = TILE_M * select(index / TILES_N % TILES_M, index % TILES_M, ROWS_FIRST);
    let tile_column4 = TILE_N4 * select(index % TILES_N, index / TILES_M % TILES_N, ROWS_FIRST) + lane;

    // Each axis of this array is the range of one loop below: drivers unroll such loops and keep the numbers in
    // registers. Row i * LANES + l of the tile is at [i][l]; with a transposed A, row 4 * l + i.
    var sum: array<array<array<vec4<f32>, COLUMNS4>, LANES>, 4>;
    // Sums of sums: a chain of thousands of additions to one f32 would lose several times the digits.
    var total: array<array<array<vec4<f32>, COLUMNS4>, LANES>, 4>;
    let box = reach(tile_row, min(tile_row + TILE_M, M) - 1u);
    for (var u = max(box.x, split * U_PER_SPLIT); u < min(box.y, (split + 1u) * U_PER_SPLIT); u++) {
        for (var v = box.z; v < box.w; v++) {
            for (var w = 0u; w < W; w += 4u) {
                var a: array<vec4<f32>, 4>;
                for (var i = 0u; i < 4u; i++) {
                    a[i] = panel_of_a(tile_row, u, v, w, i, lane);
                }
                var b: array<mat4x4<f32>, COLUMNS4>; // [column4][term]
                for (var j = 0u; j < COLUMNS4; j++) {
                    for (var i = 0u; i < 4u; i++) {
                        b[j][i] = load_b(u, v, min(w + i, W - 1u), min(tile_column4 + j * LANES, N4 - 1u));
                    }
                }
                for (var l = 0u; l < LANES; l++) {
                    var block: mat4x4<f32>; // [row][term]
                    for (var i = 0u; i < 4u; i++) {
                        block[i] = subgroupShuffle(a[i], l);
                    }
                    if TRANSPOSED_A {
                        block = transpose(block);
                    }
                    for (var i = 0u; i < 4u; i++) {
                        for (var j = 0u; j < COLUMNS4; j++) {
                            var value = sum[i][l][j];
                            value = fma(vec4(block[i].x), b[j][0], value);
                            value = fma(vec4(block[i].y), b[j][1], value);
                            value = fma(vec4(block[i].z), b[j][2], value);
                            sum[i][l][j] = fma(vec4(block[i].w), b[j][3], value);
                        }
                    }
                }
            }
        }
        for (var l = 0u; l < LANES; l++) {
            for (var i = 0u; i < 4u; i++) {
                for (var j = 0u; j < COLUMNS4; j++) {
                    total[i][l][j] += sum[i][l][j];
                    sum[i][l][j] = vec4(0.0);
                }
            }
        }
    }

    for (var j = 0u; j < COLUMNS4; j++) {
        let n4 = tile_column4 + j * LANES;
        let base = start(min(n4, N4 - 1u));
        for (var l = 0u; l < LANES; l++) {
            for (var i = 0u; i < 4u; i++) {
                let m = tile_row + select(i * LANES + l, 4u * l + i, TRANSPOSED_A);
                if m < M && n4 < N4 {
                    store(split, m, n4, base + total[i][l][j]);
                }
            }
        }
    }
}
