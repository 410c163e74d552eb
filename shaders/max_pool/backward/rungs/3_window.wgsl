// Max pool of windows of 2 x 2 side by side, gradient:  dx = dy of its window where x is the first of the window's largest
//
// A thread writes the four pixels of one window, four channels of each: windows of this kind do not overlap. A last row or
// column that no window takes belongs to a window without a dy.
// Why: the winner is found once for four pixels, and x is read once instead of four times. The general kernel, whose windows
// may overlap, cannot do that: it gathers by pixel.

@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;      // [image, y, x][channel4]
@group(0) @binding(1) var<storage, read> grad_y: array<vec4<f32>>; // [image, y, x][channel4]
@group(0) @binding(2) var<storage, read_write> grad_x: array<vec4<f32>>; // [image, y, x][channel4]

const IMAGES: u32 = 1u;
const HEIGHT: u32 = 1u; // of x
const WIDTH: u32 = 1u;
const CHANNELS4: u32 = 1u;
const OUT_HEIGHT: u32 = 1u;
const OUT_WIDTH: u32 = 1u;
const ROWS: u32 = (HEIGHT + 1u) / 2u; // of windows, with those that are cut off
const COLUMNS: u32 = (WIDTH + 1u) / 2u;
const WORKGROUP: u32 = 64u;
const COUNT: u32 = IMAGES * ROWS * COLUMNS * CHANNELS4;
const GROUPS: u32 = (COUNT + WORKGROUP - 1u) / WORKGROUP;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    if id.x >= COUNT {
        return;
    }
    let c = id.x % CHANNELS4;
    let ox = id.x / CHANNELS4 % COLUMNS;
    let oy = id.x / (CHANNELS4 * COLUMNS) % ROWS;
    let image = id.x / (CHANNELS4 * COLUMNS * ROWS);
    var gradient = vec4(0.0);
    if oy < OUT_HEIGHT && ox < OUT_WIDTH {
        gradient = grad_y[((image * OUT_HEIGHT + oy) * OUT_WIDTH + ox) * CHANNELS4 + c];
    }
    let corner = ((image * HEIGHT + oy * 2u) * WIDTH + ox * 2u) * CHANNELS4 + c;
    var best = x[corner];
    var winner = vec4(0u);
    for (var i = 1u; i < 4u; i++) {
        let inside = oy * 2u + i / 2u < HEIGHT && ox * 2u + i % 2u < WIDTH;
        let value = x[select(corner, corner + (i / 2u * WIDTH + i % 2u) * CHANNELS4, inside)];
        winner = select(winner, vec4(i), value > best);
        best = max(best, value);
    }
    for (var i = 0u; i < 4u; i++) {
        if oy * 2u + i / 2u < HEIGHT && ox * 2u + i % 2u < WIDTH {
            grad_x[corner + (i / 2u * WIDTH + i % 2u) * CHANNELS4] = select(vec4(0.0), gradient, winner == vec4(i));
        }
    }
}
