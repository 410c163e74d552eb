// Batch norm, backward, between its two passes: adds up what backward_reduce.wgsl found in each block of cells,
//   dgamma[c] = sum over blocks of partial[block][0][c],  dbeta[c] = sum over blocks of partial[block][1][c]
//
// A few threads share a vec4 of either (lib/parts.wgsl): those of dbeta follow those of dgamma.
// Host: ops/batch_norm/steps.rs::backward. Twin: ops/batch_norm/twin.rs::backward. Test: tests/batch_norm.rs::backward.
// Uses: lib/grid.wgsl, lib/parts.wgsl

struct Parameters {
    columns4: u32,
    blocks: u32,
}

@group(0) @binding(0) var<storage, read> partial: array<vec4<f32>>; // [block][grad_gamma, grad_beta][column4]
@group(0) @binding(1) var<storage, read_write> grad_gamma: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> grad_beta: array<vec4<f32>>;
@group(0) @binding(3) var<uniform> parameters: Parameters;

var<workgroup> shared_sum: array<vec4<f32>, WORKGROUP>;

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let at = share(group_index(group, groups), thread);
    let columns4 = parameters.columns4;
    let within = at.column < 2u * columns4;
    var sum = vec4(0.0);
    if within {
        for (var block = at.lane; block < parameters.blocks; block += LANES) {
            sum += partial[block * 2u * columns4 + at.column];
        }
    }
    shared_sum[thread] = sum;
    for (var step = LANES / 2u; step > 0u; step /= 2u) {
        workgroupBarrier();
        if at.lane < step {
            shared_sum[thread] += shared_sum[thread + step * COLUMNS];
        }
    }
    if within && at.lane == 0u {
        if at.column < columns4 {
            grad_gamma[at.column] = shared_sum[thread];
        } else {
            grad_beta[at.column - columns4] = shared_sum[thread];
        }
    }
}
