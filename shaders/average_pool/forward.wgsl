// Average pool, forward:  y[b, oy, ox, c] = mean over the window's pixels (iy, ix) of x[b, iy, ix, c],
//   iy = oy * STRIDE_Y + ky - PAD_Y, ix = ox * STRIDE_X + kx - PAD_X
//
// Pixels of the padding do not count, as in TensorFlow. A thread computes one vec4 of y. One dispatch per batch window.
// Host: ops/average_pool.rs::forward. Twin: ops/average_pool.rs::forward. Test: tests/layers.rs::average_pool.
// Uses: lib/each.wgsl, lib/sliding.wgsl

@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read_write> y: array<vec4<f32>>;

const WORKGROUP: u32 = 256u;

fn each(index: u32) {
    let c = index % CHANNELS4;
    let ox = index / CHANNELS4 % OUT_WIDTH;
    let oy = index / (CHANNELS4 * OUT_WIDTH) % OUT_HEIGHT;
    let image = index / (CHANNELS4 * OUT_WIDTH * OUT_HEIGHT);
    let rows = inside(oy, STRIDE_Y, PAD_Y, WINDOW_HEIGHT, HEIGHT);
    let columns = inside(ox, STRIDE_X, PAD_X, WINDOW_WIDTH, WIDTH);
    var sum = vec4(0.0);
    for (var iy = rows.first; iy < rows.end; iy++) {
        for (var ix = columns.first; ix < columns.end; ix++) {
            sum += x[((image * HEIGHT + iy) * WIDTH + ix) * CHANNELS4 + c];
        }
    }
    y[index] = sum / f32((rows.end - rows.first) * (columns.end - columns.first));
}
