// The transforms of Winograd's F(4 x 4, 3 x 3) along one axis (Winograd 1980; Lavin & Gray 2016), by the points 0, +-3/4,
// +-3/2 and infinity. With them the error is a quarter of that of the usual 0, +-1, +-2 (measured against f64 on 256
// channels: 8e-6 of the output's root mean square at the most, 4e-5 with the usual ones), and all numbers of B and A are
// exact.
//
//        | 81/64   0     -45/16   0     1  0 |        | 64/81      0        0    |         | 1   1     1     1     1   0 |
//        |  0    -27/16  -9/4    3/4    1  0 |        | -128/243  -32/81  -8/27  |         | 0  3/4  -3/4   3/2  -3/2  0 |
//   BT = |  0     27/16  -9/4   -3/4    1  0 |    G = | -128/243   32/81  -8/27  |    AT = | 0  9/16  9/16  9/4   9/4  0 |
//        |  0    -27/32  -9/16   3/2    1  0 |        |   32/243   16/81   8/27  |         | 0 27/64 -27/64 27/8 -27/8 1 |
//        |  0     27/32  -9/16  -3/2    1  0 |        |   32/243  -16/81   8/27  |
//        |  0     81/64   0    -45/16   0  1 |        |    0        0      1     |
//
// Forward: V = BT x B, U = G w GT, y = AT (V * U) A. The gradients run through the transposes: Z = A dy AT,
// dx = B (Z * U) BT, dw = GT (V * Z) G. lib/winograd2.wgsl has the same functions for tiles of 2 x 2.
// Host: ops/conv2d/winograd.rs.

const OUTPUTS: u32 = 4u;
const POINTS: u32 = 6u;

alias Outputs = array<vec4<f32>, 4>;
alias Points = array<vec4<f32>, 6>;
alias Taps = array<vec4<f32>, 3>;

fn transform_input(x: Points) -> Points {
    let even_a = x[4] - 2.25 * x[2];
    let odd_a = 0.75 * x[3] - 1.6875 * x[1];
    let even_b = x[4] - 0.5625 * x[2];
    let odd_b = 1.5 * x[3] - 0.84375 * x[1];
    return Points(
        1.265625 * x[0] - 2.8125 * x[2] + x[4],
        even_a + odd_a,
        even_a - odd_a,
        even_b + odd_b,
        even_b - odd_b,
        1.265625 * x[1] - 2.8125 * x[3] + x[5],
    );
}

fn transform_weights(w: Taps) -> Points {
    let even_a = (-128.0 / 243.0) * w[0] - (8.0 / 27.0) * w[2];
    let odd_a = (-32.0 / 81.0) * w[1];
    let even_b = (32.0 / 243.0) * w[0] + (8.0 / 27.0) * w[2];
    let odd_b = (16.0 / 81.0) * w[1];
    return Points((64.0 / 81.0) * w[0], even_a + odd_a, even_a - odd_a, even_b + odd_b, even_b - odd_b, w[2]);
}

fn transform_output(m: Points) -> Outputs {
    let sum_a = m[1] + m[2];
    let difference_a = m[1] - m[2];
    let sum_b = m[3] + m[4];
    let difference_b = m[3] - m[4];
    return Outputs(
        m[0] + sum_a + sum_b,
        0.75 * difference_a + 1.5 * difference_b,
        0.5625 * sum_a + 2.25 * sum_b,
        0.421875 * difference_a + 3.375 * difference_b + m[5],
    );
}

fn transform_output_gradient(dy: Outputs) -> Points {
    let even_a = dy[0] + 0.5625 * dy[2];
    let odd_a = 0.75 * dy[1] + 0.421875 * dy[3];
    let even_b = dy[0] + 2.25 * dy[2];
    let odd_b = 1.5 * dy[1] + 3.375 * dy[3];
    return Points(dy[0], even_a + odd_a, even_a - odd_a, even_b + odd_b, even_b - odd_b, dy[3]);
}

fn transform_input_gradient(m: Points) -> Points {
    let sum_a = m[1] + m[2];
    let difference_a = m[1] - m[2];
    let sum_b = m[3] + m[4];
    let difference_b = m[3] - m[4];
    return Points(
        1.265625 * m[0],
        1.265625 * m[5] - 1.6875 * difference_a - 0.84375 * difference_b,
        -2.8125 * m[0] - 2.25 * sum_a - 0.5625 * sum_b,
        0.75 * difference_a + 1.5 * difference_b - 2.8125 * m[5],
        m[0] + sum_a + sum_b,
        m[5],
    );
}

fn transform_weight_gradient(n: Points) -> Taps {
    let sum_a = n[1] + n[2];
    let sum_b = n[3] + n[4];
    return Taps(
        (64.0 / 81.0) * n[0] - (128.0 / 243.0) * sum_a + (32.0 / 243.0) * sum_b,
        (-32.0 / 81.0) * (n[1] - n[2]) + (16.0 / 81.0) * (n[3] - n[4]),
        (8.0 / 27.0) * (sum_b - sum_a) + n[5],
    );
}
