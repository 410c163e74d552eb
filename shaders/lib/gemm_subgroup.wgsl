// Matrix product without workgroup memory: the same interface as lib/gemm.wgsl, for adapters whose subgroups have one
// fixed size, LANES. A workgroup is one subgroup. Each lane keeps COLUMNS4 vec4 columns of a ROWS-row tile of C; the
// lanes load a panel of A (ROWS rows x four k) together, and each row of it is handed to all of them by a shuffle.
//
// On a CPU adapter (lavapipe: 8 lanes are one AVX register) this is about five times as fast as staging through
// workgroup memory, which is ordinary memory there. Host: ops/gemm.rs.
// Uses: lib/grid.wgsl

const M: u32 = 1u;
const N4: u32 = 1u;
const K: u32 = 4u;
const K_PER_SPLIT: u32 = 4u; // a multiple of 4 when there is more than one split
const SPLITS: u32 = 1u;
const TRANSPOSED_A: bool = false;
const LANES: u32 = 8u;
const ROWS: u32 = 32u;
const COLUMNS4: u32 = 2u;

const PANEL: u32 = (ROWS + LANES - 1u) / LANES; // vec4s of A that a lane keeps
const TILE_N4: u32 = LANES * COLUMNS4;
const TILES_M: u32 = (M + ROWS - 1u) / ROWS;
const TILES_N: u32 = (N4 + TILE_N4 - 1u) / TILE_N4;

// The vec4s of a panel are numbered: row by row, or with a transposed A four rows after four rows, k by k.
fn panel_of_a(tile_row: u32, k4: u32, number: u32, k_end: u32) -> vec4<f32> {
    if TRANSPOSED_A {
        let k = k4 * 4u + number / (ROWS / 4u);
        let m4 = min(tile_row / 4u + number % (ROWS / 4u), M / 4u - 1u);
        return select(vec4(0.0), load_a(min(k, K - 1u), m4), k < k_end);
    }
    return load_a(min(tile_row + number, M - 1u), k4);
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
    let tile_row = index / TILES_N % TILES_M * ROWS;
    let tile_column4 = index % TILES_N * TILE_N4 + lane;
    let k_begin = split * K_PER_SPLIT;
    let k_end = min(k_begin + K_PER_SPLIT, K);

    var sum: array<vec4<f32>, ROWS * COLUMNS4>;
    for (var k0 = k_begin; k0 < k_end; k0 += 4u) {
        var a: array<vec4<f32>, PANEL>;
        for (var i = 0u; i < PANEL; i++) {
            a[i] = panel_of_a(tile_row, k0 / 4u, i * LANES + lane, k_end);
        }
        var b: array<mat4x4<f32>, COLUMNS4>;
        for (var j = 0u; j < COLUMNS4; j++) {
            let n4 = min(tile_column4 + j * LANES, N4 - 1u);
            for (var i = 0u; i < 4u; i++) {
                b[j][i] = load_b(min(k0 + i, K - 1u), n4);
            }
        }
        for (var row = 0u; row < ROWS; row += 4u) {
            var block: mat4x4<f32>; // [row][k]
            for (var i = 0u; i < 4u; i++) {
                // With a transposed A, vec4 number i * (ROWS / 4) + row / 4 holds four rows at the k numbered i.
                let number = select(row + i, i * (ROWS / 4u) + row / 4u, TRANSPOSED_A);
                block[i] = subgroupShuffle(a[number / LANES], number % LANES);
            }
            if TRANSPOSED_A {
                block = transpose(block);
            }
            for (var i = 0u; i < 4u; i++) {
                for (var j = 0u; j < COLUMNS4; j++) {
                    let to = (row + i) * COLUMNS4 + j;
                    sum[to] = fma(vec4(block[i].x), b[j][0], sum[to]);
                    sum[to] = fma(vec4(block[i].y), b[j][1], sum[to]);
                    sum[to] = fma(vec4(block[i].z), b[j][2], sum[to]);
                    sum[to] = fma(vec4(block[i].w), b[j][3], sum[to]);
                }
            }
        }
    }

    for (var row = 0u; row < ROWS; row++) {
        for (var j = 0u; j < COLUMNS4; j++) {
            let m = tile_row + row;
            let n4 = tile_column4 + j * LANES;
            if m < M && n4 < N4 {
                store(split, m, n4, sum[row * COLUMNS4 + j]);
            }
        }
    }
}
