// The factor that brings gradients to a norm of LIMIT at most:
//   norm = sqrt(sum of partial.x),  factor = (LIMIT / norm where the norm is greater, else 1; norm; 0; 0)
// Where the sum is not finite the factor is 1: the guard then names the gradient at fault. The test is of the bits.
//
// One workgroup: its threads add parts WORKGROUP apart in order, then their sums in a tree.
// Host: ops/clip/steps.rs::clip. Twin: ops/clip/twin.rs::clip. Test: tests/clip.rs::clip.

@group(0) @binding(0) var<storage, read> partial: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read_write> factor: array<vec4<f32>>;

const PARTS: u32 = 1u;
const LIMIT: f32 = 1.0;
const WORKGROUP: u32 = 256u;

var<workgroup> shared_sums: array<f32, WORKGROUP>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(local_invocation_index) thread: u32) {
    var sum = 0.0;
    for (var part = thread; part < PARTS; part += WORKGROUP) {
        sum += partial[part].x;
    }
    shared_sums[thread] = sum;
    for (var half = WORKGROUP / 2u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if thread < half {
            shared_sums[thread] += shared_sums[thread + half];
        }
    }
    if thread == 0u {
        let norm = sqrt(shared_sums[0]);
        let is_finite = bitcast<u32>(shared_sums[0]) < 0x7f800000u;
        factor[0] = vec4(select(1.0, LIMIT / norm, is_finite && norm > LIMIT), norm, 0.0, 0.0);
    }
}
