// How a stack of matrices of one size, one a point, lies in memory: in blocks of a few rows and vec4 columns, and the
// blocks of one place side by side, point after point.
//
// Who transforms a tile reads or writes one number of each matrix; who multiplies reads many of one. The factors of a
// product are written by transforms: their blocks are a run of 8 vec4s, so that a transform writes one long run. The
// results are written by products: their blocks are tiles of a product. With matrix after matrix, a CPU took up to three
// times as long: it writes in order, and waits for every line that is not in its caches.
// Host: ops/winograd.rs.

const RESULT_ROWS: u32 = 16u;
const RESULT_WIDTH: u32 = 16u;
const FACTOR_WIDTH: u32 = 8u; // of one row
// Between rows: with sizes that are powers of two, all rows would fall into the same lines of a cache.
const FACTOR_GAP: u32 = 4u;

fn in_factor(points: u32, columns4: u32, point: u32, row: u32, column4: u32) -> u32 {
    let width = min(columns4, FACTOR_WIDTH);
    let across = (columns4 + width - 1u) / width;
    return ((row * across + column4 / width) * points + point) * width + column4 % width + row * FACTOR_GAP;
}

fn in_result(points: u32, columns4: u32, point: u32, row: u32, column4: u32) -> u32 {
    let width = min(columns4, RESULT_WIDTH);
    let across = (columns4 + width - 1u) / width;
    let block = row / RESULT_ROWS * across + column4 / width;
    return ((block * points + point) * RESULT_ROWS + row % RESULT_ROWS) * width + column4 % width;
}
