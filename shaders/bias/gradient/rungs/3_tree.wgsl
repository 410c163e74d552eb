// Sum over rows (the gradient of a bias) by a workgroup per four channels, as a tree:  db[c] = sum over rows of dy[row, c]
//
// Threads sum up every WORKGROUP-th row. Then half of them add the sums of the other half to theirs, until one is left.
// Why: with its barriers the sum is right on every device, and the last additions take eight turns instead of 255. The tree has
// one shape, so the same numbers give the same bits. Neighbouring threads read addresses a whole row apart.

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
    for (var step = WORKGROUP / 2u; step > 0u; step /= 2u) {
        workgroupBarrier();
        if thread < step {
            shared_sum[thread] += shared_sum[thread + step];
        }
    }
    if thread == 0u {
        grad_bias[group.x] = shared_sum[0];
    }
}
