// Pools: their geometry, and windows of `size` positions that slide over an image by `stride`, along one axis.
// Host: ops/pool.rs. Tests: tests/max_pool.rs, tests/layers.rs.

const HEIGHT: u32 = 1u;
const WIDTH: u32 = 1u;
const CHANNELS4: u32 = 1u;
const OUT_HEIGHT: u32 = 1u;
const OUT_WIDTH: u32 = 1u;
const WINDOW_HEIGHT: u32 = 2u;
const WINDOW_WIDTH: u32 = 2u;
const STRIDE_Y: u32 = 2u;
const STRIDE_X: u32 = 2u;
// Rows and columns of padding before the first of the image.
const PAD_Y: u32 = 0u;
const PAD_X: u32 = 0u;

// The first window that reaches position i, and one past the last of all `windows` that do. Where the image is padded,
// positions count from the padding's first.
fn first_window(i: u32, size: u32, stride: u32) -> u32 {
    return (max(i + 1u, size) - size + stride - 1u) / stride;
}

fn end_window(i: u32, stride: u32, windows: u32) -> u32 {
    return min(i / stride + 1u, windows);
}

// The part of a window that lies inside an image of `image` positions: first .. end - 1. `pad` positions of padding
// precede the image.
struct Inside {
    first: u32,
    end: u32,
}

fn inside(window: u32, stride: u32, pad: u32, size: u32, image: u32) -> Inside {
    let start = window * stride;
    return Inside(max(start, pad) - pad, min(start + size - pad, image));
}
