// Winograd convolution, the gradient's part:  Z[p, q][tile, c] = (A dy AT)[p, q], for each tile of dy of OUTPUTS x
// OUTPUTS pixels; past the edge of the image dy is zero. Both gradients are made of it.
//
// A thread transforms four channels of a share of a tile (lib/tiles.wgsl), row by row and then column by column.
// Host: ops/conv2d/winograd/steps.rs::backward. Twins: those of the convolution. Test: tests/winograd.rs::backward.
// Uses: lib/each.wgsl, lib/blocks.wgsl, lib/tiles.wgsl, lib/winograd4.wgsl or lib/winograd2.wgsl

@group(0) @binding(0) var<storage, read> grad_y: array<vec4<f32>>;            // [image, y, x][column4]
@group(0) @binding(1) var<storage, read_write> transformed: array<vec4<f32>>; // a matrix [tile][column4] for each point

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
    let left = tile % TILES_X * OUTPUTS;

    var rows: array<OwnPoints, OUTPUTS>;
    for (var i = 0u; i < OUTPUTS; i++) {
        var row: Outputs;
        for (var j = 0u; j < OUTPUTS; j++) {
            let inside = top + i < HEIGHT && left + j < WIDTH;
            let pixel = select(0u, (image * HEIGHT + top + i) * WIDTH + left + j, inside);
            row[j] = select(vec4(0.0), grad_y[pixel * COLUMNS4 + c], inside);
        }
        rows[i] = own_points(transform_output_gradient(row), share);
    }
    for (var j = 0u; j < POINT_COLUMNS; j++) {
        var column: Outputs;
        for (var i = 0u; i < OUTPUTS; i++) {
            column[i] = rows[i][j];
        }
        let points = transform_output_gradient(column);
        for (var i = 0u; i < POINTS; i++) {
            transformed[in_block(POINTS * POINTS, COLUMNS4, (share * POINT_COLUMNS + j) * POINTS + i, tile, c)] = points[i];
        }
    }
}
