// ReLU, backward:  dx = dy where y > 0, else 0 (at exactly 0 the gradient is 0, as in TensorFlow)
//
// A thread computes one vec4.
// Host: ops/relu/steps.rs::backward. Twin: ops/relu/twin.rs::backward. Test: tests/relu.rs::backward.
// Uses: lib/each.wgsl

@group(0) @binding(0) var<storage, read> y: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> grad_y: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> grad_x: array<vec4<f32>>;

const WORKGROUP: u32 = 256u;

fn each(index: u32) {
    grad_x[index] = select(vec4(0.0), grad_y[index], y[index] > vec4(0.0));
}
