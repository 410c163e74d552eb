// The sums of one tile of a matrix product (lib/product.wgsl), through workgroup memory.
//
// This core stages tiles through workgroup memory: right for GPUs, whose threads wait long for global memory.
// A workgroup computes a (THREADS_M * 8) x (THREADS_N * 8) tile of C, each thread 8 x 8 of it in registers: two
// groups of four rows and two vec4 columns, half a tile apart so that neighbours read neighbouring addresses. With
// PREFETCH the next tiles of A and B are on their way into registers while these are multiplied. Sums and tiles on their way
// leave few registers: what takes one for the whole loop is computed anew, and the right columns come when the left ones are
// done (docs/dropped.md#registers).
//
// The kernel or library that uses it supplies SCRATCH, the vec4s that tile_a has at least: it is free when the sums are there.
// Host: ops/product.rs. Tests: tests/dense.rs, tests/conv2d.rs.
// Uses: lib/product.wgsl

const THREADS_M: u32 = 8u;
const THREADS_N: u32 = 8u;
const TILE_W: u32 = 16u;
const PREFETCH: bool = false;

// A loop over fewer terms than these ends where the terms of the sum do, so that no compiler knows how often it turns.
// Intel's unrolls one that it knows, loads all of the tile first, and has no registers for it (docs/dropped.md).
const UNROLLED_W: u32 = 16u;

const THREADS: u32 = THREADS_M * THREADS_N;
const TILE_M: u32 = THREADS_M * 8u;
const TILE_M4: u32 = THREADS_M * 2u;
const TILE_N4: u32 = THREADS_N * 2u;

// Blocks of 4 x 4 numbers of a tile, and the most that a thread moves.
const BLOCKS_A: u32 = TILE_M4 * TILE_W / 4u;
const BLOCKS_B: u32 = TILE_N4 * TILE_W / 4u;
const MOST_A: u32 = (BLOCKS_A + THREADS - 1u) / THREADS;
const MOST_B: u32 = (BLOCKS_B + THREADS - 1u) / THREADS;

var<workgroup> tile_a: array<vec4<f32>, max(TILE_W * TILE_M4, SCRATCH)>; // [w][m4], by place_a
var<workgroup> tile_b: array<vec4<f32>, TILE_W * TILE_N4>; // [w][n4]

// Where four rows of term w lie in tile_a. Threads side by side store terms that are four apart: without the exclusive or
// they would all meet in the same banks of workgroup memory, and wait for each other.
fn place_a(w: u32, m4: u32) -> u32 {
    return w * TILE_M4 + (m4 ^ (w / 4u * 2u % 8u));
}

// The blocks below are written out: FXC does not come to an end where a loop fills a matrix column by column.

// Four numbers of A as they are stored, of four rows from m and four terms from w: row m + i, or with TRANSPOSED_A term w + i.
fn stored_a(i: u32, m: u32, u: u32, v: u32, w: u32) -> vec4<f32> {
    if TRANSPOSED_A {
        return select(vec4(0.0), load_a(min(w + i, W - 1u), u, v, min(m, M - 4u) / 4u), w + i < W);
    }
    return select(vec4(0.0), load_a(min(m + i, M - 1u), u, v, min(w, W - 4u) / 4u), w < W);
}

// Four rows from m and four terms from w, as the columns of a matrix: block[term][row].
fn block_of_a(m: u32, u: u32, v: u32, w: u32) -> mat4x4<f32> {
    let block = mat4x4(
        stored_a(0u, m, u, v, w),
        stored_a(1u, m, u, v, w),
        stored_a(2u, m, u, v, w),
        stored_a(3u, m, u, v, w),
    );
    if TRANSPOSED_A {
        return block;
    }
    return transpose(block);
}

// Four numbers of B as they are stored, of four terms from w and four columns from 4 * n4: term w + i, or with TRANSPOSED_B
// column 4 * n4 + i.
fn stored_b(i: u32, u: u32, v: u32, w: u32, n4: u32) -> vec4<f32> {
    if TRANSPOSED_B {
        return select(vec4(0.0), load_b(n4 * 4u + i, u, v, min(w, W - 4u) / 4u), w < W);
    }
    return select(vec4(0.0), load_b(min(w + i, W - 1u), u, v, n4), w + i < W);
}

// Four terms from w and four columns from 4 * n4: block[term][column].
fn block_of_b(u: u32, v: u32, w: u32, n4: u32) -> mat4x4<f32> {
    let within = min(n4, N4 - 1u);
    let block = mat4x4(
        stored_b(0u, u, v, w, within),
        stored_b(1u, u, v, w, within),
        stored_b(2u, u, v, w, within),
        stored_b(3u, u, v, w, within),
    );
    if TRANSPOSED_B {
        return transpose(block);
    }
    return block;
}

// The blocks of one tile of A and one of B that a thread moves.
struct Blocks {
    a: array<mat4x4<f32>, MOST_A>,
    b: array<mat4x4<f32>, MOST_B>,
}

