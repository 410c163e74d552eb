// Turns the flags of a step into the word that stops Adam, and into a line of the receipt:
//   gate = (rate, 1 if any flag is set else 0, 0, 0),  receipt[FAULT] = 1 + the first flag that is set, else 0
// Runs before the updates, and after them, since they set flags too; then it clears the flags for the next step.
//
// One workgroup: a thread looks at every WORKGROUP-th flag, and a tree finds the first of all that are set.
// Host: ops/guard/steps.rs::stop. Twin: ops/guard/twin.rs::stop. Test: tests/guard.rs::stop.

@group(0) @binding(0) var<storage, read> rate: array<f32>;
@group(0) @binding(1) var<storage, read_write> flags: array<u32>;
@group(0) @binding(2) var<storage, read_write> gate: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> receipt: array<f32>;

const FLAGS: u32 = 1u;
const FAULT: u32 = 0u;
const CLEAR: bool = false;
const WORKGROUP: u32 = 64u;
const NONE: u32 = 0xffffffffu;

var<workgroup> first: array<u32, WORKGROUP>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(local_invocation_index) thread: u32) {
    var own = NONE;
    for (var flag = thread; flag < FLAGS; flag += WORKGROUP) {
        if flags[flag] != 0u {
            own = min(own, flag);
        }
        if CLEAR {
            flags[flag] = 0u;
        }
    }
    first[thread] = own;
    for (var step = WORKGROUP / 2u; step > 0u; step /= 2u) {
        workgroupBarrier();
        if thread < step {
            first[thread] = min(first[thread], first[thread + step]);
        }
    }
    if thread == 0u {
        let fault = first[0] + 1u; // 0 where none is set
        gate[0] = vec4(rate[0], f32(min(fault, 1u)), 0.0, 0.0);
        receipt[FAULT] = f32(fault);
    }
}
