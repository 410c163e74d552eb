// Winograd convolution, gradient of the weights:  dw = GT N G, 3 x 3 taps between channels i and o, where
// N[p, q][i, o] = sum over tiles of V[p, q][tile, i] * Z[p, q][tile, o], in PARTS parts that are added up in order.
//
// A thread transforms one input channel and four output channels, column by column and then row by row. A dispatch adds
// up a band of the points, FIRST_Q <= q < END_Q: all together may be too large for one binding.
// Host: ops/conv2d/winograd/steps.rs::weight_gradient. Twins: those of the convolution. Test: tests/winograd.rs::backward.
// Uses: lib/each.wgsl, lib/blocks.wgsl, lib/winograd4.wgsl or lib/winograd2.wgsl

@group(0) @binding(0) var<storage, read> product: array<vec4<f32>>;  // a matrix [i][o4] for each point and part
@group(0) @binding(1) var<storage, read_write> grad_w: array<vec4<f32>>; // [ky, kx][i][o4]

const ROWS: u32 = 1u;
const COLUMNS4: u32 = 1u;
const FIRST_Q: u32 = 0u;
const END_Q: u32 = 4u;
const PARTS: u32 = 1u;
const ONTO_TOTAL: bool = false; // on top of what grad_w holds, from other points and images
const WORKGROUP: u32 = 64u;

const BAND: u32 = (END_Q - FIRST_Q) * POINTS;

// Column q of the points, brought to taps; zeros if it is of another band.
fn column(i: u32, o4: u32, q: u32) -> Taps {
    if q < FIRST_Q || q >= END_Q {
        return Taps();
    }
    var points: Points;
    for (var part = 0u; part < PARTS; part++) {
        for (var p = 0u; p < POINTS; p++) {
            let point = ((q - FIRST_Q) * POINTS + p) * PARTS + part;
            points[p] += product[in_block(BAND * PARTS, COLUMNS4, point, i, o4)];
        }
    }
    return transform_weight_gradient(points);
}

fn each(index: u32) {
    let place = place_in_blocks(COLUMNS4, index);
    let i = place.x;
    let o4 = place.y;
    if i >= ROWS || o4 >= COLUMNS4 {
        return;
    }
    var columns: array<Taps, POINTS>;
    // Written out: the array of a loop that a compiler leaves as it is lies in memory, not in registers.
    columns[0] = column(i, o4, 0u);
    columns[1] = column(i, o4, 1u);
    columns[2] = column(i, o4, 2u);
    columns[3] = column(i, o4, 3u);
    if POINTS == 6u {
        columns[POINTS - 2u] = column(i, o4, 4u);
        columns[POINTS - 1u] = column(i, o4, 5u);
    }
    for (var ky = 0u; ky < 3u; ky++) {
        var row: Points;
        for (var q = 0u; q < POINTS; q++) {
            row[q] = columns[q][ky];
        }
        let taps = transform_weight_gradient(row);
        for (var kx = 0u; kx < 3u; kx++) {
            let to = ((ky * 3u + kx) * ROWS + i) * COLUMNS4 + o4;
            if ONTO_TOTAL {
                grad_w[to] += taps[kx];
            } else {
                grad_w[to] = taps[kx];
            }
        }
    }
}
