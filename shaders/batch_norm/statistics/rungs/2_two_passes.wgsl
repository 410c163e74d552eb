// Batch norm, statistics in two passes:  mean = sum of x / n,  variance = sum of (x - mean)^2 / n
//
// A workgroup takes four channels: its threads sum up every WORKGROUP-th row and add their sums as a tree, once for the mean
// and once for the squares of what is left without it.
// Why: what is squared is small where the variance is, so nothing cancels. A tree adds WORKGROUP sums in a few turns, and its
// chains of additions are short. It reads x twice.

@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>; // [row][column4]
@group(0) @binding(1) var<storage, read_write> statistics: array<vec4<f32>>; // [mean, variance][column4]

const ROWS: u32 = 1u;
const COLUMNS4: u32 = 1u;
const WORKGROUP: u32 = 256u;
const GROUPS: u32 = COLUMNS4;

var<workgroup> shared_sum: array<vec4<f32>, WORKGROUP>;

// The sum of what all threads bring.
fn tree(thread: u32, value: vec4<f32>) -> vec4<f32> {
    workgroupBarrier(); // or a thread would overwrite the sum of the tree before, which others still read
    shared_sum[thread] = value;
    for (var step = WORKGROUP / 2u; step > 0u; step /= 2u) {
        workgroupBarrier();
        if thread < step {
            shared_sum[thread] += shared_sum[thread + step];
        }
    }
    workgroupBarrier();
    return shared_sum[0];
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let column4 = group.x;
    var sum = vec4(0.0);
    for (var row = thread; row < ROWS; row += WORKGROUP) {
        sum += x[row * COLUMNS4 + column4];
    }
    let mean = tree(thread, sum) / f32(ROWS);
    var squares = vec4(0.0);
    for (var row = thread; row < ROWS; row += WORKGROUP) {
        let deviation = x[row * COLUMNS4 + column4] - mean;
        squares += deviation * deviation;
    }
    let variance = tree(thread, squares) / f32(ROWS);
    if thread == 0u {
        statistics[column4] = mean;
        statistics[COLUMNS4 + column4] = variance;
    }
}
