// Max pool, backward:  dx[b, iy, ix, c] = sum of dy over the windows whose maximum is at (iy, ix); of equal maxima the
// first in row-major order takes the whole gradient, as in TensorFlow.
//
// A thread computes one vec4 of grad_x: it visits the windows that contain its pixel and finds each one's winner again,
// which needs no stored indices and no atomics. One dispatch per batch window.
// Host: ops/max_pool/steps.rs::backward. Twin: ops/max_pool/twin.rs::backward. Test: tests/max_pool.rs::backward.
// Uses: lib/each.wgsl, lib/sliding.wgsl

@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> grad_y: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> grad_x: array<vec4<f32>>;

const WORKGROUP: u32 = 256u;

fn each(index: u32) {
    let c = index % CHANNELS4;
    let ix = index / CHANNELS4 % WIDTH;
    let iy = index / (CHANNELS4 * WIDTH) % HEIGHT;
    let image = index / (CHANNELS4 * WIDTH * HEIGHT);
    var sum = vec4(0.0);
    for (var oy = first_window(iy, WINDOW_HEIGHT, STRIDE_Y); oy < end_window(iy, STRIDE_Y, OUT_HEIGHT); oy++) {
        for (var ox = first_window(ix, WINDOW_WIDTH, STRIDE_X); ox < end_window(ix, STRIDE_X, OUT_WIDTH); ox++) {
            let corner = (image * HEIGHT + oy * STRIDE_Y) * WIDTH + ox * STRIDE_X;
            let mine = (iy - oy * STRIDE_Y) * WINDOW_WIDTH + ix - ox * STRIDE_X;
            var best = x[corner * CHANNELS4 + c];
            var winner = vec4(0u);
            for (var i = 1u; i < WINDOW_HEIGHT * WINDOW_WIDTH; i++) {
                let pixel = corner + i / WINDOW_WIDTH * WIDTH + i % WINDOW_WIDTH;
                let value = x[pixel * CHANNELS4 + c];
                winner = select(winner, vec4(i), value > best);
                best = max(best, value);
            }
            let gradient = grad_y[((image * OUT_HEIGHT + oy) * OUT_WIDTH + ox) * CHANNELS4 + c];
            sum += select(vec4(0.0), gradient, winner == vec4(mine));
        }
    }
    grad_x[index] = sum;
}
