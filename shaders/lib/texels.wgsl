// Where vec4 number i of a buffer lies in the texture that stands for it, row by row of TEXEL_WIDTH texels.
//
// On lavapipe a vec4 that each lane reads for itself costs 19 cycles from a buffer, where the driver goes from lane to
// lane in a loop, and 3 from a texture: with the copy into it, a texture is faster at the first read. The host rewrites
// `name[i]` of the bindings it chooses to `textureLoad(name, texel(i))`.
// Host: engine/shader.rs.

const TEXEL_WIDTH: u32 = 4096u;

fn texel(i: u32) -> vec2<u32> {
    return vec2(i % TEXEL_WIDTH, i / TEXEL_WIDTH);
}
