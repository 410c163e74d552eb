// Batch norm, statistics of runs of blocks from those of single blocks, where there are too many for statistics_merge.wgsl:
// count, mean and sum of squared deviations of all rows of a run.
//
// A workgroup merges one run (lib/columns.wgsl, whose rows are blocks here); a thread merges ROWS_PER_LANE blocks one after
// the other, then lanes are merged as a tree (lib/moments.wgsl). One dispatch per share of the batch.
// Host: ops/batch_norm/parts.rs::merge_runs. Twin: ops/batch_norm/twin.rs::statistics. Test: tests/winograd.rs::statistics.
// Uses: lib/grid.wgsl, lib/columns.wgsl, lib/lanes.wgsl

@group(0) @binding(0) var<storage, read> blocks: array<vec4<f32>>;        // [block][count, mean, m2][column4]
@group(0) @binding(1) var<storage, read_write> partial: array<vec4<f32>>; // [run][count, mean, m2][column4]

const FIRST_ROW: u32 = 0u; // blocks of earlier shares

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let at = place(group_index(group, groups), thread);
    var moments = Moments(0.0, vec4(0.0), vec4(0.0));
    for (var row = at.first_row; row < at.end_row; row++) {
        let index = (FIRST_ROW + row) * 3u * COLUMNS4 + at.column4;
        moments = merge(moments, Moments(blocks[index].x, blocks[index + COLUMNS4], blocks[index + 2u * COLUMNS4]));
    }
    let result = of_all_lanes(moments, thread, at.lane, TILE4);
    if writes_result(at) {
        let to = (FIRST_BLOCK + at.block) * 3u * COLUMNS4 + at.column4;
        partial[to] = vec4(result.count);
        partial[to + COLUMNS4] = result.mean;
        partial[to + 2u * COLUMNS4] = result.m2;
    }
}
