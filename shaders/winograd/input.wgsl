// Winograd convolution, the input's part:  V[p, q][tile, c] = (BT x B)[p, q], for each tile of x of POINTS x POINTS
// pixels. Tiles are OUTPUTS pixels apart and begin one pixel up and left of their outputs; outside the image x is zero.
//
// A thread transforms four channels of one tile, row by row and then column by column. A GPU's thread has not enough
// registers for 36 vec4s: there, a tile has two SHARES, each a thread that reads all of it and writes half of the columns, in
// workgroups side by side. (One thread in two passes would not do: compilers keep what both read.)
// Host: ops/conv2d/winograd/steps.rs::input. Twins: those of the convolution. Test: tests/winograd.rs::{forward, backward}.
// Uses: lib/grid.wgsl, lib/blocks.wgsl, lib/winograd4.wgsl or lib/winograd2.wgsl

@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;              // [image, y, x][column4]
@group(0) @binding(1) var<storage, read_write> transformed: array<vec4<f32>>; // a matrix [tile][column4] for each point

const FIRST_IMAGE: u32 = 0u;
const IMAGES: u32 = 1u;
const HEIGHT: u32 = 1u;
const WIDTH: u32 = 1u;
const TILES_Y: u32 = 1u;
const TILES_X: u32 = 1u;
const COLUMNS4: u32 = 1u;
const SHARES: u32 = 1u; // or 2
const WORKGROUP: u32 = 64u;

const COLUMNS: u32 = POINTS / SHARES; // of points, in a share
const TILES: u32 = IMAGES * TILES_Y * TILES_X;

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let group_number = group_index(group, groups);
    let share = group_number % SHARES;
    let index = group_number / SHARES * WORKGROUP + thread;
    let place = place_in_blocks(COLUMNS4, index);
    let tile = place.x;
    let c = place.y;
    if tile >= TILES || c >= COLUMNS4 {
        return;
    }
    let image = FIRST_IMAGE + tile / (TILES_Y * TILES_X);
    // Above and left of the image the subtraction wraps to a large number, which is outside too.
    let top = tile / TILES_X % TILES_Y * OUTPUTS - 1u;
    let left = tile % TILES_X * OUTPUTS - 1u;

    var rows: array<array<vec4<f32>, COLUMNS>, POINTS>;
    for (var i = 0u; i < POINTS; i++) {
        var row: Points;
        for (var j = 0u; j < POINTS; j++) {
            let inside = top + i < HEIGHT && left + j < WIDTH;
            let pixel = select(0u, (image * HEIGHT + top + i) * WIDTH + left + j, inside);
            row[j] = select(vec4(0.0), x[pixel * COLUMNS4 + c], inside);
        }
        row = transform_input(row);
        for (var j = 0u; j < COLUMNS; j++) {
            rows[i][j] = select(row[j], row[POINTS - COLUMNS + j], share == 1u);
        }
    }
    for (var j = 0u; j < COLUMNS; j++) {
        var column: Points;
        for (var i = 0u; i < POINTS; i++) {
            column[i] = rows[i][j];
        }
        column = transform_input(column);
        for (var i = 0u; i < POINTS; i++) {
            let point = (share * COLUMNS + j) * POINTS + i;
            transformed[in_block(POINTS * POINTS, COLUMNS4, point, tile, c)] = column[i];
        }
    }
}
