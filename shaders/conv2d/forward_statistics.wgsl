// Convolution, forward, as conv2d/forward.wgsl computes it, and what a batch norm asks of its output: of each block of rows
// count, mean and sum of squared deviations of every channel, while these are in registers.
//
// A block is the rows of a workgroup's tile. Its numbers are added up, and then their squared distances from the mean, each as
// a tree of fixed shape. Statistics are of what y holds: of halves they are those of the rounded numbers. Only whole sums have
// them in registers, so SPLITS is 1; and only the core for GPUs does it.
// batch_norm/statistics_blocks.wgsl and statistics_merge.wgsl merge the blocks.
// Host: ops/conv2d/steps.rs::with_moments. Twins: those of the convolution and of the batch norm.
// Test: tests/conv2d.rs::statistics.
// Uses: lib/grid.wgsl, lib/gemm_tile.wgsl, lib/patches.wgsl

struct Parameters {
    first_block: u32, // blocks of earlier windows
}

@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> weights: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> bias: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> y: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> partial: array<vec4<f32>>; // [block][count, mean, m2][column4]
@group(0) @binding(5) var<uniform> parameters: Parameters;

const HALVES: bool = false; // y holds halves
const SCRATCH: u32 = THREADS;

fn load_a(row: u32, ky: u32, kx: u32, i4: u32) -> vec4<f32> {
    let tap = tap_of(row, ky, kx);
    return select(vec4(0.0), x[tap.pixel * (W / 4u) + i4], tap.inside);
}

fn load_b(i: u32, ky: u32, kx: u32, n4: u32) -> vec4<f32> {
    return weights[((ky * V + kx) * W + i) * N4 + n4];
}

// Stores a number of four channels; what is then there, and zeros past the edge.
fn stored(row: u32, n4: u32, sum: vec4<f32>) -> vec4<f32> {
    var value = vec4(0.0);
    if row < M && n4 < N4 {
        let to = output_of(row) * N4 + n4;
        value = bias[n4] + sum;
        y[to] = value;
        if HALVES {
            value = y[to];
        }
    }
    return value;
}

fn stored_rows(row: u32, n4: u32, sums: mat4x4<f32>) -> mat4x4<f32> {
    return mat4x4(
        stored(row, n4, sums[0]),
        stored(row + 1u, n4, sums[1]),
        stored(row + 2u, n4, sums[2]),
        stored(row + 3u, n4, sums[3]),
    );
}

fn squared(row: u32, distance: vec4<f32>) -> vec4<f32> {
    return select(vec4(0.0), distance * distance, row < M);
}

// The squared distances of four rows from a mean, added up; rows past the edge have none.
fn deviations(row: u32, rows: mat4x4<f32>, mean: vec4<f32>) -> vec4<f32> {
    let first = squared(row, rows[0] - mean) + squared(row + 1u, rows[1] - mean);
    return first + (squared(row + 2u, rows[2] - mean) + squared(row + 3u, rows[3] - mean));
}

// The sum over the threads of a column.
fn total(own: vec4<f32>, thread: u32) -> vec4<f32> {
    tile_a[thread] = own;
    for (var step = THREADS_M / 2u; step > 0u; step /= 2u) {
        workgroupBarrier();
        if thread / THREADS_N < step {
            tile_a[thread] += tile_a[thread + step * THREADS_N];
        }
    }
    workgroupBarrier();
    let all = tile_a[thread % THREADS_N];
    workgroupBarrier();
    return all;
}

// Stores half of the columns of a thread, and their moments.
fn finish(tile: Tile, thread: u32, n4: u32, upper_sums: mat4x4<f32>, lower_sums: mat4x4<f32>) {
    let m = first_row(tile, thread);
    let upper = stored_rows(m, n4, upper_sums);
    let lower = stored_rows(m + THREADS_M * 4u, n4, lower_sums);
    let count = f32(min(TILE_M, M - tile.row));
    let of_upper = (upper[0] + upper[1]) + (upper[2] + upper[3]);
    let of_lower = (lower[0] + lower[1]) + (lower[2] + lower[3]);
    let mean = total(of_upper + of_lower, thread) / count;
    let m2 = total(deviations(m, upper, mean) + deviations(m + THREADS_M * 4u, lower, mean), thread);
    if thread < THREADS_N && n4 < N4 {
        let to = (parameters.first_block + tile.row / TILE_M) * 3u * N4 + n4;
        partial[to] = vec4(count);
        partial[to + N4] = mean;
        partial[to + 2u * N4] = m2;
    }
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
    let sums = sums_of(tile, thread);
    let n4 = first_column4(tile, thread);
    finish(tile, thread, n4, sums.upper_left, sums.lower_left);
    finish(tile, thread, n4 + THREADS_N, sums.upper_right, sums.lower_right);
}
