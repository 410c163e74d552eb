// Global average pool, forward:  y[b, c] = sum over positions of x[b, position, c] / POSITIONS
//
// A thread sums one vec4 column in order. x is one batch window, y the whole batch: FIRST_IMAGE says where it starts.
// Host: ops/global_average_pool/steps.rs::forward. Twin: ops/global_average_pool/twin.rs::forward.
// Test: tests/global_average_pool.rs::forward.
// Uses: lib/each.wgsl

@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read_write> y: array<vec4<f32>>;

const FIRST_IMAGE: u32 = 0u;
const POSITIONS: u32 = 1u;
const CHANNELS4: u32 = 1u;
const WORKGROUP: u32 = 64u;

fn each(index: u32) {
    let image = index / CHANNELS4;
    var sum = vec4(0.0);
    for (var position = 0u; position < POSITIONS; position++) {
        sum += x[(image * POSITIONS + position) * CHANNELS4 + index % CHANNELS4];
    }
    y[FIRST_IMAGE * CHANNELS4 + index] = sum / f32(POSITIONS);
}
