// Adds partial sums up in order:  total[i] = sum over p of partial[p * stride4 + offset4 + i]
// and, when ONTO_TOTAL, what total[i] held before.
//
// A thread adds one vec4. The order never depends on the device, so the same partial sums give the same bits.
// Host: ops/sum.rs::step. Twins: those of the reductions that end here. Test: tests/sum.rs::merge.
// Uses: lib/each.wgsl

struct Parameters {
    parts: u32,
    stride4: u32,
    offset4: u32,
    count4: u32,
}

@group(0) @binding(0) var<storage, read> partial: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read_write> total: array<vec4<f32>>;
@group(0) @binding(2) var<uniform> parameters: Parameters;

const ONTO_TOTAL: bool = false;
const WORKGROUP: u32 = 64u;

fn each(index: u32) {
    if index >= parameters.count4 {
        return;
    }
    let first = parameters.offset4 + index;
    var sum = partial[first];
    for (var part = 1u; part < parameters.parts; part++) {
        sum += partial[part * parameters.stride4 + first];
    }
    if ONTO_TOTAL {
        sum += total[index];
    }
    total[index] = sum;
}
