// Average pool, backward:  dx[b, iy, ix, c] = sum over the windows (oy, ox) that hold (iy, ix) of
//   dy[b, oy, ox, c] / the window's pixels
//
// A thread computes one vec4 of dx: it visits the windows that hold its pixel, so it needs no atomics. One dispatch per
// batch window.
// Host: ops/average_pool.rs::backward. Twin: ops/average_pool.rs::backward. Test: tests/layers.rs::average_pool.
// Uses: lib/each.wgsl, lib/sliding.wgsl

@group(0) @binding(0) var<storage, read> grad_y: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read_write> grad_x: array<vec4<f32>>;

const WORKGROUP: u32 = 256u;

fn each(index: u32) {
    let c = index % CHANNELS4;
    let ix = index / CHANNELS4 % WIDTH + PAD_X;
    let iy = index / (CHANNELS4 * WIDTH) % HEIGHT + PAD_Y;
    let image = index / (CHANNELS4 * WIDTH * HEIGHT);
    var sum = vec4(0.0);
    for (var oy = first_window(iy, WINDOW_HEIGHT, STRIDE_Y); oy < end_window(iy, STRIDE_Y, OUT_HEIGHT); oy++) {
        let rows = inside(oy, STRIDE_Y, PAD_Y, WINDOW_HEIGHT, HEIGHT);
        for (var ox = first_window(ix, WINDOW_WIDTH, STRIDE_X); ox < end_window(ix, STRIDE_X, OUT_WIDTH); ox++) {
            let columns = inside(ox, STRIDE_X, PAD_X, WINDOW_WIDTH, WIDTH);
            let pixels = f32((rows.end - rows.first) * (columns.end - columns.first));
            sum += grad_y[((image * OUT_HEIGHT + oy) * OUT_WIDTH + ox) * CHANNELS4 + c] / pixels;
        }
    }
    grad_x[index] = sum;
}
