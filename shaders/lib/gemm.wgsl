// Matrix product, the core of convolution and dense layers:  C[m, n] = start[n] + sum over k of A[m, k] * B[k, n]
//
// The kernel that uses it supplies where the numbers come from and go to (row-major, four columns a vec4):
//   load_a(i, j4)   four consecutive numbers of row i of the stored A; stored A is A, or its transpose [k, m]
//                   when TRANSPOSED_A
//   load_b(k, n4)   four consecutive columns of row k of B
//   start(n4)       what every row of four columns starts from: a bias, or zeros
//   store(split, m, n4, value)
// Rows and columns past the edge are never asked for; k past the edge is multiplied as zero.
//
// This core stages tiles through workgroup memory: right for GPUs, whose threads wait long for global memory.
// A workgroup computes a (THREADS_M * 8) x (THREADS_N * 8) tile of C, each thread 8 x 8 of it in registers: two
// groups of four rows and two vec4 columns, half a tile apart so that neighbours read neighbouring addresses.
// For other cores with the same interface: lib/gemm_subgroup.wgsl. Host: ops/gemm.rs.
// Uses: lib/grid.wgsl

const M: u32 = 1u;
const N4: u32 = 1u;
const K: u32 = 4u;
const K_PER_SPLIT: u32 = 4u; // a multiple of TILE_K when there is more than one split
const SPLITS: u32 = 1u;
const TRANSPOSED_A: bool = false;
const THREADS_M: u32 = 8u;
const THREADS_N: u32 = 8u;
const TILE_K: u32 = 16u;

const THREADS: u32 = THREADS_M * THREADS_N;
const TILE_M: u32 = THREADS_M * 8u;
const TILE_M4: u32 = THREADS_M * 2u;
const TILE_N4: u32 = THREADS_N * 2u;
const TILES_M: u32 = (M + TILE_M - 1u) / TILE_M;
const TILES_N: u32 = (N4 + TILE_N4 - 1u) / TILE_N4;

var<workgroup> tile_a: array<vec4<f32>, TILE_K * TILE_M4>; // [k][m4]
var<workgroup> tile_b: array<vec4<f32>, TILE_K * TILE_N4>; // [k][n4]

// Four rows from m and four k from k4, as the columns of a matrix: block[kk][row].
fn block_of_a(m: u32, k4: u32, k_end: u32) -> mat4x4<f32> {
    var block: mat4x4<f32>;
    for (var i = 0u; i < 4u; i++) {
        if TRANSPOSED_A {
            block[i] = select(vec4(0.0), load_a(min(k4 * 4u + i, K - 1u), min(m, M - 4u) / 4u), k4 * 4u + i < k_end);
        } else {
            block[i] = select(vec4(0.0), load_a(min(m + i, M - 1u), min(k4, K / 4u - 1u)), k4 * 4u < k_end);
        }
    }
    if TRANSPOSED_A {
        return block;
    }
    return transpose(block);
}

@compute @workgroup_size(THREADS)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let index = group_index(group, groups);
    if index >= TILES_M * TILES_N * SPLITS {
        return;
    }
    let split = index / (TILES_M * TILES_N);
    let tile_row = index / TILES_N % TILES_M * TILE_M;
    let tile_column4 = index % TILES_N * TILE_N4;
    let k_begin = split * K_PER_SPLIT;
    let k_end = min(k_begin + K_PER_SPLIT, K);
    let row4 = thread / THREADS_N;
    let column4 = thread % THREADS_N;

    var sum: array<vec4<f32>, 16>; // [row][half of the columns]
    for (var i = 0u; i < 16u; i++) {
        sum[i] = start(min(tile_column4 + i % 2u * THREADS_N + column4, N4 - 1u));
    }
    for (var k0 = k_begin; k0 < k_end; k0 += TILE_K) {
        for (var b = thread; b < TILE_M4 * TILE_K / 4u; b += THREADS) {
            let m4 = b / (TILE_K / 4u);
            let k4 = b % (TILE_K / 4u);
            let block = block_of_a(tile_row + m4 * 4u, k0 / 4u + k4, k_end);
            for (var i = 0u; i < 4u; i++) {
                tile_a[(k4 * 4u + i) * TILE_M4 + m4] = block[i];
            }
        }
        for (var b = thread; b < TILE_K * TILE_N4; b += THREADS) {
            let k = k0 + b / TILE_N4;
            let value = load_b(min(k, K - 1u), min(tile_column4 + b % TILE_N4, N4 - 1u));
            tile_b[b] = select(vec4(0.0), value, k < k_end);
        }
        workgroupBarrier();
        for (var k = 0u; k < TILE_K; k++) {
            let b0 = tile_b[k * TILE_N4 + column4];
            let b1 = tile_b[k * TILE_N4 + THREADS_N + column4];
            for (var half = 0u; half < 2u; half++) {
                let a = tile_a[k * TILE_M4 + half * THREADS_M + row4];
                for (var i = 0u; i < 4u; i++) {
                    sum[half * 8u + i * 2u] = fma(vec4(a[i]), b0, sum[half * 8u + i * 2u]);
                    sum[half * 8u + i * 2u + 1u] = fma(vec4(a[i]), b1, sum[half * 8u + i * 2u + 1u]);
                }
            }
        }
        workgroupBarrier();
    }

    for (var i = 0u; i < 16u; i++) {
        let m = tile_row + (i / 8u * THREADS_M + row4) * 4u + i % 8u / 2u;
        let n4 = tile_column4 + i % 2u * THREADS_N + column4;
        if m < M && n4 < N4 {
            store(split, m, n4, sum[i]);
        }
    }
}
