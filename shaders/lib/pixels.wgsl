// The geometry of a convolution, and how the rows of its products run through pixels: image by image, or, with
// IMAGES_INNERMOST, through all images at one position before the next position.
// Host: ops/conv2d/steps.rs.

const IMAGES: u32 = 1u;
const HEIGHT: u32 = 1u;
const WIDTH: u32 = 1u;
const OUT_HEIGHT: u32 = 1u;
const OUT_WIDTH: u32 = 1u;
const STRIDE_Y: u32 = 1u;
const STRIDE_X: u32 = 1u;
const PAD_Y: u32 = 0u;
const PAD_X: u32 = 0u;
const IMAGES_INNERMOST: bool = false;

struct Pixel {
    image: u32,
    position: u32, // y * width + x
}

// The pixel of a row, where an image has so many positions.
fn pixel_of(row: u32, positions: u32) -> Pixel {
    if IMAGES_INNERMOST {
        return Pixel(row % IMAGES, row / IMAGES);
    }
    return Pixel(row / positions, row % positions);
}
