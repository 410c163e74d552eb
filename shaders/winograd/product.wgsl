// Winograd convolution, the products: one independent matrix product for each point (p, q), result = left * right. Factors and result
// lie in blocks (lib/blocks.wgsl); a transposed factor with its columns for rows.
//
// A dispatch may compute a band of the points only; LEFT_POINT, RIGHT_POINT and RESULT_POINT are the first of them in each
// tensor, LEFT_POINTS and so on how many it has. The core's sum over u runs through the points: each is a split with a result
// of its own. Where terms are many (the tiles of the whole batch, in the gradient of the weights; the channels of a wide layer),
// a point has PARTS steps of u: lib/gemm_subgroup.wgsl sums sums.
// Host: ops/conv2d/winograd/steps.rs::products. Twins: those of the convolution. Test: tests/winograd.rs::{forward, backward}.
// Uses: lib/gemm.wgsl or lib/gemm_subgroup.wgsl, lib/blocks.wgsl

@group(0) @binding(0) var<storage, read> left: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> right: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> result: array<vec4<f32>>;

const LEFT_POINT: u32 = 0u;
const RIGHT_POINT: u32 = 0u;
const RESULT_POINT: u32 = 0u;
const LEFT_POINTS: u32 = 1u;
const RIGHT_POINTS: u32 = 1u;
const RESULT_POINTS: u32 = 1u;
const PARTS: u32 = 1u;
const TERMS: u32 = 4u; // of one point

fn reach(first_row: u32, last_row: u32) -> vec4<u32> {
    return vec4(0u, U, 0u, V);
}

fn load_a(i: u32, u: u32, v: u32, j4: u32) -> vec4<f32> {
    if TRANSPOSED_A {
        let term = u % PARTS * W + i;
        let value = left[in_block(LEFT_POINTS, M / 4u, LEFT_POINT + u / PARTS, min(term, TERMS - 1u), j4)];
        return select(vec4(0.0), value, term < TERMS);
    }
    return left[in_block(LEFT_POINTS, TERMS / 4u, LEFT_POINT + u / PARTS, i, u % PARTS * (W / 4u) + j4)];
}

fn load_b(i: u32, u: u32, v: u32, j4: u32) -> vec4<f32> {
    if TRANSPOSED_B {
        return right[in_block(RIGHT_POINTS, TERMS / 4u, RIGHT_POINT + u / PARTS, i, u % PARTS * (W / 4u) + j4)];
    }
    return right[in_block(RIGHT_POINTS, N4, RIGHT_POINT + u / PARTS, min(u % PARTS * W + i, TERMS - 1u), j4)];
}

fn start(n4: u32) -> vec4<f32> {
    return vec4(0.0);
}

fn store(split: u32, m: u32, n4: u32, value: vec4<f32>) {
    result[in_block(RESULT_POINTS, N4, RESULT_POINT + split, m, n4)] = value;
}
