// Sum over rows (the gradient of a bias) by a workgroup per four channels, without a barrier:  db[c] = sum over rows of dy[row, c]
//
// Threads sum up every WORKGROUP-th row, and leave their sums in workgroup memory; the first thread adds these up.
// Why: 256 threads at work where one was. One line is missing.
// Wrong on purpose: nothing makes the first thread wait until the others have written. It adds what workgroup memory held
// before. Where all threads happen to run in step the result is right, and it is a race all the same.

@group(0) @binding(0) var<storage, read> grad_y: array<vec4<f32>>;   // [row][channel4]
@group(0) @binding(1) var<storage, read_write> grad_bias: array<vec4<f32>>; // [channel4]

const ROWS: u32 = 1u;
const COLUMNS4: u32 = 1u;
const WORKGROUP: u32 = 256u;
const GROUPS: u32 = COLUMNS4;

var<workgroup> shared_sum: array<vec4<f32>, WORKGROUP>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    var sum = vec4(0.0);
    for (var row = thread; row < ROWS; row += WORKGROUP) {
        sum += grad_y[row * COLUMNS4 + group.x];
    }
    shared_sum[thread] = sum;
    // Here a workgroupBarrier() is missing.
    if thread == 0u {
        for (var i = 1u; i < WORKGROUP; i++) {
            sum += shared_sum[i];
        }
        grad_bias[group.x] = sum;
    }
}
