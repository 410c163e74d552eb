// Matrix product through workgroup memory (lib/product.wgsl): the core for GPUs. A workgroup computes a tile of C and stores it.
// Host: ops/product.rs. Tests: tests/dense.rs, tests/conv2d.rs.
// Uses: lib/grid.wgsl, lib/gemm_tile.wgsl

const SCRATCH: u32 = 0u;

fn put(split: u32, m: u32, n4: u32, value: vec4<f32>) {
    if m < M && n4 < N4 {
        store(split, m, n4, start(n4) + value);
    }
}

fn put_rows(split: u32, m: u32, n4: u32, rows: mat4x4<f32>) {
    put(split, m, n4, rows[0]);
    put(split, m + 1u, n4, rows[1]);
    put(split, m + 2u, n4, rows[2]);
    put(split, m + 3u, n4, rows[3]);
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
    let m = first_row(tile, thread);
    let n4 = first_column4(tile, thread);
    put_rows(tile.split, m, n4, sums.upper_left);
    put_rows(tile.split, m, n4 + THREADS_N, sums.upper_right);
    put_rows(tile.split, m + THREADS_M * 4u, n4, sums.lower_left);
    put_rows(tile.split, m + THREADS_M * 4u, n4 + THREADS_N, sums.lower_right);
}
