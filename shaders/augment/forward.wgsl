// The input step: 8-bit pixels through one affine map an image, to numbers in 0..1:
//   (source column, source row) = map * (column, row, 1), each clamped to the image (its border is repeated),
//   y[b, row, column, :] = bilinear(pixels[b], source) / 255
// Rotation, shift, shear, zoom and flips are all in the map; evaluation uses the identity, which copies exactly.
//
// A thread computes one pixel. pixels is the whole batch, y one window of it: FIRST_IMAGE says where it starts.
// Host: ops/augment/steps.rs::forward. Twin: ops/augment/twin.rs::forward. Test: tests/augment.rs::forward.
// Uses: lib/each.wgsl

@group(0) @binding(0) var<storage, read> pixels: array<u32>;     // [image][row][column], red in the lowest byte
@group(0) @binding(1) var<storage, read> maps: array<vec4<f32>>; // [image][source column, source row](column, row, 1, -)
@group(0) @binding(2) var<storage, read_write> y: array<vec4<f32>>;

const FIRST_IMAGE: u32 = 0u;
const HEIGHT: u32 = 1u;
const WIDTH: u32 = 1u;
const WORKGROUP: u32 = 256u;

fn pixel(image: u32, row: u32, column: u32) -> vec4<f32> {
    let packed = pixels[(image * HEIGHT + row) * WIDTH + column];
    return vec4<f32>((vec4(packed) >> vec4(0u, 8u, 16u, 24u)) & vec4(255u));
}

fn each(index: u32) {
    let image = FIRST_IMAGE + index / (HEIGHT * WIDTH);
    let position = vec3(f32(index % WIDTH), f32(index / WIDTH % HEIGHT), 1.0);
    let column = clamp(dot(maps[image * 2u].xyz, position), 0.0, f32(WIDTH - 1u));
    let row = clamp(dot(maps[image * 2u + 1u].xyz, position), 0.0, f32(HEIGHT - 1u));
    let left = u32(column);
    let top = u32(row);
    let right = min(left + 1u, WIDTH - 1u);
    let bottom = min(top + 1u, HEIGHT - 1u);
    let across = column - f32(left);
    let above = mix(pixel(image, top, left), pixel(image, top, right), across);
    let below = mix(pixel(image, bottom, left), pixel(image, bottom, right), across);
    y[index] = mix(above, below, row - f32(top)) * (1.0f / 255.0f);
}
