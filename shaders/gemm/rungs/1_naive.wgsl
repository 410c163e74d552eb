// Matrix product, naive:  c[m, n] = sum over k of a[m, k] * b[k, n]
//
// A thread computes one number of c. Rows lie padded to whole vec4s: K4 and N4 of them.
// Why: the formula, word for word. Each product of two numbers loads both, so the loads take the time, not the products.

@group(0) @binding(0) var<storage, read> a: array<f32>; // [m][k]
@group(0) @binding(1) var<storage, read> b: array<f32>; // [k][n]
@group(0) @binding(2) var<storage, read_write> c: array<f32>; // [m][n]

const M: u32 = 1u;
const N: u32 = 1u;
const K: u32 = 1u;
const N4: u32 = 1u;
const K4: u32 = 1u;
const WORKGROUP: u32 = 64u;
const GROUPS: u32 = (M * N + WORKGROUP - 1u) / WORKGROUP;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    if id.x >= M * N {
        return;
    }
    let m = id.x / N;
    let n = id.x % N;
    var sum = 0.0;
    for (var k = 0u; k < K; k++) {
        sum += a[m * K4 * 4u + k] * b[k * N4 * 4u + n];
    }
    c[m * N4 * 4u + n] = sum;
}
