// Softmax and its cross-entropy's gradient, a workgroup per sample:
//   p[c] = exp(z[c] - top) / sum of exp(z - top),  dz[c] = weight[label] * (p[c] - (c == label)) / BATCH
//
// Threads take every WORKGROUP-th class and combine their largest logits, then their sums, as trees.
// Why: with many classes a loop in one thread is long, and its neighbours read addresses a whole row apart. Here neighbours read
// neighbouring logits. With the eight classes of the tutorial most threads idle: training has a thread per sample.

@group(0) @binding(0) var<storage, read> logits: array<f32>; // [sample][class], rows of STRIDE
@group(0) @binding(1) var<storage, read> labels: array<u32>;
@group(0) @binding(2) var<storage, read> class_weight: array<f32>;
@group(0) @binding(3) var<storage, read_write> probabilities: array<f32>;
@group(0) @binding(4) var<storage, read_write> grad_logits: array<f32>;

const BATCH: u32 = 1u;
const CLASSES: u32 = 1u;
const STRIDE: u32 = 4u;
const WORKGROUP: u32 = 64u;
const GROUPS: u32 = BATCH;
const LEAST: f32 = -3.4e38f; // below every logit

var<workgroup> shared_values: array<f32, WORKGROUP>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let base = group.x * STRIDE;
    var top = LEAST;
    for (var c = thread; c < CLASSES; c += WORKGROUP) {
        top = max(top, logits[base + c]);
    }
    shared_values[thread] = top;
    for (var step = WORKGROUP / 2u; step > 0u; step /= 2u) {
        workgroupBarrier();
        if thread < step {
            shared_values[thread] = max(shared_values[thread], shared_values[thread + step]);
        }
    }
    workgroupBarrier();
    top = shared_values[0];
    var sum = 0.0;
    for (var c = thread; c < CLASSES; c += WORKGROUP) {
        sum += exp(logits[base + c] - top);
    }
    workgroupBarrier(); // all have read the largest before a sum takes its place
    shared_values[thread] = sum;
    for (var step = WORKGROUP / 2u; step > 0u; step /= 2u) {
        workgroupBarrier();
        if thread < step {
            shared_values[thread] += shared_values[thread + step];
        }
    }
    workgroupBarrier();
    sum = shared_values[0];
    let label = labels[group.x];
    for (var c = thread; c < CLASSES; c += WORKGROUP) {
        let p = exp(logits[base + c] - top) / sum;
        probabilities[base + c] = p;
        grad_logits[base + c] = class_weight[label] * (p - select(0.0, 1.0, c == label)) / f32(BATCH);
    }
}
