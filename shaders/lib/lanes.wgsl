// Moments of a workgroup's lanes merged (lib/moments.wgsl): as a tree of fixed shape, so that the same numbers give the same
// bits. Threads stand side by side along columns, and LANES deep along rows.
//
// The kernel that uses it supplies LANES, and WORKGROUP, the threads of a workgroup. All threads call it.
// Host: ops/batch_norm/steps.rs. Tests: tests/batch_norm.rs::statistics, tests/winograd.rs::statistics.
// Uses: lib/moments.wgsl

var<workgroup> shared_moments: array<Moments, WORKGROUP>;

// Moments of a column's lanes together, where the lane is the first of them. The threads of a lane are `side` apart.
fn of_all_lanes(own: Moments, thread: u32, lane: u32, side: u32) -> Moments {
    shared_moments[thread] = own;
    for (var step = 1u; step < LANES; step *= 2u) {
        workgroupBarrier();
        if lane % (2u * step) == 0u && lane + step < LANES {
            shared_moments[thread] = merge(shared_moments[thread], shared_moments[thread + step * side]);
        }
    }
    return shared_moments[thread];
}
