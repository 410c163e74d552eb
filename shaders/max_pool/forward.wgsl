// Max pool, forward:  y[b, oy, ox, c] = max over ky, kx of x[b, oy * STRIDE_Y + ky, ox * STRIDE_X + kx, c]
//
// A thread computes one vec4 of y. One dispatch per batch window.
// Host: ops/max_pool/steps.rs::forward. Twin: ops/max_pool/twin.rs::forward. Test: tests/max_pool.rs::forward.
// Uses: lib/each.wgsl, lib/sliding.wgsl

@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read_write> y: array<vec4<f32>>;

const WORKGROUP: u32 = 256u;

fn each(index: u32) {
    let c = index % CHANNELS4;
    let ox = index / CHANNELS4 % OUT_WIDTH;
    let oy = index / (CHANNELS4 * OUT_WIDTH) % OUT_HEIGHT;
    let image = index / (CHANNELS4 * OUT_WIDTH * OUT_HEIGHT);
    let corner = (image * HEIGHT + oy * STRIDE_Y) * WIDTH + ox * STRIDE_X;
    var best = x[corner * CHANNELS4 + c];
    for (var i = 1u; i < WINDOW_HEIGHT * WINDOW_WIDTH; i++) {
        let pixel = corner + i / WINDOW_WIDTH * WIDTH + i % WINDOW_WIDTH;
        best = max(best, x[pixel * CHANNELS4 + c]);
    }
    y[index] = best;
}
