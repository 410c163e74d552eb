// Batch norm, statistics in one pass:  mean = sum of x / n,  variance = sum of x^2 / n - mean^2
//
// A thread computes mean and variance of one channel, row after row.
// Why: both sums in one read of x, as many libraries have it. The formula is true, and the arithmetic is not.
// Wrong on purpose: x^2 and mean^2 are rounded before they are subtracted. Where the mean is a hundred deviations, their
// difference is a ten-thousandth of each, and four of seven digits are gone; it can even be negative.

@group(0) @binding(0) var<storage, read> x: array<f32>; // [row][channel]
@group(0) @binding(1) var<storage, read_write> statistics: array<f32>; // [mean, variance][channel]

const ROWS: u32 = 1u;
const CHANNELS: u32 = 1u;
const COLUMNS4: u32 = 1u; // vec4s of a row, as stored
const WORKGROUP: u32 = 64u;
const GROUPS: u32 = (CHANNELS + WORKGROUP - 1u) / WORKGROUP;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let channel = id.x;
    if channel >= CHANNELS {
        return;
    }
    var sum = 0.0;
    var squares = 0.0;
    for (var row = 0u; row < ROWS; row++) {
        let value = x[row * COLUMNS4 * 4u + channel];
        sum += value;
        squares += value * value;
    }
    let mean = sum / f32(ROWS);
    statistics[channel] = mean;
    statistics[COLUMNS4 * 4u + channel] = squares / f32(ROWS) - mean * mean;
}
