// Winograd convolution, the weights' part:  U[p, q][i, o] = (G w GT)[p, q], of the 3 x 3 taps between channels i and o.
//
// A thread transforms the taps of one input channel and four output channels, row by row and then column by column. A
// dispatch writes a band of the points, FIRST_P <= p < END_P: all together may be too large for one binding.
// Host: ops/winograd/gpu.rs::transform_weights. Twins: those of the convolution. Test: tests/winograd.rs::{forward, backward}.
// Uses: lib/grid.wgsl, lib/winograd4.wgsl or lib/winograd2.wgsl

@group(0) @binding(0) var<storage, read> weights: array<vec4<f32>>;           // [ky, kx][i][o4]
@group(0) @binding(1) var<storage, read_write> transformed: array<vec4<f32>>; // [p - FIRST_P, q][i][o4]

const COUNT4: u32 = 1u; // vec4s of one tap
const FIRST_P: u32 = 0u;
const END_P: u32 = 4u;
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
    var rows: array<Points, 3>;
    for (var ky = 0u; ky < 3u; ky++) {
        var row: Taps;
        for (var kx = 0u; kx < 3u; kx++) {
            row[kx] = weights[(ky * 3u + kx) * COUNT4 + index];
        }
        rows[ky] = transform_weights(row);
    }
    for (var q = 0u; q < POINTS; q++) {
        var column: Taps;
        for (var ky = 0u; ky < 3u; ky++) {
            column[ky] = rows[ky][q];
        }
        let points = transform_weights(column);
        for (var p = FIRST_P; p < END_P; p++) {
            transformed[((p - FIRST_P) * POINTS + q) * COUNT4 + index] = points[p];
        }
    }
}
