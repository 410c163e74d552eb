// The receipt of a submission, which ends with it:  receipt[MARKS] += 1
// The host writes a new receipt, with the run's number and no marks, before each run. Some drivers report work that they
// killed as done; then a run comes back with too few marks.
//
// One thread.
// Host: ops/receipt.rs::mark. Twin: ops/receipt.rs::mark. Test: tests/receipt.rs::mark.

@group(0) @binding(0) var<storage, read_write> receipt: array<f32>;

const MARKS: u32 = 0u;

@compute @workgroup_size(1)
fn main() {
    receipt[MARKS] += 1.0;
}
