// How a reduction over rows is laid out: a workgroup takes ROWS_PER_BLOCK rows of up to 64 vec4 columns. Its threads
// stand side by side along the columns, so that neighbours read neighbouring addresses, and LANES deep along the rows.
// Each thread reduces every LANES-th row; then the lanes are combined as a tree of fixed shape, so that the same
// numbers give the same bits.
// Host: ops/columns.rs. Uses: lib/grid.wgsl

const ROWS: u32 = 1u;
const COLUMNS4: u32 = 1u;
const ROWS_PER_BLOCK: u32 = 1u;
const FIRST_BLOCK: u32 = 0u; // blocks of earlier batch windows

const WORKGROUP: u32 = 64u;
const TILE4: u32 = min(COLUMNS4, WORKGROUP);
const LANES: u32 = WORKGROUP / TILE4;
const TILES: u32 = (COLUMNS4 + TILE4 - 1u) / TILE4;
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
    let first_row = block * ROWS_PER_BLOCK + lane;
    let idle = lane >= LANES || column4 >= COLUMNS4 || block >= BLOCKS;
    let end_row = select(min((block + 1u) * ROWS_PER_BLOCK, ROWS), first_row, idle);
    return Place(block, column4, lane, first_row, end_row);
}

fn writes_result(at: Place) -> bool {
    return at.lane == 0u && at.column4 < COLUMNS4 && at.block < BLOCKS;
}
