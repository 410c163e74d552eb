// Winograd convolution, the weights' part:  U[p, q][i, o] = (G w GT)[p, q], of the 3 x 3 taps between channels i and o.
//
// A thread transforms the taps of one input channel and four output channels, row by row and then column by column. A
// dispatch writes a band of the points, FIRST_Q <= q < END_Q: all together may be too large for one binding.
// Host: ops/conv2d/winograd/steps.rs::transform_weights. Twins: those of the convolution. Test: tests/winograd.rs::{forward, backward}.
// Uses: lib/each.wgsl, lib/blocks.wgsl, lib/winograd4.wgsl or lib/winograd2.wgsl

@group(0) @binding(0) var<storage, read> weights: array<vec4<f32>>;           // [ky, kx][i][o4]
@group(0) @binding(1) var<storage, read_write> transformed: array<vec4<f32>>; // a matrix [i][o4] for each point

const ROWS: u32 = 1u;
const COLUMNS4: u32 = 1u;
const FIRST_Q: u32 = 0u;
const END_Q: u32 = 4u;
const WORKGROUP: u32 = 64u;

const BAND: u32 = (END_Q - FIRST_Q) * POINTS;

fn each(index: u32) {
    let place = place_in_blocks(COLUMNS4, index);
    let i = place.x;
    let o4 = place.y;
    if i >= ROWS || o4 >= COLUMNS4 {
        return;
    }
    var rows: array<Points, 3>;
    for (var ky = 0u; ky < 3u; ky++) {
        var row: Taps;
        for (var kx = 0u; kx < 3u; kx++) {
            row[kx] = weights[((ky * 3u + kx) * ROWS + i) * COLUMNS4 + o4];
        }
        rows[ky] = transform_weights(row);
    }
    for (var q = FIRST_Q; q < END_Q; q++) {
        var column: Taps;
        for (var ky = 0u; ky < 3u; ky++) {
            column[ky] = rows[ky][q];
        }
        let points = transform_weights(column);
        for (var p = 0u; p < POINTS; p++) {
            transformed[in_block(BAND, COLUMNS4, (q - FIRST_Q) * POINTS + p, i, o4)] = points[p];
        }
    }
}
