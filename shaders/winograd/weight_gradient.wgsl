// Winograd convolution, gradient of the weights:  dw = GT N G, 3 x 3 taps between channels i and o, where
// N[p, q][i, o] = sum over tiles of V[p, q][tile, i] * Z[p, q][tile, o], in PARTS parts that are added up in order.
//
// A thread transforms one input channel and four output channels, row by row and then column by column. A dispatch adds
// up a band of the points, FIRST_P <= p < END_P: all together may be too large for one binding.
// Host: ops/winograd/gpu.rs::backward. Twins: those of the convolution. Test: tests/winograd.rs::backward.
// Uses: lib/grid.wgsl, lib/winograd4.wgsl or lib/winograd2.wgsl

@group(0) @binding(0) var<storage, read> product: array<vec4<f32>>;  // [p - FIRST_P, q][part][i][o4]
@group(0) @binding(1) var<storage, read_write> dw: array<vec4<f32>>; // [ky, kx][i][o4]

const COUNT4: u32 = 1u; // vec4s of one tap
const FIRST_P: u32 = 0u;
const END_P: u32 = 4u;
const PARTS: u32 = 1u;
const ONTO_TOTAL: bool = false; // on top of what dw holds, from other points and images
const WORKGROUP: u32 = 64u;

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let index = group_index(group, groups) * WORKGROUP + thread;
    if index >= COUNT4 {
        return;
    }
    var rows: array<Taps, POINTS>;
    for (var p = FIRST_P; p < END_P; p++) {
        var row: Points;
        for (var q = 0u; q < POINTS; q++) {
            for (var part = 0u; part < PARTS; part++) {
                row[q] += product[(((p - FIRST_P) * POINTS + q) * PARTS + part) * COUNT4 + index];
            }
        }
        rows[p] = transform_weight_gradient(row);
    }
    for (var kx = 0u; kx < 3u; kx++) {
        var column: Points;
        for (var p = 0u; p < POINTS; p++) {
            column[p] = rows[p][kx];
        }
        let taps = transform_weight_gradient(column);
        for (var ky = 0u; ky < 3u; ky++) {
            let to = (ky * 3u + kx) * COUNT4 + index;
            if ONTO_TOTAL {
                dw[to] += taps[ky];
            } else {
                dw[to] = taps[ky];
            }
        }
    }
}
