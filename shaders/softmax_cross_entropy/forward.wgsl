// Softmax cross-entropy, forward and backward at once, from logits z (Keras's logits path: nothing is clipped):
//   p[b, c]  = exp(z[b, c] - lse[b]),  lse[b] = log(sum over c of exp(z[b, c]))
//   loss[b]  = weight[label] * sum over c of target[b, c] * (lse[b] - z[b, c])
//   dz[b, c] = weight[label] * (p[b, c] - target[b, c]) / BATCH
// with target[b, c] = (1 - SMOOTHING) * (c == label) + SMOOTHING / CLASSES,
// and whether the arg max, the lowest of equals, is the label.
//
// A thread computes one sample: a batch has few, and its classes fit a loop.
// Host: ops/softmax_cross_entropy/steps.rs::forward. Twin: ops/softmax_cross_entropy/twin.rs::forward.
// Test: tests/softmax_cross_entropy.rs::forward.
// Uses: lib/each.wgsl

@group(0) @binding(0) var<storage, read> logits: array<f32>;
@group(0) @binding(1) var<storage, read> labels: array<u32>;
@group(0) @binding(2) var<storage, read> class_weight: array<f32>;
@group(0) @binding(3) var<storage, read_write> probabilities: array<f32>;
@group(0) @binding(4) var<storage, read_write> grad_logits: array<f32>;
@group(0) @binding(5) var<storage, read_write> samples: array<vec4<f32>>; // [sample](loss, correct, 0, 0)

const BATCH: u32 = 1u;
const CLASSES: u32 = 1u;
const STRIDE: u32 = 4u; // CLASSES rounded up to four; the numbers between are kept zero
const SMOOTHING: f32 = 0.0; // the share of a label that all classes have alike
const WORKGROUP: u32 = 64u;

const EVEN: f32 = SMOOTHING / f32(CLASSES);

fn each(sample: u32) {
    let base = sample * STRIDE;
    var top = 0u;
    for (var c = 1u; c < CLASSES; c++) {
        top = select(top, c, logits[base + c] > logits[base + top]);
    }
    let highest = logits[base + top];
    var sum = 0.0;
    var below = 0.0;
    var largest = 0u;
    for (var c = 0u; c < CLASSES; c++) {
        sum += exp(logits[base + c] - highest);
        below += select(0.0, highest - logits[base + c], SMOOTHING > 0.0);
        largest = max(largest, bitcast<u32>(logits[base + c]) & 0x7fffffffu);
    }
    // On some drivers the exponential of NaN is a number (SwiftShader); its bits are above those of infinity.
    let nan = largest > 0x7f800000u;
    let label = labels[sample];
    let weight = class_weight[label];
    for (var c = 0u; c < STRIDE; c++) {
        let share = select(exp(logits[base + c] - highest) / sum, bitcast<f32>(largest), nan);
        let p = select(0.0, share, c < CLASSES);
        probabilities[base + c] = p;
        let own = select(0.0, 1.0 - SMOOTHING, c == label);
        let target_share = select(0.0, own + EVEN, c < CLASSES);
        grad_logits[base + c] = weight * (p - target_share) / f32(BATCH);
    }
    let kept = (1.0 - SMOOTHING) * (highest - logits[base + label]);
    let loss = select(weight * (log(sum) + kept + EVEN * below), bitcast<f32>(largest), nan);
    samples[sample] = vec4(loss, select(0.0, 1.0, top == label), 0.0, 0.0);
}
