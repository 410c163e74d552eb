// ReLU, forward:  y = max(x, 0)
//
// A thread computes one vec4.
// Host: ops/relu/steps.rs::forward. Twin: ops/relu/twin.rs::forward. Test: tests/relu.rs::forward.
// Uses: lib/each.wgsl

@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read_write> y: array<vec4<f32>>;

const WORKGROUP: u32 = 256u;

fn each(index: u32) {
    // Not max(x, 0), which may be 0 where x is NaN: that would hide it from the loss.
    y[index] = select(x[index], vec4(0.0), x[index] < vec4(0.0));
}
