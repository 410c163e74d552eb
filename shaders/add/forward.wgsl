// Add, forward:  y = a + b
//
// A thread computes one vec4. Adds the two inputs of a residual connection, and the gradients of an output that several
// layers take. Its own gradient needs no kernel: both inputs have that of the output.
// Host: ops/add.rs::add. Twin: ops/add.rs::add. Test: tests/layers.rs::add.
// Uses: lib/each.wgsl

@group(0) @binding(0) var<storage, read> a: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> b: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4<f32>>;

const WORKGROUP: u32 = 256u;

fn each(i: u32) {
    y[i] = a[i] + b[i];
}
