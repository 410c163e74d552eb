// Winograd convolution, back to pixels, as winograd/output.wgsl does it, and what a batch norm asks of these pixels: of each
// block of tiles count, mean and sum of squared deviations of every channel, while they are in registers.
//
// A workgroup takes a block: TILES_DEEP tiles deep, and its threads side by side along up to BLOCK_WIDTH vec4 columns. A
// thread transforms four channels of a share of a tile (lib/tiles.wgsl), and keeps the pixels where their rows were: a loop
// that does no more than that of winograd/output.wgsl is unrolled wherever that one is. The pixels of a column of the tile
// have their mean and deviations first; columns and then lanes are merged (lib/moments.wgsl) as a tree of fixed shape.
// Statistics are of what y holds: pixels past the image's side do not count, and of halves they are those of the rounded
// numbers.
// batch_norm/statistics_blocks.wgsl and statistics_merge.wgsl merge the blocks.
// Host: ops/conv2d/winograd/steps.rs::kernel. Twins: those of the convolution and of the batch norm.
// Test: tests/winograd.rs::statistics.
// Uses: lib/grid.wgsl, lib/blocks.wgsl, lib/lanes.wgsl, lib/tiles.wgsl, lib/winograd4.wgsl or lib/winograd2.wgsl

struct Parameters {
    first_block: u32, // blocks of earlier chunks
}

@group(0) @binding(0) var<storage, read> product: array<vec4<f32>>; // a matrix [tile][column4] for each point
@group(0) @binding(1) var<storage, read> bias: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4<f32>>;       // [image, y, x][column4]
@group(0) @binding(3) var<storage, read_write> partial: array<vec4<f32>>; // [block][count, mean, m2][column4]
@group(0) @binding(4) var<uniform> parameters: Parameters;

const FIRST_IMAGE: u32 = 0u;
const IMAGES: u32 = 1u;
const HEIGHT: u32 = 1u;
const WIDTH: u32 = 1u;
const TILES_Y: u32 = 1u;
const TILES_X: u32 = 1u;
const COLUMNS4: u32 = 1u;
const HALVES: bool = false; // y holds halves
const WORKGROUP: u32 = 64u;

const TILES: u32 = IMAGES * TILES_Y * TILES_X;
const SIDE4: u32 = min(COLUMNS4, BLOCK_WIDTH); // threads side by side
const TILES_DEEP: u32 = WORKGROUP / (SIDE4 * SHARES);
const LANES: u32 = TILES_DEEP * SHARES;

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let lane = thread / SIDE4;
    let row = group_index(group, groups) * TILES_DEEP + lane / SHARES;
    let at = place_in_blocks(COLUMNS4, row * SIDE4 + thread % SIDE4);
    let within = lane < LANES && at.x < TILES && at.y < COLUMNS4;
    var moments = Moments(0.0, vec4(0.0), vec4(0.0));
    if within {
        moments = transform(at.x, at.y, lane % SHARES);
    }
    let result = of_all_lanes(moments, thread, lane, SIDE4);
    if within && lane == 0u {
        let to = (parameters.first_block + at.x / TILES_DEEP) * 3u * COLUMNS4 + at.y;
        partial[to] = vec4(result.count);
        partial[to + COLUMNS4] = result.mean;
        partial[to + 2u * COLUMNS4] = result.m2;
    }
}

// Writes a vec4 column of a share of a tile's pixels; their moments.
fn transform(tile: u32, c: u32, share: u32) -> Moments {
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
                let to = first + (i * WIDTH + j) * COLUMNS4;
                rows[i][j] = pixels[i] + shift;
                y[to] = rows[i][j];
                if HALVES {
                    rows[i][j] = y[to];
                }
            }
        }
    }
    let count = f32(min(OUTPUTS, HEIGHT - top)); // of a column
    var all = Moments(0.0, vec4(0.0), vec4(0.0));
    for (var j = 0u; j < OUTPUT_COLUMNS; j++) {
        var sum = vec4(0.0);
        for (var i = 0u; i < OUTPUTS; i++) {
            sum += select(vec4(0.0), rows[i][j], top + i < HEIGHT);
        }
        let mean = sum / count;
        var m2 = vec4(0.0);
        for (var i = 0u; i < OUTPUTS; i++) {
            m2 += select(vec4(0.0), (rows[i][j] - mean) * (rows[i][j] - mean), top + i < HEIGHT);
        }
        if left + j < WIDTH {
            all = merge(all, Moments(count, mean, m2));
        }
    }
    return all;
}
