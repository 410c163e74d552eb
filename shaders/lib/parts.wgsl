// How partial results are merged: as a tree, in an order that never depends on the device, so that the same parts give
// the same bits. A workgroup has COLUMNS results, side by side so that neighbours read neighbouring addresses, and LANES
// threads for each. A thread merges every LANES-th part, few enough to wait for one load after the other; then the lanes
// of a result are merged by halves.
// Host: ops/parts.rs. Uses: lib/grid.wgsl

const LANES: u32 = 1u; // a power of two
const WORKGROUP: u32 = 64u;
const COLUMNS: u32 = WORKGROUP / LANES;

struct Share {
    column: u32, // the vec4 of the result
    lane: u32,
}

fn share(group_index: u32, thread: u32) -> Share {
    return Share(group_index * COLUMNS + thread % COLUMNS, thread / COLUMNS);
}
