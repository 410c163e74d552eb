// Matrix product without workgroup memory (lib/product.wgsl), for adapters whose subgroups have one
// fixed size, LANES, of four to eight. A workgroup is one subgroup. Each lane keeps COLUMNS4 vec4 columns of a tile
// of C of PANELS * LANES rows; the lanes load panels of A (as many rows, four terms) together, and each number of them is
// handed to all by a broadcast.
//
// On a CPU adapter (lavapipe: 8 lanes are one AVX register) this is several times as fast as staging through workgroup
// memory, which is ordinary memory there. Host: ops/product.rs. Tests: tests/dense.rs, tests/conv2d.rs.
// Uses: lib/grid.wgsl, lib/product.wgsl

const LANES: u32 = 8u;
const PANELS: u32 = 2u;
const ONE_SUM: bool = true;  // few terms, or one u
const COLUMNS4: u32 = 2u;
const USED: u32 = 4u;        // terms of the first four; fewer if no others follow, and zeros fill up the four

const TILE_M: u32 = PANELS * LANES;
const TILE_N4: u32 = LANES * COLUMNS4;
const QUADS: u32 = TILE_M / 4u;

// Values that this lane loads for panel i of A: row i * LANES + lane at all four terms. With a transposed A, four rows at one term;
// the panels hold all rows at the first term, then at the next.
fn panel_of_a(tile_row: u32, u: u32, v: u32, w: u32, i: u32, lane: u32) -> vec4<f32> {
    if TRANSPOSED_A {
        let number = i * LANES + lane;
        let term = w + number / QUADS;
        let value = load_a(min(term, W - 1u), u, v, min(tile_row / 4u + number % QUADS, M / 4u - 1u));
        return select(vec4(0.0), value, term < W);
    }
    return load_a(min(tile_row + i * LANES + lane, M - 1u), u, v, w / 4u);
}

// Four terms from w at four columns: block[term][column].
fn block_of_b(u: u32, v: u32, w: u32, column4: u32) -> mat4x4<f32> {
    var block: mat4x4<f32>;
    let n4 = min(column4, N4 - 1u);
    for (var i = 0u; i < 4u; i++) {
        if TRANSPOSED_B {
            block[i] = load_b(n4 * 4u + i, u, v, w / 4u);
        } else {
            block[i] = load_b(min(w + i, W - 1u), u, v, n4);
        }
    }
    if TRANSPOSED_B {
        return transpose(block);
    }
    return block;
}

// Hands each lane's value to all lanes. Broadcasts want constant lanes.
fn everywhere(x: vec4<f32>) -> array<vec4<f32>, 8> {
    return array(
        subgroupBroadcast(x, 0u),
        subgroupBroadcast(x, min(1u, LANES - 1u)),
        subgroupBroadcast(x, min(2u, LANES - 1u)),
        subgroupBroadcast(x, min(3u, LANES - 1u)),
        subgroupBroadcast(x, min(4u, LANES - 1u)),
        subgroupBroadcast(x, min(5u, LANES - 1u)),
        subgroupBroadcast(x, min(6u, LANES - 1u)),
        subgroupBroadcast(x, min(7u, LANES - 1u)),
    );
}

// Row i of the tile, at four terms.
fn row_of_a(panels: array<array<vec4<f32>, 8>, PANELS>, i: u32) -> vec4<f32> {
    if TRANSPOSED_A {
        var row: vec4<f32>;
        for (var term = 0u; term < 4u; term++) {
            let number = term * QUADS + i / 4u;
            row[term] = panels[number / LANES][number % LANES][i % 4u];
        }
        return row;
    }
    return panels[i / LANES][i % LANES];
}

@compute @workgroup_size(LANES)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(subgroup_invocation_id) lane: u32,
) {
    let tile = tile_of(group_index(group, groups));
    if tile.split >= SPLITS {
        return;
    }
    let first_column4 = tile.column4 + lane;

    // Each axis of these arrays is the range of one loop below: drivers unroll such loops and keep the numbers in registers. (With
    // an axis more, of four rows each, Mesa 25 did not, and went from lane to lane in memory: a quarter of the speed.)
    var sum: array<array<vec4<f32>, COLUMNS4>, TILE_M>;
    // Sums of sums of sums of four: a chain of thousands of additions to one f32 would lose several times the digits.
    var total: array<array<vec4<f32>, COLUMNS4>, TILE_M>;
    let terms = terms_of(tile.split, reach(tile.row, min(tile.row + TILE_M, M) - 1u));
    for (var u = terms.u.x; u < terms.u.y; u++) {
        for (var v = terms.v.x; v < terms.v.y; v++) {
            for (var w = terms.w.x; w < terms.w.y; w += 4u) {
                var a: array<array<vec4<f32>, 8>, PANELS>;
                for (var i = 0u; i < PANELS; i++) {
                    a[i] = everywhere(panel_of_a(tile.row, u, v, w, i, lane));
                }
                var b: array<mat4x4<f32>, COLUMNS4>;
                for (var j = 0u; j < COLUMNS4; j++) {
                    b[j] = block_of_b(u, v, w, first_column4 + j * LANES);
                }
                for (var i = 0u; i < TILE_M; i++) {
                    let row = row_of_a(a, i);
                    for (var j = 0u; j < COLUMNS4; j++) {
                        var value = row.x * b[j][0];
                        if USED > 1u {
                            value = fma(vec4(row.y), b[j][1], value);
                        }
                        if USED > 2u {
                            value = fma(vec4(row.z), b[j][2], value);
                        }
                        if USED > 3u {
                            value = fma(vec4(row.w), b[j][3], value);
                        }
                        sum[i][j] += value;
                    }
                }
            }
        }
        if ONE_SUM {
            continue;
        }
        for (var i = 0u; i < TILE_M; i++) {
            for (var j = 0u; j < COLUMNS4; j++) {
                total[i][j] += sum[i][j];
                sum[i][j] = vec4(0.0);
            }
        }
    }

    for (var j = 0u; j < COLUMNS4; j++) {
        let n4 = first_column4 + j * LANES;
        let base = start(min(n4, N4 - 1u));
        for (var i = 0u; i < TILE_M; i++) {
            let m = tile.row + i;
            if m < M && n4 < N4 {
                store(tile.split, m, n4, base + select(total[i][j], sum[i][j], ONE_SUM));
            }
        }
    }
}