// Blocks of the terms from u, v, w.
fn load_blocks(tile: Tile, at: vec3<u32>, thread: u32) -> Blocks {
    var blocks: Blocks;
    for (var i = 0u; i < MOST_A; i++) {
        let block = i * THREADS + thread;
        let w = at.z + block % (TILE_W / 4u) * 4u;
        if block < BLOCKS_A {
            blocks.a[i] = block_of_a(tile.row + block / (TILE_W / 4u) * 4u, at.x, at.y, w);
        }
    }
    for (var i = 0u; i < MOST_B; i++) {
        let block = i * THREADS + thread;
        if block < BLOCKS_B {
            blocks.b[i] = block_of_b(at.x, at.y, at.z + block / TILE_N4 * 4u, tile.column4 + block % TILE_N4);
        }
    }
    return blocks;
}

fn stage(blocks: Blocks, thread: u32) {
    var own = blocks;
    for (var i = 0u; i < MOST_A; i++) {
        let block = i * THREADS + thread;
        let w = block % (TILE_W / 4u) * 4u;
        let m4 = block / (TILE_W / 4u);
        if block < BLOCKS_A {
            tile_a[place_a(w, m4)] = own.a[i][0];
            tile_a[place_a(w + 1u, m4)] = own.a[i][1];
            tile_a[place_a(w + 2u, m4)] = own.a[i][2];
            tile_a[place_a(w + 3u, m4)] = own.a[i][3];
        }
    }
    for (var i = 0u; i < MOST_B; i++) {
        let block = i * THREADS + thread;
        let to = block / TILE_N4 * 4u * TILE_N4 + block % TILE_N4;
        if block < BLOCKS_B {
            tile_b[to] = own.b[i][0];
            tile_b[to + TILE_N4] = own.b[i][1];
            tile_b[to + 2u * TILE_N4] = own.b[i][2];
            tile_b[to + 3u * TILE_N4] = own.b[i][3];
        }
    }
}

// The first tile of the terms, as u, v, w; past the last u where there is no term.
fn first_of(terms: Terms) -> vec3<u32> {
    return vec3(select(terms.u.x, terms.u.y, terms.v.x >= terms.v.y), terms.v.x, terms.w.x);
}

// The tile after another; past the last u after the last.
fn after(at: vec3<u32>, terms: Terms) -> vec3<u32> {
    let same_v = at.z + TILE_W < terms.w.y;
    let same_u = same_v || at.y + 1u < terms.v.y;
    let w = select(terms.w.x, at.z + TILE_W, same_v);
    let v = select(select(terms.v.x, at.y + 1u, same_u), at.y, same_v);
    return vec3(select(at.x + 1u, at.x, same_u), v, w);
}

// Adds the products of four rows and four columns: each column of the matrix is a row of C.
fn outer(sum: mat4x4<f32>, rows: vec4<f32>, columns: vec4<f32>) -> mat4x4<f32> {
    return mat4x4(
        fma(vec4(rows.x), columns, sum[0]),
        fma(vec4(rows.y), columns, sum[1]),
        fma(vec4(rows.z), columns, sum[2]),
        fma(vec4(rows.w), columns, sum[3]),
    );
}

// A thread's part of a tile's sums. The columns of a matrix are four rows of C, of four columns each.
struct Sums {
    upper_left: mat4x4<f32>,
    upper_right: mat4x4<f32>,
    lower_left: mat4x4<f32>,
    lower_right: mat4x4<f32>,
}

// The sums of a tile, without what they start from. All threads of the workgroup call it.
fn sums_of(tile: Tile, thread: u32) -> Sums {
    var upper_left: mat4x4<f32>;
    var upper_right: mat4x4<f32>;
    var lower_left: mat4x4<f32>;
    var lower_right: mat4x4<f32>;
    var blocks: Blocks;
    let terms = terms_of(tile.split, reach(tile.row, min(tile.row + TILE_M, M) - 1u));
    var at = first_of(terms);
    if PREFETCH && at.x < terms.u.y {
        blocks = load_blocks(tile, at, thread);
    }
    while at.x < terms.u.y {
        if !PREFETCH {
            blocks = load_blocks(tile, at, thread);
        }
        stage(blocks, thread);
        workgroupBarrier();
        let depth = select(min(TILE_W, terms.w.y - at.z), TILE_W, TILE_W >= UNROLLED_W);
        at = after(at, terms);
        if PREFETCH && at.x < terms.u.y {
            blocks = load_blocks(tile, at, thread);
        }
        for (var w = 0u; w < depth; w++) {
            let row4 = thread / THREADS_N;
            let column4 = thread % THREADS_N;
            let upper = tile_a[place_a(w, row4)];
            let lower = tile_a[place_a(w, THREADS_M + row4)];
            let left = tile_b[w * TILE_N4 + column4];
            upper_left = outer(upper_left, upper, left);
            lower_left = outer(lower_left, lower, left);
            let right = tile_b[w * TILE_N4 + THREADS_N + column4];
            upper_right = outer(upper_right, upper, right);
            lower_right = outer(lower_right, lower, right);
        }
        workgroupBarrier();
    }
    return Sums(upper_left, upper_right, lower_left, lower_right);
}

// The rows and columns of C that a thread has the sums of begin here; the lower and the right half of the tile come half a tile
// later.
fn first_row(tile: Tile, thread: u32) -> u32 {
    return tile.row + thread / THREADS_N * 4u;
}

fn first_column4(tile: Tile, thread: u32) -> u32 {
    return tile.column4 + thread % THREADS_N;
}
