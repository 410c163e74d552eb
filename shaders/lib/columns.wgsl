// How a reduction over rows is laid out: a workgroup takes ROWS_PER_BLOCK rows of up to 64 vec4 columns. Its threads
// stand side by side along the columns, so that neighbours read neighbouring addresses, and LANES deep along the rows.
// Each lane reduces a run of rows, several loads at a time (every LANES-th row instead is 3.6 times as slow on a CPU
// adapter, whose cores do one lane after the other); then the lanes are combined as a tree of fixed shape, so that the
// same numbers give the same bits.
// Host: ops/columns.rs. Uses: lib/grid.wgsl

const ROWS: u32 = 1u;
const COLUMNS4: u32 = 1u;
const ROWS_PER_BLOCK: u32 = 1u;
const FIRST_BLOCK: u32 = 0u; // blocks of earlier batch windows

const WORKGROUP: u32 = 64u;
const TILE4: u32 = min(COLUMNS4, WORKGROUP);
const LANES: u32 = WORKGROUP / TILE4;
const TILES: u32 = (COLUMNS4 + TILE4 - 1u) / TILE4;
const ROWS_PER_LANE: u32 = (ROWS_PER_BLOCK + LANES - 1u) / LANES;
const BLOCKS: u32 = (ROWS + ROWS_PER_BLOCK - 1u) / ROWS_PER_BLOCK;

struct Place {
    block: u32,
    column4: u32,
    lane: u32,
    first_row: u32,
    end_row: u32,   // first_row where this thread has nothing to do
}

fn place(group_index: u32, thread: u32) -> Place {
    let block = group_index / TILES;
    let column4 = group_index % TILES * TILE4 + thread % TILE4;
    let lane = thread / TILE4;
    let first_row = block * ROWS_PER_BLOCK + lane * ROWS_PER_LANE;
    let end_of_block = min((block + 1u) * ROWS_PER_BLOCK, ROWS);
    let idle = lane >= LANES || column4 >= COLUMNS4 || block >= BLOCKS;
    let end_row = select(min(first_row + ROWS_PER_LANE, end_of_block), first_row, idle);
    return Place(block, column4, lane, first_row, end_row);
}

fn writes_result(at: Place) -> bool {
    return at.lane == 0u && at.column4 < COLUMNS4 && at.block < BLOCKS;
}
