// Convolution of 3 x 3 taps, gradient of the weights, by Winograd's tiles:
//   dw[i, o] = GT (sum over tiles of V[tile, i] * Z[tile, o]) G,  V = BT x B,  Z = A dy AT
//
// Stages 0 and 1 transform the tiles of x and of dy. In stage 2 a thread sums up the products of a channel i and four channels
// o over all tiles, point by point, and transforms them to nine taps.
// Why: 16 products for each pair of channels in a tile of 2 x 2 instead of 36, by the transposes of the forward transforms
// (docs/ops/winograd.md). V is the same as forward.
// Uses: lib/winograd2.wgsl or lib/winograd4.wgsl

@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;      // [image, y, x][i4]
@group(0) @binding(1) var<storage, read> grad_y: array<vec4<f32>>; // [image, y, x][o4]
@group(0) @binding(2) var<storage, read_write> grad_w: array<vec4<f32>>;  // [ky, kx, i][o4]
@group(0) @binding(3) var<storage, read_write> scratch: array<vec4<f32>>; // V, then Z: [tile][p][q][channel4]

const IMAGES: u32 = 1u;
const HEIGHT: u32 = 1u;
const WIDTH: u32 = 1u;
const CIN4: u32 = 1u;
const COUT4: u32 = 1u;
const TILES_Y: u32 = (HEIGHT + OUTPUTS - 1u) / OUTPUTS;
const TILES_X: u32 = (WIDTH + OUTPUTS - 1u) / OUTPUTS;
const TILES: u32 = IMAGES * TILES_Y * TILES_X;
const Z: u32 = TILES * POINTS * POINTS * CIN4;
const SCRATCH: u32 = Z + TILES * POINTS * POINTS * COUT4;
const STAGE: u32 = 0u;
const STAGES: u32 = 3u;
const SIDE: u32 = select(OUTPUTS, POINTS, STAGE == 0u); // of what a stage transforms
const BEFORE: u32 = select(0u, 1u, STAGE == 0u);        // its pixels above and left of the tile's outputs
const COLUMNS4: u32 = select(COUT4, CIN4, STAGE == 0u);
const TO: u32 = select(Z, 0u, STAGE == 0u);
const COUNT: u32 = array(TILES * CIN4, TILES * COUT4, CIN4 * 4u * COUT4)[STAGE];
const GROUPS: u32 = (COUNT + 63u) / 64u;

// A pixel of the tensor that the stage transforms; past the edge it is zero, where the subtraction wraps as well.
fn load(image: u32, row: u32, column: u32, c: u32) -> vec4<f32> {
    let inside = row < HEIGHT && column < WIDTH;
    let at = select(0u, (image * HEIGHT + row) * WIDTH + column, inside) * COLUMNS4 + c;
    if STAGE == 0u {
        return select(vec4(0.0), x[at], inside);
    }
    return select(vec4(0.0), grad_y[at], inside);
}

fn transform(line: Points) -> Points {
    if STAGE == 0u {
        return transform_input(line);
    }
    var outputs: Outputs;
    for (var i = 0u; i < OUTPUTS; i++) { outputs[i] = line[i]; }
    return transform_output_gradient(outputs);
}

fn transform_tile(tile: u32, c: u32) {
    let image = tile / (TILES_Y * TILES_X);
    var rows: array<Points, POINTS>;
    for (var i = 0u; i < SIDE; i++) {
        for (var j = 0u; j < SIDE; j++) {
            rows[i][j] = load(image, tile / TILES_X % TILES_Y * OUTPUTS + i - BEFORE, tile % TILES_X * OUTPUTS + j - BEFORE, c);
        }
        rows[i] = transform(rows[i]);
    }
    for (var q = 0u; q < POINTS; q++) {
        var column: Points;
        for (var i = 0u; i < SIDE; i++) { column[i] = rows[i][q]; }
        column = transform(column);
        for (var p = 0u; p < POINTS; p++) {
            scratch[TO + ((tile * POINTS + p) * POINTS + q) * COLUMNS4 + c] = column[p];
        }
    }
}

fn sum_up(i: u32, o4: u32) {
    var sum: array<Points, POINTS>; // [p][q]
    for (var tile = 0u; tile < TILES; tile++) {
        for (var p = 0u; p < POINTS; p++) {
            for (var q = 0u; q < POINTS; q++) {
                let point = (tile * POINTS + p) * POINTS + q;
                sum[p][q] += scratch[point * CIN4 + i / 4u][i % 4u] * scratch[Z + point * COUT4 + o4];
            }
        }
    }
    var rows: array<Taps, POINTS>; // [p][kx]
    for (var p = 0u; p < POINTS; p++) {
        rows[p] = transform_weight_gradient(sum[p]);
    }
    for (var tap = 0u; tap < 9u; tap++) {
        var column: Points;
        for (var p = 0u; p < POINTS; p++) { column[p] = rows[p][tap % 3u]; }
        grad_w[(tap * CIN4 * 4u + i) * COUT4 + o4] = transform_weight_gradient(column)[tap / 3u];
    }
}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    if id.x < COUNT && STAGE < 2u {
        transform_tile(id.x / COLUMNS4, id.x % COLUMNS4);
    } else if id.x < COUNT {
        sum_up(id.x / COUT4, id.x % COUT4);
    }
}
