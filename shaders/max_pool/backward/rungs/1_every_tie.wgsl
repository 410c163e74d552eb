// Max pool of windows of 2 x 2 side by side, gradient:  dx = dy of its window where x is the window's maximum, else 0
//
// A thread computes one number of dx.
// Why: the formula as it is often said. It needs no index: it compares x with the maximum of its window.
// Wrong on purpose: where two pixels of a window are the largest, both get dy, so the gradient that goes out is twice what came
// in. Behind a ReLU many windows are all zero: all four get it.

@group(0) @binding(0) var<storage, read> x: array<f32>;      // [image, y, x][channel]
@group(0) @binding(1) var<storage, read> grad_y: array<f32>; // [image, y, x][channel]
@group(0) @binding(2) var<storage, read_write> grad_x: array<f32>; // [image, y, x][channel]

const IMAGES: u32 = 1u;
const HEIGHT: u32 = 1u; // of x
const WIDTH: u32 = 1u;
const CHANNELS4: u32 = 1u;
const OUT_HEIGHT: u32 = 1u;
const OUT_WIDTH: u32 = 1u;
const WORKGROUP: u32 = 64u;
const COUNT: u32 = IMAGES * HEIGHT * WIDTH * CHANNELS4 * 4u;
const GROUPS: u32 = (COUNT + WORKGROUP - 1u) / WORKGROUP;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    if id.x >= COUNT {
        return;
    }
    let c = id.x % (CHANNELS4 * 4u);
    let ox = id.x / (CHANNELS4 * 4u) % WIDTH / 2u;
    let row = id.x / (CHANNELS4 * 4u * WIDTH);
    let oy = row % HEIGHT / 2u;
    if oy >= OUT_HEIGHT || ox >= OUT_WIDTH {
        grad_x[id.x] = 0.0; // a last row or column that no window takes
        return;
    }
    let corner = ((row / HEIGHT * HEIGHT + oy * 2u) * WIDTH + ox * 2u) * CHANNELS4 * 4u + c;
    let below = corner + WIDTH * CHANNELS4 * 4u;
    let largest = max(max(x[corner], x[corner + CHANNELS4 * 4u]), max(x[below], x[below + CHANNELS4 * 4u]));
    let gradient = grad_y[((row / HEIGHT * OUT_HEIGHT + oy) * OUT_WIDTH + ox) * CHANNELS4 * 4u + c];
    grad_x[id.x] = select(0.0, gradient, x[id.x] == largest);
}
