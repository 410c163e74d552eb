// Counts the iterations of a loop:  counted[0] = iterations[0],  counted[1] = what the iterations made of it
// Some drivers silently end every loop of an invocation once it has run some number of iterations (lavapipe of Mesa 22.3:
// 65,535), and results are then wrong without an error. What the loop computes cannot be worked out without running it.
//
// One thread.
// Host: ops/probe.rs::loop_limit. Twin: ops/probe.rs::count. Test: tests/doctor.rs::loops_run_as_long_as_kernels_need.

@group(0) @binding(0) var<storage, read> iterations: array<u32>;
@group(0) @binding(1) var<storage, read_write> counted: array<f32>;

@compute @workgroup_size(1)
fn main() {
    var count = 0u;
    var state = 1u;
    for (var i = 0u; i < iterations[0]; i++) {
        state = state * 1664525u + 1013904223u;
        count++;
    }
    counted[0] = f32(count);
    counted[1] = f32(state >> 8u); // 24 bits, which f32 holds exactly
}
