// Peak of memory:  y[i] = x[i], over more than the caches hold.
//
// A thread copies one vec4.
// Host: ops/peak/steps.rs::copy. Twin: ops/peak/twin.rs::copy. Test: tests/peak.rs::copy.
// Uses: lib/each.wgsl

@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read_write> y: array<vec4<f32>>;

const WORKGROUP: u32 = 64u;

fn each(index: u32) {
    y[index] = x[index];
}
