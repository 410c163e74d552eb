// Softmax and its cross-entropy's gradient:
//   p[c] = exp(z[c]) / sum of exp(z),  dz[c] = weight[label] * (p[c] - (c == label)) / BATCH
//
// A thread computes one sample.
// Why: the formula, word for word.
// Wrong on purpose: exp(89) is more than f32 holds. A logit of 89 makes the sum infinite and p = infinity / infinity, NaN; and
// where all logits are below -104, all exponentials are 0, and p = 0 / 0.

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
    var sum = 0.0;
    for (var c = 0u; c < CLASSES; c++) {
        sum += exp(logits[base + c]);
    }
    let label = labels[sample];
    for (var c = 0u; c < CLASSES; c++) {
        let p = exp(logits[base + c]) / sum;
        probabilities[base + c] = p;
        grad_logits[base + c] = class_weight[label] * (p - select(0.0, 1.0, c == label)) / f32(BATCH);
    }
}
