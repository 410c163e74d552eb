// Peak of arithmetic: CHAINS independent chains of multiply-adds a thread, long enough that nothing else counts:
//   v = v * x + x, ITERATIONS times for each chain, from v = x;  y = sum of the chains
// For |x| < 1 it converges to x / (1 - x).
//
// A thread computes a vec4 of y.
// Host: ops/peak/steps.rs::arithmetic. Twin: ops/peak/twin.rs::arithmetic. Test: tests/peak.rs::arithmetic.
// Uses: lib/each.wgsl

@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read_write> y: array<vec4<f32>>;

const ITERATIONS: u32 = 16u;
const CHAINS: u32 = 3u; // of four numbers each: enough to hide the latency of an addition
const WORKGROUP: u32 = 64u;

fn each(index: u32) {
    let factor = x[index];
    var chains: array<vec4<f32>, CHAINS>;
    for (var c = 0u; c < CHAINS; c++) {
        chains[c] = factor;
    }
    for (var i = 0u; i < ITERATIONS; i += 8u) {
        for (var j = 0u; j < 8u; j++) {
            for (var c = 0u; c < CHAINS; c++) {
                chains[c] = fma(chains[c], factor, factor);
            }
        }
    }
    var sum = vec4(0.0);
    for (var c = 0u; c < CHAINS; c++) {
        sum += chains[c];
    }
    y[index] = sum;
}
