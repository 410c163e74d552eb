// Four numbers in half precision (IEEE 754 binary16), two to a u32: how activations lie in memory if a run asks for it.
// The host rewrites the bindings of such tensors: `name[i]` to `from_halves(name[i])`, and `name[i] = value;` to
// `name[i] = to_halves(value);`.
//
// What a half cannot hold, past 65,504, becomes a NaN, which no later step loses: WGSL leaves open what pack2x16float
// makes of it. Tested as bits, since a compiler may take it that floats are numbers.
// Host: engine/shader.rs. Test: tests/halves.rs.

const LARGEST_HALF: u32 = 0x477fe000u; // the bits of 65504.0
const TWO_NANS: u32 = 0x7e007e00u;
const FIRST_HALF: u32 = 0xffffu;

fn from_halves(halves: vec2<u32>) -> vec4<f32> {
    return vec4(unpack2x16float(halves.x), unpack2x16float(halves.y));
}

fn to_halves(numbers: vec4<f32>) -> vec2<u32> {
    let lost = (bitcast<vec4<u32>>(numbers) & vec4(0x7fffffffu)) > vec4(LARGEST_HALF);
    let held = select(numbers, vec4(0.0), lost);
    let first = select(vec2(0u), vec2(FIRST_HALF), vec2(lost.x, lost.z));
    let second = select(vec2(0u), vec2(~FIRST_HALF), vec2(lost.y, lost.w));
    let nans = (first | second) & vec2(TWO_NANS);
    return vec2(pack2x16float(held.xy), pack2x16float(held.zw)) | nans;
}
