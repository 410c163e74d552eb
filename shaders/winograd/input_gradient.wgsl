// Winograd convolution, gradient of the input:  dx = sum over tiles of B M BT, POINTS x POINTS pixels per tile, where
// M[p, q][tile, i] = sum over o of Z[p, q][tile, o] * U[p, q][i, o]
//
// Tiles overlap by a pixel on each side. A thread computes the OUTPUTS x OUTPUTS pixels in the middle of one tile, four
// channels of them, and adds what its neighbours give: theirs is only the last or the first pixel of an axis, which is
// that of one point alone. The pixels are those of a share of the tile (lib/tiles.wgsl).
// Host: ops/conv2d/winograd/steps.rs::backward. Twins: those of the convolution. Test: tests/winograd.rs::backward.
// Uses: lib/each.wgsl, lib/blocks.wgsl, lib/tiles.wgsl, lib/winograd4.wgsl or lib/winograd2.wgsl

@group(0) @binding(0) var<storage, read> product: array<vec4<f32>>;  // a matrix [tile][column4] for each point
@group(0) @binding(1) var<storage, read_write> grad_x: array<vec4<f32>>; // [image, y, x][column4]

const FIRST_IMAGE: u32 = 0u;
const IMAGES: u32 = 1u;
const HEIGHT: u32 = 1u;
const WIDTH: u32 = 1u;
const TILES_Y: u32 = 1u;
const TILES_X: u32 = 1u;
const COLUMNS4: u32 = 1u;
const WORKGROUP: u32 = 64u;

const TILES: u32 = IMAGES * TILES_Y * TILES_X;
const LAST: u32 = POINTS - 1u;

// Number (p, q) of the tile in that row and column of tiles; zero outside the image.
fn at(image: u32, tile_y: u32, tile_x: u32, p: u32, q: u32, c: u32) -> vec4<f32> {
    let inside = tile_y < TILES_Y && tile_x < TILES_X;
    let tile = select(0u, (image * TILES_Y + tile_y) * TILES_X + tile_x, inside);
    return select(vec4(0.0), product[in_block(POINTS * POINTS, COLUMNS4, q * POINTS + p, tile, c)], inside);
}

// The pixels in the middle of an axis that are the tile's own.
fn middle(own: Points) -> Outputs {
    let pixels = transform_input_gradient(own);
    var out: Outputs;
    for (var i = 0u; i < OUTPUTS; i++) {
        out[i] = pixels[i + 1u];
    }
    return out;
}

// Gradient from the next tile on an axis for the last pixel in the middle, from that tile's first point.
fn first_pixel(first: vec4<f32>) -> vec4<f32> {
    var points: Points;
    points[0] = first;
    return transform_input_gradient(points)[0];
}

// Gradient from the tile before on an axis for the first pixel in the middle, from that tile's last point.
fn last_pixel(last: vec4<f32>) -> vec4<f32> {
    var points: Points;
    points[LAST] = last;
    return transform_input_gradient(points)[LAST];
}

// Row p of a tile's points, brought to pixels: a share's.
fn row(image: u32, tile_y: u32, tile_x: u32, c: u32, share: u32, p: u32) -> OwnOutputs {
    var points: Points;
    for (var q = 0u; q < POINTS; q++) {
        points[q] = at(image, tile_y, tile_x, p, q, c);
    }
    var pixels = middle(points);
    pixels[0] += last_pixel(at(image, tile_y, tile_x - 1u, p, LAST, c));
    pixels[OUTPUTS - 1u] += first_pixel(at(image, tile_y, tile_x + 1u, p, 0u, c));
    return own_outputs(pixels, share);
}

fn each(index: u32) {
    let share = index % SHARES;
    let place = place_in_blocks(COLUMNS4, index / SHARES);
    let tile = place.x;
    let c = place.y;
    if tile >= TILES || c >= COLUMNS4 {
        return;
    }
    let image = tile / (TILES_Y * TILES_X);
    // Before the first tile the subtraction wraps to a large number, which is outside too.
    let tile_y = tile / TILES_X % TILES_Y;
    let tile_x = tile % TILES_X;

    var rows: array<OwnOutputs, POINTS>;
    // Written out: the array of a loop that a compiler leaves as it is lies in memory, not in registers.
    rows[0] = row(image, tile_y, tile_x, c, share, 0u);
    rows[1] = row(image, tile_y, tile_x, c, share, 1u);
    rows[2] = row(image, tile_y, tile_x, c, share, 2u);
    rows[3] = row(image, tile_y, tile_x, c, share, 3u);
    if POINTS == 6u {
        rows[POINTS - 2u] = row(image, tile_y, tile_x, c, share, 4u);
        rows[POINTS - 1u] = row(image, tile_y, tile_x, c, share, 5u);
    }
    var columns: array<Outputs, OUTPUT_COLUMNS>;
    for (var j = 0u; j < OUTPUT_COLUMNS; j++) {
        var column: Points;
        for (var p = 0u; p < POINTS; p++) {
            column[p] = rows[p][j];
        }
        columns[j] = middle(column);
    }
    // The neighbours' rows come last, when a tile's own six have become four: fewer numbers are alive at once.
    let above = row(image, tile_y - 1u, tile_x, c, share, LAST);
    let below = row(image, tile_y + 1u, tile_x, c, share, 0u);
    for (var j = 0u; j < OUTPUT_COLUMNS; j++) {
        var pixels = columns[j];
        pixels[0] += last_pixel(above[j]);
        pixels[OUTPUTS - 1u] += first_pixel(below[j]);
        for (var i = 0u; i < OUTPUTS; i++) {
            let y = tile_y * OUTPUTS + i;
            let x = tile_x * OUTPUTS + share * OUTPUT_COLUMNS + j;
            if y < HEIGHT && x < WIDTH {
                grad_x[(((FIRST_IMAGE + image) * HEIGHT + y) * WIDTH + x) * COLUMNS4 + c] = pixels[i];
            }
        }
    }
}
