// How a stack of matrices of one size, one per point, lies in memory: in blocks of 16 rows and 16 vec4 columns, and the blocks
// of one place side by side, point after point.
//
// A transform touches one element of every matrix; a product touches tiles of one matrix. So a product
// finds what it needs of a matrix in runs of 4 KiB, which a CPU fetches ahead, and a transform, whose threads take their
// places in the order of the blocks, fills those of a place before the next. With matrix after matrix, a CPU's transforms
// took up to three times as long: it writes in order, and waits for every line that is not in its caches. With the rows of a
// block far apart, products took up to 1.4 times as long.
// Host: ops/conv2d/winograd.rs.

const BLOCK_ROWS: u32 = 16u;
const BLOCK_WIDTH: u32 = 16u;

// Narrow matrices have narrow blocks.
fn block_width(columns4: u32) -> u32 {
    return min(columns4, BLOCK_WIDTH);
}

fn blocks_across(columns4: u32) -> u32 {
    return (columns4 + block_width(columns4) - 1u) / block_width(columns4);
}

// Where a number of the matrix of a point lies. The point comes last: a compiler adds it, if it is a constant, to what is the
// same for all points.
fn in_block(points: u32, columns4: u32, point: u32, row: u32, column4: u32) -> u32 {
    let width = block_width(columns4);
    let block = row / BLOCK_ROWS * blocks_across(columns4) + column4 / width;
    let first = (block * points * BLOCK_ROWS + row % BLOCK_ROWS) * width + column4 % width;
    return first + point * (BLOCK_ROWS * width);
}

// The row and vec4 column that come at an index in the order of half blocks, whatever the point; past the edge in the last
// ones. (A whole block of the weights is read from 144 rows, of which a CPU does not fetch so many ahead.)
fn place_in_blocks(columns4: u32, index: u32) -> vec2<u32> {
    let width = block_width(columns4);
    let half = index / (BLOCK_ROWS / 2u * width);
    let within = index % (BLOCK_ROWS / 2u * width);
    let across = blocks_across(columns4);
    return vec2(half / across * (BLOCK_ROWS / 2u) + within / width, half % across * width + within % width);
}
