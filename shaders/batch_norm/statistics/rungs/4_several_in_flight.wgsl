// Batch norm, statistics of blocks of eight rows, merged:  mean and m2 of each block in two passes over registers, then Chan's
//   mean += delta * share,  m2 += m2 of the block + delta^2 * count * share,  delta = mean of the block - mean
//
// A workgroup takes four channels of one of BLOCKS runs of rows (stage 0, into scratch). Stage 1 merges the blocks in order.
// Why: eight loads are on their way at once, where Welford's recurrence waited for each; one division for eight rows; and the
// rows are cut into blocks, so that few channels fill many workgroups, too.

@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>; // [row][column4]
@group(0) @binding(1) var<storage, read_write> statistics: array<vec4<f32>>; // [mean, variance][column4]
@group(0) @binding(2) var<storage, read_write> scratch: array<vec4<f32>>;    // [block][count, mean, m2][column4]

const ROWS: u32 = 1u;
const COLUMNS4: u32 = 1u;
const WORKGROUP: u32 = 64u;
const FLIGHT: u32 = 8u;
const BLOCK_ROWS: u32 = WORKGROUP * FLIGHT * 2u;
const BLOCKS: u32 = (ROWS + BLOCK_ROWS - 1u) / BLOCK_ROWS;
const SCRATCH: u32 = BLOCKS * 3u * COLUMNS4;
const STAGE: u32 = 0u;
const STAGES: u32 = 2u;
const GROUPS: u32 = select(BLOCKS * COLUMNS4, (COLUMNS4 + WORKGROUP - 1u) / WORKGROUP, STAGE == 1u);

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

// Moments of FLIGHT rows, WORKGROUP apart; those past the end do not count.
fn several(first: u32, column4: u32) -> Moments {
    var rows: array<vec4<f32>, FLIGHT>;
    let count = f32(clamp((ROWS + WORKGROUP - 1u - min(first, ROWS)) / WORKGROUP, 0u, FLIGHT));
    var sum = vec4(0.0);
    for (var i = 0u; i < FLIGHT; i++) {
        rows[i] = x[min(first + i * WORKGROUP, ROWS - 1u) * COLUMNS4 + column4];
        sum += select(vec4(0.0), rows[i], first + i * WORKGROUP < ROWS);
    }
    let mean = sum / max(count, 1.0);
    var m2 = vec4(0.0);
    for (var i = 0u; i < FLIGHT; i++) {
        let deviation = select(vec4(0.0), rows[i] - mean, first + i * WORKGROUP < ROWS);
        m2 += deviation * deviation;
    }
    return Moments(count, mean, m2);
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    var all = Moments(0.0, vec4(0.0), vec4(0.0));
    if STAGE == 1u {
        let column4 = group.x * WORKGROUP + thread;
        for (var block = 0u; block < BLOCKS && column4 < COLUMNS4; block++) {
            let at = block * 3u * COLUMNS4 + column4;
            all = merge(all, Moments(scratch[at].x, scratch[at + COLUMNS4], scratch[at + 2u * COLUMNS4]));
        }
        if column4 < COLUMNS4 {
            statistics[column4] = all.mean;
            statistics[COLUMNS4 + column4] = all.m2 / all.count;
        }
        return;
    }
    let column4 = group.x % COLUMNS4;
    let first = group.x / COLUMNS4 * BLOCK_ROWS + thread;
    shared_moments[thread] = merge(several(first, column4), several(first + WORKGROUP * FLIGHT, column4));
    for (var step = WORKGROUP / 2u; step > 0u; step /= 2u) {
        workgroupBarrier();
        if thread < step {
            shared_moments[thread] = merge(shared_moments[thread], shared_moments[thread + step]);
        }
    }
    if thread == 0u {
        let to = group.x / COLUMNS4 * 3u * COLUMNS4 + column4;
        scratch[to] = vec4(shared_moments[0].count);
        scratch[to + COLUMNS4] = shared_moments[0].mean;
        scratch[to + 2u * COLUMNS4] = shared_moments[0].m2;
    }
}
