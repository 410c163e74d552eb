// The transforms of Winograd's F(2 x 2, 3 x 3) along one axis, by the points 0, +-1 and infinity: what
// lib/winograd4.wgsl does for tiles of 4 x 4. It needs more products and fewer additions, and wastes less at the border
// of a small image.
//
//        | 1   0  -1  0 |        |  1    0    0  |         | 1  1   1  0 |
//   BT = | 0   1   1  0 |    G = | 1/2  1/2  1/2 |    AT = | 0  1  -1  1 |
//        | 0  -1   1  0 |        | 1/2 -1/2  1/2 |
//        | 0  -1   0  1 |        |  0    0    1  |
//
// Host: ops/conv2d/winograd.rs.

const OUTPUTS: u32 = 2u;
const POINTS: u32 = 4u;

alias Outputs = array<vec4<f32>, 2>;
alias Points = array<vec4<f32>, 4>;
alias Taps = array<vec4<f32>, 3>;

fn transform_input(x: Points) -> Points {
    return Points(x[0] - x[2], x[1] + x[2], x[2] - x[1], x[3] - x[1]);
}

fn transform_weights(w: Taps) -> Points {
    let even = 0.5 * (w[0] + w[2]);
    let odd = 0.5 * w[1];
    return Points(w[0], even + odd, even - odd, w[2]);
}

fn transform_output(m: Points) -> Outputs {
    return Outputs(m[0] + m[1] + m[2], m[1] - m[2] + m[3]);
}

fn transform_output_gradient(dy: Outputs) -> Points {
    return Points(dy[0], dy[0] + dy[1], dy[0] - dy[1], dy[1]);
}

fn transform_input_gradient(m: Points) -> Points {
    return Points(m[0], m[1] - m[2] - m[3], m[1] + m[2] - m[0], m[3]);
}

fn transform_weight_gradient(n: Points) -> Taps {
    return Taps(n[0] + 0.5 * (n[1] + n[2]), 0.5 * (n[1] - n[2]), 0.5 * (n[1] + n[2]) + n[3]);
}
