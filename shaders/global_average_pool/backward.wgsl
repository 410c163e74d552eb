// Global average pool, backward:  dx[b, position, c] = dy[b, c] / POSITIONS
//
// A thread writes one vec4. grad_x is one batch window, grad_y the whole batch: FIRST_IMAGE says where it starts.
// Host: ops/global_average_pool/steps.rs::backward. Twin: ops/global_average_pool/twin.rs::backward.
// Test: tests/global_average_pool.rs::backward.
// Uses: lib/each.wgsl

@group(0) @binding(0) var<storage, read> grad_y: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read_write> grad_x: array<vec4<f32>>;

const FIRST_IMAGE: u32 = 0u;
const POSITIONS: u32 = 1u;
const CHANNELS4: u32 = 1u;
const WORKGROUP: u32 = 256u;

fn each(index: u32) {
    let image = FIRST_IMAGE + index / (POSITIONS * CHANNELS4);
    grad_x[index] = grad_y[image * CHANNELS4 + index % CHANNELS4] / f32(POSITIONS);
}
