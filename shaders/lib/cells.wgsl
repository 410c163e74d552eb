// Cells of an image: the windows of a max pool that lie side by side, WINDOW_HEIGHT x WINDOW_WIDTH pixels each, counted
// row by row through all images. Without a pool a cell is one pixel.
// Host: ops/batch_norm/steps.rs.

const HEIGHT: u32 = 1u; // of an image, in pixels
const WIDTH: u32 = 1u;
const WINDOW_HEIGHT: u32 = 1u;
const WINDOW_WIDTH: u32 = 1u;

const PIXELS: u32 = WINDOW_HEIGHT * WINDOW_WIDTH; // of a cell
const OUT_HEIGHT: u32 = HEIGHT / WINDOW_HEIGHT;   // of an image, in whole cells
const OUT_WIDTH: u32 = WIDTH / WINDOW_WIDTH;

struct Cell {
    image: u32,
    row: u32,
    column: u32,
}

// The place of a cell where an image has so many.
fn cell(index: u32, rows: u32, columns: u32) -> Cell {
    if PIXELS == 1u {
        return Cell(0u, 0u, index); // the same addresses below, without a division
    }
    return Cell(index / (rows * columns), index / columns % rows, index % columns);
}

// Pixel i of a cell, counted through all images.
fn pixel(at: Cell, i: u32) -> u32 {
    let row = at.row * WINDOW_HEIGHT + i / WINDOW_WIDTH;
    return (at.image * HEIGHT + row) * WIDTH + at.column * WINDOW_WIDTH + i % WINDOW_WIDTH;
}

// A whole cell, counted through all images.
fn output(at: Cell) -> u32 {
    return (at.image * OUT_HEIGHT + at.row) * OUT_WIDTH + at.column;
}
