// Convolution of 3 x 3 taps by Winograd's tiles:  y[tile] = AT (sum over i of U[i, o] * V[tile, i]) A + bias[o]
//   U[i, o] = G w[i, o] GT,  V[tile, i] = BT x[tile, i] B: POINTS x POINTS numbers each
//
// Stage 0 transforms the weights, a thread four output channels of an input channel. In stage 1 a thread computes one tile of
// OUTPUTS x OUTPUTS pixels, four channels of it: transforms of the tile of x, products point by point, transform back.
// Why: a tile of 2 x 2 outputs takes 16 products for each pair of channels instead of 36, one of 4 x 4 takes 36 instead of 144.
// It costs additions, and digits (docs/ops/winograd.md). Each thread transforms x again here; training does so once for all.
// Uses: lib/winograd2.wgsl or lib/winograd4.wgsl

@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;       // [image, y, x][i4]
@group(0) @binding(1) var<storage, read> weights: array<vec4<f32>>; // [ky, kx, i][o4]
@group(0) @binding(2) var<storage, read> bias: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> y: array<vec4<f32>>; // [image, y, x][o4]
@group(0) @binding(4) var<storage, read_write> scratch: array<vec4<f32>>; // U: [i][o4][q][p]

const IMAGES: u32 = 1u;
const HEIGHT: u32 = 1u;
const WIDTH: u32 = 1u;
const CIN4: u32 = 1u;
const COUT4: u32 = 1u;
const TILES_Y: u32 = (HEIGHT + OUTPUTS - 1u) / OUTPUTS;
const TILES_X: u32 = (WIDTH + OUTPUTS - 1u) / OUTPUTS;
const SCRATCH: u32 = CIN4 * 4u * COUT4 * POINTS * POINTS;
const STAGE: u32 = 0u;
const STAGES: u32 = 2u;
const COUNT: u32 = select(CIN4 * 4u * COUT4, IMAGES * TILES_Y * TILES_X * COUT4, STAGE == 1u);
const GROUPS: u32 = (COUNT + 63u) / 64u;

fn transform_taps(pair: u32) { // i * COUT4 + o4
    var rows: array<Points, 3>;
    for (var ky = 0u; ky < 3u; ky++) {
        var taps: Taps;
        for (var kx = 0u; kx < 3u; kx++) {
            taps[kx] = weights[(ky * 3u + kx) * CIN4 * 4u * COUT4 + pair];
        }
        rows[ky] = transform_weights(taps);
    }
    for (var q = 0u; q < POINTS; q++) {
        let column = transform_weights(Taps(rows[0][q], rows[1][q], rows[2][q]));
        for (var p = 0u; p < POINTS; p++) {
            scratch[(pair * POINTS + q) * POINTS + p] = column[p];
        }
    }
}

fn convolve(tile: u32, o4: u32) {
    let image = tile / (TILES_Y * TILES_X);
    let top = tile / TILES_X % TILES_Y * OUTPUTS;
    let left = tile % TILES_X * OUTPUTS;
    var sum: array<Points, POINTS>; // [q][p]
    for (var i4 = 0u; i4 < CIN4; i4++) {
        var rows: array<Points, POINTS>;
        for (var i = 0u; i < POINTS; i++) {
            var row: Points;
            for (var j = 0u; j < POINTS; j++) {
                let inside = top + i - 1u < HEIGHT && left + j - 1u < WIDTH;
                let pixel = select(0u, (image * HEIGHT + top + i - 1u) * WIDTH + left + j - 1u, inside);
                row[j] = select(vec4(0.0), x[pixel * CIN4 + i4], inside);
            }
            rows[i] = transform_input(row);
        }
        for (var q = 0u; q < POINTS; q++) {
            var column: Points;
            for (var i = 0u; i < POINTS; i++) {
                column[i] = rows[i][q];
            }
            let v = transform_input(column);
            for (var p = 0u; p < POINTS; p++) {
                for (var i = 0u; i < 4u; i++) {
                    sum[q][p] += v[p][i] * scratch[(((i4 * 4u + i) * COUT4 + o4) * POINTS + q) * POINTS + p];
                }
            }
        }
    }
    var columns: array<Outputs, POINTS>; // [q][row]
    for (var q = 0u; q < POINTS; q++) {
        columns[q] = transform_output(sum[q]);
    }
    for (var i = 0u; i < OUTPUTS; i++) {
        var row: Points;
        for (var q = 0u; q < POINTS; q++) {
            row[q] = columns[q][i];
        }
        let pixels = transform_output(row);
        for (var j = 0u; j < OUTPUTS; j++) {
            if top + i < HEIGHT && left + j < WIDTH {
                y[((image * HEIGHT + top + i) * WIDTH + left + j) * COUT4 + o4] = pixels[j] + bias[o4];
            }
        }
    }
}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    if id.x < COUNT && STAGE == 0u {
        transform_taps(id.x);
    } else if id.x < COUNT {
        convolve(id.x / COUT4, id.x % COUT4);
    }
}
