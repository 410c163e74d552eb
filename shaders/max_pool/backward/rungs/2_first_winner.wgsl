// Max pool of windows of 2 x 2 side by side, gradient:  dx = dy of its window where x is the first of the window's largest
//
// A thread computes one number of dx: it looks through its window in row-major order for the first maximum.
// Why: of equal maxima one must take the whole gradient, as in TensorFlow the first. The winner is found again on x, exactly,
// since comparisons do not round: no index has to be stored, nor read.

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
    let pixel = id.x / (CHANNELS4 * 4u);
    let row = pixel / WIDTH;
    let oy = row % HEIGHT / 2u;
    let ox = pixel % WIDTH / 2u;
    if oy >= OUT_HEIGHT || ox >= OUT_WIDTH {
        grad_x[id.x] = 0.0; // a last row or column that no window takes
        return;
    }
    let corner = (row / HEIGHT * HEIGHT + oy * 2u) * WIDTH + ox * 2u;
    var winner = corner;
    for (var i = 1u; i < 4u; i++) {
        let other = corner + i / 2u * WIDTH + i % 2u;
        if x[other * CHANNELS4 * 4u + c] > x[winner * CHANNELS4 * 4u + c] {
            winner = other;
        }
    }
    let gradient = grad_y[((row / HEIGHT * OUT_HEIGHT + oy) * OUT_WIDTH + ox) * CHANNELS4 * 4u + c];
    grad_x[id.x] = select(0.0, gradient, winner == pixel);
}
