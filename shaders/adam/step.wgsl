// One step of Adam with amsgrad, as Keras computes it:
//   m += (g - m) * (1 - BETA_1);  v += (g * g - v) * (1 - BETA_2);  vhat = max(vhat, v)
//   parameter -= alpha * m / (sqrt(vhat) + EPSILON),  alpha = lr * sqrt(1 - BETA_2^t) / (1 - BETA_1^t)
// EPSILON is added to the root of the raw vhat ("epsilon hat"), and the maximum is taken of the raw v.
//
// A thread updates one vec4. The host computes alpha in f64 each step. When the guard has stopped the step, nothing changes.
// A vec4 with a gradient that is unusable does not change either, and sets a flag: to test the gradients of whole kernels
// beforehand would take at least a fourth of the time of this step. Small parameters lie in one arena and are updated by
// one dispatch; each place of the arena, VEC4S_PER_FLAG of them, has a flag. Of a large parameter it may update a slice
// alone, whose moments are all that there are; the gradient may have other numbers before the slice, too.
// Host: ops/adam/steps.rs::step. Twin: ops/adam/twin.rs::step. Test: tests/adam.rs::step.
// Uses: lib/each.wgsl, lib/usable.wgsl

struct Parameters {
    count4: u32,          // vec4s to update
    first_parameter: u32, // where they begin in the parameter
    first_gradient: u32,  // and in the gradient
    flag: u32,            // the gradient's first flag
}

@group(0) @binding(0) var<storage, read> gate: array<f32>; // [alpha, 1 to stop]
@group(0) @binding(1) var<storage, read> gradient: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> parameter: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> m: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> v: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> vhat: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read_write> flags: array<atomic<u32>>;
@group(0) @binding(7) var<uniform> parameters: Parameters;

const ONE_MINUS_BETA_1: f32 = 0.1f;
const ONE_MINUS_BETA_2: f32 = 0.001f;
const EPSILON: f32 = 1e-7f;
const VEC4S_PER_FLAG: u32 = 16u;
const WORKGROUP: u32 = 128u;

fn each(index: u32) {
    if index >= parameters.count4 || gate[1] != 0.0 {
        return;
    }
    let g = gradient[parameters.first_gradient + index];
    if unusable(magnitude_bits(bitcast<vec4<u32>>(g))) {
        atomicStore(&flags[parameters.flag + index / VEC4S_PER_FLAG], 1u);
        return;
    }
    // Each number is read once, and all before the first is written: a compiler must take it that a write changes any of
    // them, and reads again.
    let alpha = gate[0];
    let updated = parameters.first_parameter + index;
    let before = parameter[updated];
    let m_before = m[index];
    let v_before = v[index];
    let vhat_before = vhat[index];
    let first = m_before + (g - m_before) * ONE_MINUS_BETA_1;
    let second = v_before + (g * g - v_before) * ONE_MINUS_BETA_2;
    let largest = max(vhat_before, second);
    m[index] = first;
    v[index] = second;
    vhat[index] = largest;
    parameter[updated] = before - alpha * first / (sqrt(largest) + EPSILON);
}
