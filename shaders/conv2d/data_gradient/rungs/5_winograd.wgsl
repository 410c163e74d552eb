// Convolution of 3 x 3 taps, gradient of the input, by Winograd's tiles: forward again, of dy, with the kernel flipped and its
// channels exchanged:  dx[tile] = AT (sum over o of U[o, i] * V[tile, o]) A,  U[o, i] = G flip(w[i, o]) GT
//
// As the forward rung: stage 0 transforms weights, stage 1 computes a tile of four channels per thread.
// Why: as many products saved as forward. But U has to be made again from flipped weights. Training runs the transposes of the
// forward transforms instead (dx = B (Z * U) BT), and uses one U for both passes: docs/ops/winograd.md derives that.
// Uses: lib/winograd2.wgsl or lib/winograd4.wgsl

@group(0) @binding(0) var<storage, read> grad_y: array<vec4<f32>>; // [image, y, x][o4]
@group(0) @binding(1) var<storage, read> weights: array<f32>;      // [ky, kx, i][o]
@group(0) @binding(2) var<storage, read_write> grad_x: array<vec4<f32>>;  // [image, y, x][i4]
@group(0) @binding(3) var<storage, read_write> scratch: array<vec4<f32>>; // U: [o][i4][q][p]

const IMAGES: u32 = 1u;
const HEIGHT: u32 = 1u;
const WIDTH: u32 = 1u;
const CIN4: u32 = 1u;
const COUT4: u32 = 1u;
const TILES_Y: u32 = (HEIGHT + OUTPUTS - 1u) / OUTPUTS;
const TILES_X: u32 = (WIDTH + OUTPUTS - 1u) / OUTPUTS;
const SCRATCH: u32 = COUT4 * 4u * CIN4 * POINTS * POINTS;
const STAGE: u32 = 0u;
const STAGES: u32 = 2u;
const COUNT: u32 = select(COUT4 * 4u * CIN4, IMAGES * TILES_Y * TILES_X * CIN4, STAGE == 1u);
const GROUPS: u32 = (COUNT + 63u) / 64u;

fn transform_taps(pair: u32) { // o * CIN4 + i4
    var rows: array<Points, 3>;
    for (var ky = 0u; ky < 3u; ky++) {
        var taps: Taps;
        for (var kx = 0u; kx < 3u; kx++) {
            let at = (((2u - ky) * 3u + 2u - kx) * CIN4 + pair % CIN4) * COUT4 * 16u + pair / CIN4;
            taps[kx] = vec4(weights[at], weights[at + COUT4 * 4u], weights[at + COUT4 * 8u], weights[at + COUT4 * 12u]);
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

fn convolve(tile: u32, i4: u32) {
    let image = tile / (TILES_Y * TILES_X);
    let top = tile / TILES_X % TILES_Y * OUTPUTS;
    let left = tile % TILES_X * OUTPUTS;
    var sum: array<Points, POINTS>; // [q][p]
    for (var o4 = 0u; o4 < COUT4; o4++) {
        var rows: array<Points, POINTS>;
        for (var i = 0u; i < POINTS; i++) {
            var row: Points;
            for (var j = 0u; j < POINTS; j++) {
                let inside = top + i - 1u < HEIGHT && left + j - 1u < WIDTH;
                let pixel = select(0u, (image * HEIGHT + top + i - 1u) * WIDTH + left + j - 1u, inside);
                row[j] = select(vec4(0.0), grad_y[pixel * COUT4 + o4], inside);
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
                    sum[q][p] += v[p][i] * scratch[(((o4 * 4u + i) * CIN4 + i4) * POINTS + q) * POINTS + p];
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
                grad_x[((image * HEIGHT + top + i) * WIDTH + left + j) * CIN4 + i4] = pixels[j];
            }
        }
    }
}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    if id.x < COUNT && STAGE == 0u {
        transform_taps(id.x);
    } else if id.x < COUNT {
        convolve(id.x / CIN4, id.x % CIN4);
    }
}
