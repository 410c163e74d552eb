// A gradient times the factor of all gradients:  g = factor * g
//
// A thread computes one vec4, where it is.
// Host: ops/clip/steps.rs::clip. Twin: ops/clip/twin.rs::clip. Test: tests/clip.rs::clip.
// Uses: lib/each.wgsl

struct Parameters {
    count4: u32,
}

@group(0) @binding(0) var<storage, read> factor: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read_write> gradient: array<vec4<f32>>;
@group(0) @binding(2) var<uniform> parameters: Parameters;

const WORKGROUP: u32 = 256u;

fn each(index: u32) {
    if index < parameters.count4 {
        gradient[index] = factor[0].x * gradient[index];
    }
}
