// Softmax and its cross-entropy's gradient, without the largest logit:
//   p[c] = exp(z[c] - top) / sum of exp(z - top),  dz[c] = weight[label] * (p[c] - (c == label)) / BATCH
//
// A thread computes one sample, in three loops: the largest logit, the sum, the results.
// Why: exp(-top) is a factor of numerator and denominator alike, so p is the same number. Now every exponent is at most 0 and
// one of them is 0: nothing overflows, and the sum is at least 1.

@group(0) @binding(0) var<storage, read> logits: array<f32>; // [sample][class], rows of STRIDE
@group(0) @binding(1) var<storage, read> labels: array<u32>;
@group(0) @binding(2) var<storage, read> class_weight: array<f32>;
@group(0) @binding(3) var<storage, read_write> probabilities: array<f32>;
@group(0) @binding(4) var<storage, read_write> grad_logits: array<f32>;

const BATCH: u32 = 1u;
const CLASSES: u32 = 1u;
const STRIDE: u32 = 4u;
const WORKGROUP: u32 = 64u;
const GROUPS: u32 = (BATCH + WORKGROUP - 1u) / WORKGROUP;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let sample = id.x;
    if sample >= BATCH {
        return;
    }
    let base = sample * STRIDE;
    var top = logits[base];
    for (var c = 1u; c < CLASSES; c++) {
        top = max(top, logits[base + c]);
    }
    var sum = 0.0;
    for (var c = 0u; c < CLASSES; c++) {
        sum += exp(logits[base + c] - top);
    }
    let label = labels[sample];
    for (var c = 0u; c < CLASSES; c++) {
        let p = exp(logits[base + c] - top) / sum;
        probabilities[base + c] = p;
        grad_logits[base + c] = class_weight[label] * (p - select(0.0, 1.0, c == label)) / f32(BATCH);
    }
}
