// Gradient of a bias, block by block of rows:  db[c] = sum over rows of dy[row, c]
//
// A workgroup sums one block (lib/columns.wgsl); sum/merge.wgsl adds the blocks up in order.
// Host: ops/bias/steps.rs::of_windows. Twin: ops/bias/twin.rs::gradient. Test: tests/bias.rs::gradient.
// Uses: lib/grid.wgsl, lib/columns.wgsl

@group(0) @binding(0) var<storage, read> grad_y: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read_write> partial: array<vec4<f32>>; // [block][column4]

var<workgroup> shared_sum: array<vec4<f32>, WORKGROUP>;

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let at = place(group_index(group, groups), thread);
    var sum = vec4(0.0);
    var row = at.first_row;
    for (; row + 4u <= at.end_row; row += 4u) {
        // Four loads on their way at once.
        let index = row * COLUMNS4 + at.column4;
        let first = grad_y[index] + grad_y[index + COLUMNS4];
        sum += first + (grad_y[index + 2u * COLUMNS4] + grad_y[index + 3u * COLUMNS4]);
    }
    for (; row < at.end_row; row++) {
        sum += grad_y[row * COLUMNS4 + at.column4];
    }
    shared_sum[thread] = sum;
    for (var step = 1u; step < LANES; step *= 2u) {
        workgroupBarrier();
        if at.lane % (2u * step) == 0u && at.lane + step < LANES {
            shared_sum[thread] += shared_sum[thread + step * TILE4];
        }
    }
    if writes_result(at) {
        partial[(FIRST_BLOCK + at.block) * COLUMNS4 + at.column4] = shared_sum[thread];
    }
}
