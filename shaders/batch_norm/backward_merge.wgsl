// Batch norm, backward, between its two passes: adds up what backward_reduce.wgsl found in each block of cells,
//   dgamma[c] = sum over blocks of partial[block][0][c],  dbeta[c] = sum over blocks of partial[block][1][c]
//
// A few threads share a vec4 of either (lib/total.wgsl): those of dbeta follow those of dgamma.
// Host: ops/batch_norm/steps.rs::backward. Twin: ops/batch_norm/twin.rs::backward. Test: tests/batch_norm.rs::backward.
// Uses: lib/total.wgsl

struct Parameters {
    columns4: u32,
    blocks: u32,
}

@group(0) @binding(0) var<storage, read> partial: array<vec4<f32>>; // [block][grad_gamma, grad_beta][column4]
@group(0) @binding(1) var<storage, read_write> grad_gamma: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> grad_beta: array<vec4<f32>>;
@group(0) @binding(3) var<uniform> parameters: Parameters;

fn parts() -> u32 {
    return parameters.blocks;
}

fn columns4() -> u32 {
    return 2u * parameters.columns4;
}

fn load(block: u32, column4: u32) -> vec4<f32> {
    return partial[block * 2u * parameters.columns4 + column4];
}

fn store(column4: u32, sum: vec4<f32>) {
    if column4 < parameters.columns4 {
        grad_gamma[column4] = sum;
    } else {
        grad_beta[column4 - parameters.columns4] = sum;
    }
}
