// Whether a tensor holds a value that training must not go on with:
//   flags[flag + place] = 1 if any |x| of the place is >= 2^64, or NaN; else it stays as it is
// A place is a run of VEC4S_PER_FLAG vec4s: in an arena, the part of one tensor.
//
// A thread tests one vec4.
// Host: ops/guard/steps.rs::check. Twin: ops/guard/twin.rs::unusable. Test: tests/guard.rs::check.
// Uses: lib/each.wgsl, lib/usable.wgsl

struct Parameters {
    count4: u32, // vec4s of the tensor
    flag: u32,   // its first flag
}

@group(0) @binding(0) var<storage, read> values: array<vec4<u32>>; // the bits of f32
@group(0) @binding(1) var<storage, read_write> flags: array<atomic<u32>>;
@group(0) @binding(2) var<uniform> parameters: Parameters;

const VEC4S_PER_FLAG: u32 = 16u;
const WORKGROUP: u32 = 64u;

fn each(index: u32) {
    if index < parameters.count4 && unusable(magnitude_bits(values[index])) {
        atomicStore(&flags[parameters.flag + index / VEC4S_PER_FLAG], 1u);
    }
}
