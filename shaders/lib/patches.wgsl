// The left factor of a convolution as a product, which is never stored: row = output pixel, and the sum's (u, v) = (ky, kx), a
// tap of the kernel. Where the tap of a row lies in the image, and which taps a tile of rows needs.
//
// With IMAGES_INNERMOST the rows run through all images at one position before the next position, so a tile of rows
// sees only few positions and leaves out the taps that all of them miss: of 3 x 3 taps a 2 x 2 image needs 4.
// Host: ops/conv2d/steps.rs. Test: tests/conv2d.rs::forward.
// Uses: lib/product.wgsl, lib/pixels.wgsl

const POSITIONS: u32 = OUT_HEIGHT * OUT_WIDTH;

// The taps [begin, end) that meet 0 .. size from a window that starts `pad` before `first`.
fn taps(first: u32, pad: u32, size: u32, kernel: u32) -> vec2<u32> {
    return vec2(max(first, pad) - first, min(kernel, size + pad - min(first, size + pad)));
}

fn reach(first_row: u32, last_row: u32) -> vec4<u32> {
    let first = pixel_of(first_row, POSITIONS).position;
    let last = pixel_of(last_row, POSITIONS).position;
    let y_taps = taps(first / OUT_WIDTH * STRIDE_Y, PAD_Y, HEIGHT, U);
    // From the leftmost position to the rightmost: a tap counts when it meets the image at either end or between. The left
    // edge of the image cuts off low taps, most at the leftmost position, and the right edge high ones: so the rightmost has
    // the lowest tap that counts, and the leftmost the highest.
    let left = taps(first % OUT_WIDTH * STRIDE_X, PAD_X, WIDTH, V);
    let right = taps(last % OUT_WIDTH * STRIDE_X, PAD_X, WIDTH, V);
    let all = !IMAGES_INNERMOST || first / OUT_WIDTH != last / OUT_WIDTH;
    return select(vec4(y_taps, right.x, left.y), vec4(0u, U, 0u, V), all);
}

struct Tap {
    pixel: u32, // of x; the first where the tap is outside the image
    inside: bool,
}

fn tap_of(row: u32, ky: u32, kx: u32) -> Tap {
    let at = pixel_of(row, POSITIONS);
    // Above and left of the image the subtraction wraps to a large number, which is outside too.
    let iy = at.position / OUT_WIDTH * STRIDE_Y + ky - PAD_Y;
    let ix = at.position % OUT_WIDTH * STRIDE_X + kx - PAD_X;
    let inside = iy < HEIGHT && ix < WIDTH;
    return Tap(select(0u, (at.image * HEIGHT + iy) * WIDTH + ix, inside), inside);
}

// The pixel of y that a row computes.
fn output_of(row: u32) -> u32 {
    let at = pixel_of(row, POSITIONS);
    return at.image * POSITIONS + at.position;
}
