// Numbers that training must not go on with: NaN, and |x| >= 2^64, whose square is beyond f32. The test is of the bits: on
// Vulkan x != x is an ordered comparison, which is false for NaN.
// Host: ops/guard.rs.

const LEAST_UNUSABLE: u32 = 0x5f800000u; // the bits of 2^64; those of larger numbers, infinity and NaN lie above

fn magnitude_bits(bits: vec4<u32>) -> vec4<u32> {
    return bits & vec4(0x7fffffffu);
}

fn unusable(largest: vec4<u32>) -> bool {
    return any(largest >= vec4(LEAST_UNUSABLE));
}
