// Batch norm, statistics in one pass by Welford's recurrence:
//   count += 1,  delta = x - mean,  mean += delta / count,  m2 += delta * (x - mean);  variance = m2 / count
//
// A workgroup takes four channels. Its threads gather every WORKGROUP-th row, then a tree merges them (Chan's formula).
// Why: one read of x, and nothing cancels: m2 is a sum of squares of deviations from the mean so far. Each row waits for the
// division of the row before, and few workgroups have work where channels are few.

@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>; // [row][column4]
@group(0) @binding(1) var<storage, read_write> statistics: array<vec4<f32>>; // [mean, variance][column4]

const ROWS: u32 = 1u;
const COLUMNS4: u32 = 1u;
const WORKGROUP: u32 = 256u;
const GROUPS: u32 = COLUMNS4;

struct Moments {
    count: f32,
    mean: vec4<f32>,
    m2: vec4<f32>,
}

var<workgroup> shared_moments: array<Moments, WORKGROUP>;

fn merge(a: Moments, b: Moments) -> Moments {
    let count = a.count + b.count;
    let share = b.count / max(count, 1.0);
    let delta = b.mean - a.mean;
    return Moments(count, a.mean + delta * share, a.m2 + b.m2 + delta * delta * (a.count * share));
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let column4 = group.x;
    var all = Moments(0.0, vec4(0.0), vec4(0.0));
    for (var row = thread; row < ROWS; row += WORKGROUP) {
        let value = x[row * COLUMNS4 + column4];
        let delta = value - all.mean;
        let count = all.count + 1.0;
        let mean = all.mean + delta / count;
        all = Moments(count, mean, all.m2 + delta * (value - mean));
    }
    shared_moments[thread] = all;
    for (var step = WORKGROUP / 2u; step > 0u; step /= 2u) {
        workgroupBarrier();
        if thread < step {
            shared_moments[thread] = merge(shared_moments[thread], shared_moments[thread + step]);
        }
    }
    if thread == 0u {
        statistics[column4] = shared_moments[0].mean;
        statistics[COLUMNS4 + column4] = shared_moments[0].m2 / shared_moments[0].count;
    }
}
