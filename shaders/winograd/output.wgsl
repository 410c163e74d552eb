// Winograd convolution, back to pixels:  y[tile] = AT M A + bias, OUTPUTS x OUTPUTS pixels per tile, where
// M[p, q][tile, o] = sum over i of V[p, q][tile, i] * U[p, q][i, o]
//
// A thread transforms four channels of a share of a tile (lib/tiles.wgsl), row by row and then column by column.
// Host: ops/conv2d/winograd/steps.rs::forward. Twins: those of the convolution. Test: tests/winograd.rs::forward.
// Uses: lib/each.wgsl, lib/blocks.wgsl, lib/tiles.wgsl, lib/winograd4.wgsl or lib/winograd2.wgsl

@group(0) @binding(0) var<storage, read> product: array<vec4<f32>>; // a matrix [tile][column4] for each point
@group(0) @binding(1) var<storage, read> bias: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4<f32>>; // [image, y, x][column4]

const FIRST_IMAGE: u32 = 0u;
const IMAGES: u32 = 1u;
const HEIGHT: u32 = 1u;
const WIDTH: u32 = 1u;
const TILES_Y: u32 = 1u;
const TILES_X: u32 = 1u;
const COLUMNS4: u32 = 1u;
const WORKGROUP: u32 = 64u;

const TILES: u32 = IMAGES * TILES_Y * TILES_X;

fn each(index: u32) {
    let share = index % SHARES;
    let place = place_in_blocks(COLUMNS4, index / SHARES);
    let tile = place.x;
    let c = place.y;
    if tile >= TILES || c >= COLUMNS4 {
        return;
    }
    let image = FIRST_IMAGE + tile / (TILES_Y * TILES_X);
    let top = tile / TILES_X % TILES_Y * OUTPUTS;
    let left = tile % TILES_X * OUTPUTS + share * OUTPUT_COLUMNS;
    let shift = bias[c]; // once: after a write, compilers would read it again
    let first = ((image * HEIGHT + top) * WIDTH + left) * COLUMNS4 + c;

    var rows: array<OwnOutputs, POINTS>;
    for (var i = 0u; i < POINTS; i++) {
        var row: Points;
        for (var j = 0u; j < POINTS; j++) {
            row[j] = product[in_block(POINTS * POINTS, COLUMNS4, j * POINTS + i, tile, c)];
        }
        rows[i] = own_outputs(transform_output(row), share);
    }
    for (var j = 0u; j < OUTPUT_COLUMNS; j++) {
        var column: Points;
        for (var i = 0u; i < POINTS; i++) {
            column[i] = rows[i][j];
        }
        let pixels = transform_output(column);
        for (var i = 0u; i < OUTPUTS; i++) {
            if top + i < HEIGHT && left + j < WIDTH {
                y[first + (i * WIDTH + j) * COLUMNS4] = pixels[i] + shift;
            }
        }
    }
}
