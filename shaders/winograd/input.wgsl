// Winograd convolution, the input's part:  V[p, q][tile, c] = (BT x B)[p, q], for each tile of x of POINTS x POINTS
// pixels. Tiles are OUTPUTS pixels apart and begin one pixel up and left of their outputs; outside the image x is zero.
//
// A thread transforms four channels of a share of a tile (lib/tiles.wgsl), row by row and then column by column.
// Host: ops/conv2d/winograd/steps.rs::input. Twins: those of the convolution. Test: tests/winograd.rs::{forward, backward}.
// Uses: lib/each.wgsl, lib/blocks.wgsl, lib/tiles.wgsl, lib/winograd4.wgsl or lib/winograd2.wgsl

@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;              // [image, y, x][column4]
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

// Row i of a tile's pixels, brought to points: a share's.
fn row(image: u32, top: u32, left: u32, c: u32, share: u32, i: u32) -> OwnPoints {
    var pixels: Points;
    for (var j = 0u; j < POINTS; j++) {
        let inside = top + i < HEIGHT && left + j < WIDTH;
        let pixel = select(0u, (image * HEIGHT + top + i) * WIDTH + left + j, inside);
        pixels[j] = select(vec4(0.0), x[pixel * COLUMNS4 + c], inside);
    }
    return own_points(transform_input(pixels), share);
}

fn each(index: u32) {
    let share = index % SHARES;
    let place = place_in_blocks(COLUMNS4, index / SHARES);
    let tile = place.x;
    let c = place.y;
    if tile >= TILES || c >= COLUMNS4 {
        return;
    }
    let image = FIRST_IMAGE + tile / (TILES_Y * TILES_X);
    // Above and left of the image the subtraction wraps to a large number, which is outside too.
    let top = tile / TILES_X % TILES_Y * OUTPUTS - 1u;
    let left = tile % TILES_X * OUTPUTS - 1u;

    var rows: array<OwnPoints, POINTS>;
    // Written out: the array of a loop that a compiler leaves as it is lies in memory, not in registers.
    rows[0] = row(image, top, left, c, share, 0u);
    rows[1] = row(image, top, left, c, share, 1u);
    rows[2] = row(image, top, left, c, share, 2u);
    rows[3] = row(image, top, left, c, share, 3u);
    if POINTS == 6u {
        rows[POINTS - 2u] = row(image, top, left, c, share, 4u);
        rows[POINTS - 1u] = row(image, top, left, c, share, 5u);
    }
    for (var j = 0u; j < POINT_COLUMNS; j++) {
        var column: Points;
        for (var i = 0u; i < POINTS; i++) {
            column[i] = rows[i][j];
        }
        column = transform_input(column);
        for (var i = 0u; i < POINTS; i++) {
            transformed[in_block(POINTS * POINTS, COLUMNS4, (share * POINT_COLUMNS + j) * POINTS + i, tile, c)] = column[i];
        }
    }
}
