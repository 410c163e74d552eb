// Convolution, gradient of the weights:
//   dw[ky, kx, i, o] = sum over b, oy, ox of x[b, oy * STRIDE_Y + ky - PAD_Y, ox * STRIDE_X + kx - PAD_X, i]
//                                            * dy[b, oy, ox, o]
//
// An implicit matrix product: row = (ky, kx, i), column = o; x holds the transpose of its left factor. The sum's
// (u, v, w) = (oy, b, ox), or (oy, ox, b) with IMAGES_INNERMOST: then output positions whose input the row's tap puts
// outside the image are left out. The rows oy are cut into SPLITS parts, each with sums of its own; sum/merge.wgsl adds them up
// in a fixed order, one batch window after the other.
// Host: ops/conv2d/steps.rs::weight_gradient. Twin: ops/conv2d/twin.rs::weight_gradient.
// Test: tests/conv2d.rs::weight_gradient.
// Uses: lib/gemm.wgsl or lib/gemm_subgroup.wgsl or lib/gemm_cooperative.wgsl, lib/pixels.wgsl

@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> grad_y: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> partial: array<vec4<f32>>; // [split][ky, kx, i][o]

const CIN4: u32 = 1u;
const KERNEL_WIDTH: u32 = 1u;

// The outputs [begin, end) whose input o * stride + tap - pad lies inside the image.
fn outputs(tap: u32, pad: u32, stride: u32, size: u32, count: u32) -> vec2<u32> {
    let begin = (max(pad, tap) - tap + stride - 1u) / stride;
    return vec2(begin, min(count, (size + pad - min(tap, size + pad) + stride - 1u) / stride));
}

fn reach(first_row: u32, last_row: u32) -> vec4<u32> {
    let tap = first_row / (CIN4 * 4u);
    let oy = outputs(tap / KERNEL_WIDTH, PAD_Y, STRIDE_Y, HEIGHT, OUT_HEIGHT);
    let ox = select(vec2(0u, V), outputs(tap % KERNEL_WIDTH, PAD_X, STRIDE_X, WIDTH, OUT_WIDTH), IMAGES_INNERMOST);
    return select(vec4(oy, ox), vec4(0u, U, 0u, V), tap != last_row / (CIN4 * 4u));
}

// An output pixel in row oy of its image.
struct Output {
    image: u32,
    x: u32,
}

fn output_of(v: u32, w: u32) -> Output {
    if IMAGES_INNERMOST {
        return Output(w, v);
    }
    return Output(v, w);
}

fn load_a(w: u32, oy: u32, v: u32, row4: u32) -> vec4<f32> {
    let at = output_of(v, w);
    let tap = row4 / CIN4;
    // Above and left of the image the subtraction wraps to a large number, which is outside too.
    let iy = oy * STRIDE_Y + tap / KERNEL_WIDTH - PAD_Y;
    let ix = at.x * STRIDE_X + tap % KERNEL_WIDTH - PAD_X;
    let inside = iy < HEIGHT && ix < WIDTH;
    let pixel = select(0u, (at.image * HEIGHT + iy) * WIDTH + ix, inside);
    return select(vec4(0.0), x[pixel * CIN4 + row4 % CIN4], inside);
}

fn load_b(w: u32, oy: u32, v: u32, n4: u32) -> vec4<f32> {
    let at = output_of(v, w);
    return grad_y[((at.image * OUT_HEIGHT + oy) * OUT_WIDTH + at.x) * N4 + n4];
}

fn start(n4: u32) -> vec4<f32> {
    return vec4(0.0);
}

fn store(split: u32, row: u32, n4: u32, value: vec4<f32>) {
    partial[(split * M + row) * N4 + n4] = value;
}
