// Matrix product without workgroup memory:  c[m, n] = sum over k of a[m, k] * b[k, n]
//
// A workgroup is one subgroup of LANES. It computes ROWS rows and 2 * LANES vec4 columns of c, a lane two vec4 columns of all
// rows. For four terms at a time, lanes load rows of a, one each, and hand them to all by broadcasts.
// Why: to a CPU adapter workgroup memory is memory, and a barrier stops its loop over lanes. A broadcast is an instruction
// between registers. Each number of b is loaded by the one lane that needs it.
// Needs: subgroups.

@group(0) @binding(0) var<storage, read> a: array<vec4<f32>>; // [m][k4]
@group(0) @binding(1) var<storage, read> b: array<vec4<f32>>; // [k][n4], rows up to a multiple of four
@group(0) @binding(2) var<storage, read_write> c: array<vec4<f32>>; // [m][n4]

const M: u32 = 1u;
const N4: u32 = 1u;
const K4: u32 = 1u;
const LANES: u32 = 8u; // from four to eight
const PANELS: u32 = 4u;
const ROWS: u32 = PANELS * LANES;
const TILES_N: u32 = (N4 + 2u * LANES - 1u) / (2u * LANES);
const GROUPS: u32 = (M + ROWS - 1u) / ROWS * TILES_N;

// Each lane's value, for all lanes. Broadcasts want constant lanes.
fn everywhere(x: vec4<f32>) -> array<vec4<f32>, 8> {
    return array(
        subgroupBroadcast(x, 0u),
        subgroupBroadcast(x, 1u),
        subgroupBroadcast(x, 2u),
        subgroupBroadcast(x, 3u),
        subgroupBroadcast(x, min(4u, LANES - 1u)),
        subgroupBroadcast(x, min(5u, LANES - 1u)),
        subgroupBroadcast(x, min(6u, LANES - 1u)),
        subgroupBroadcast(x, min(7u, LANES - 1u)),
    );
}

// Four terms from 4 * k4 at four columns.
fn block_of_b(k4: u32, n4: u32) -> array<vec4<f32>, 4> {
    let at = k4 * 4u * N4 + min(n4, N4 - 1u);
    return array(b[at], b[at + N4], b[at + 2u * N4], b[at + 3u * N4]);
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(subgroup_invocation_id) lane: u32) {
    let m = group.x / TILES_N * ROWS;
    let n4 = group.x % TILES_N * 2u * LANES + lane;
    var sum: array<array<vec4<f32>, 2>, ROWS>;
    for (var k4 = 0u; k4 < K4; k4++) {
        var rows: array<array<vec4<f32>, 8>, PANELS>;
        for (var panel = 0u; panel < PANELS; panel++) {
            rows[panel] = everywhere(a[min(m + panel * LANES + lane, M - 1u) * K4 + k4]);
        }
        let left = block_of_b(k4, n4);
        let right = block_of_b(k4, n4 + LANES);
        for (var i = 0u; i < ROWS; i++) {
            let row = rows[i / LANES][i % LANES];
            sum[i][0] += row.x * left[0] + row.y * left[1] + row.z * left[2] + row.w * left[3];
            sum[i][1] += row.x * right[0] + row.y * right[1] + row.z * right[2] + row.w * right[3];
        }
    }
    for (var j = 0u; j < 2u; j++) {
        for (var i = 0u; i < ROWS; i++) {
            if m + i < M && n4 + j * LANES < N4 {
                c[(m + i) * N4 + n4 + j * LANES] = sum[i][j];
            }
        }
    }
}
