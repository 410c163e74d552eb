// Sum over rows (the gradient of a bias), serial:  db[c] = sum over rows of dy[row, c]
//
// A thread sums up four channels, row after row.
// Why: the formula, word for word. Each addition waits for the one before, few threads have work, and the error of a chain
// grows with its length.

@group(0) @binding(0) var<storage, read> grad_y: array<vec4<f32>>;   // [row][channel4]
@group(0) @binding(1) var<storage, read_write> grad_bias: array<vec4<f32>>; // [channel4]

const ROWS: u32 = 1u;
const COLUMNS4: u32 = 1u;
const WORKGROUP: u32 = 64u;
const GROUPS: u32 = (COLUMNS4 + WORKGROUP - 1u) / WORKGROUP;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    if id.x >= COLUMNS4 {
        return;
    }
    var sum = vec4(0.0);
    for (var row = 0u; row < ROWS; row++) {
        sum += grad_y[row * COLUMNS4 + id.x];
    }
    grad_bias[id.x] = sum;
}
