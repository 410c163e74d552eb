// Batch norm, statistics:  mean[c] and m2[c] = sum over rows of (x[row, c] - mean[c])^2, block by block of rows
//
// A workgroup reduces one block (lib/columns.wgsl) by Welford's recurrence and Chan's merge (lib/moments.wgsl);
// batch_norm/statistics_merge.wgsl merges the blocks of all batch windows.
// Host: ops/batch_norm/parts.rs::read. Twin: ops/batch_norm/twin.rs::statistics.
// Test: tests/batch_norm.rs::statistics.
// Uses: lib/grid.wgsl, lib/columns.wgsl, lib/lanes.wgsl

@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read_write> partial: array<vec4<f32>>; // [block][count, mean, m2][column4]

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let at = place(group_index(group, groups), thread);
    var moments = Moments(0.0, vec4(0.0), vec4(0.0));
    var row = at.first_row;
    for (; row + 4u <= at.end_row; row += 4u) {
        // Four loads on their way at once.
        let index = row * COLUMNS4 + at.column4;
        let a = x[index];
        let b = x[index + COLUMNS4];
        let c = x[index + 2u * COLUMNS4];
        let d = x[index + 3u * COLUMNS4];
        moments = include_four(moments, a, b, c, d);
    }
    for (; row < at.end_row; row++) {
        moments = include(moments, x[row * COLUMNS4 + at.column4]);
    }
    let result = of_all_lanes(moments, thread, at.lane, TILE4);
    if writes_result(at) {
        let to = (FIRST_BLOCK + at.block) * 3u * COLUMNS4 + at.column4;
        partial[to] = vec4(result.count);
        partial[to + COLUMNS4] = result.mean;
        partial[to + 2u * COLUMNS4] = result.m2;
    }
}
