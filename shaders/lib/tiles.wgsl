// A tile of Winograd convolution, shared out among threads. Between its two axes a transform holds up to 36 vec4s, for which a
// GPU's thread has not enough registers: there, a tile has two SHARES, threads side by side, which read the same, and keep and
// write half of the columns each. (One thread in two passes would not do: compilers keep what both read;
// docs/dropped.md#registers.)
//
// The kernel that uses it has POINTS and OUTPUTS from lib/winograd4.wgsl or lib/winograd2.wgsl.
// Host: ops/conv2d/winograd/steps.rs. Tests: tests/winograd.rs.

const SHARES: u32 = 1u; // or 2

// Columns in a share.
const POINT_COLUMNS: u32 = POINTS / SHARES;
const OUTPUT_COLUMNS: u32 = OUTPUTS / SHARES;

alias OwnPoints = array<vec4<f32>, POINT_COLUMNS>;
alias OwnOutputs = array<vec4<f32>, OUTPUT_COLUMNS>;

// The points of a row that a share keeps.
fn own_points(row: Points, share: u32) -> OwnPoints {
    var own: OwnPoints;
    for (var j = 0u; j < POINT_COLUMNS; j++) {
        own[j] = select(row[j], row[POINTS - POINT_COLUMNS + j], share == 1u);
    }
    return own;
}

// The outputs of a row that a share keeps.
fn own_outputs(row: Outputs, share: u32) -> OwnOutputs {
    var own: OwnOutputs;
    for (var j = 0u; j < OUTPUT_COLUMNS; j++) {
        own[j] = select(row[j], row[OUTPUTS - OUTPUT_COLUMNS + j], share == 1u);
    }
    return own;
}
