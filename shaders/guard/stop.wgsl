// Turns the flags of a step into the word that stops Adam, and into a line of the receipt:
//   gate = (rate, 1 if any flag is set else 0, 0, 0),  receipt[FAULT] = 1 + the first flag that is set, else 0
// Runs before the updates, and after them, since they set flags too; then it clears the flags for the next step.
//
// One thread: there are some fifty flags.
// Host: ops/guard/steps.rs::stop. Twin: ops/guard/twin.rs::stop. Test: tests/guard.rs::stop.

@group(0) @binding(0) var<storage, read> rate: array<f32>;
@group(0) @binding(1) var<storage, read_write> flags: array<u32>;
@group(0) @binding(2) var<storage, read_write> gate: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> receipt: array<f32>;

const FLAGS: u32 = 1u;
const FAULT: u32 = 0u;
const CLEAR: bool = false;

@compute @workgroup_size(1)
fn main() {
    var fault = 0u;
    for (var flag = FLAGS; flag > 0u; flag--) {
        if flags[flag - 1u] != 0u {
            fault = flag;
        }
        if CLEAR {
            flags[flag - 1u] = 0u;
        }
    }
    gate[0] = vec4(rate[0], f32(min(fault, 1u)), 0.0, 0.0);
    receipt[FAULT] = f32(fault);
}
