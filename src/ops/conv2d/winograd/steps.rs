//! Steps of Winograd convolution, chunk by chunk of each batch window.

use std::ops::Range;

use super::{BLOCK_WIDTH, Backward, Chunk, Forward, Problem, blocks, stack_shape};
use crate::engine::plan::{Bindings, Element, Layout, Plan, Recompute, Step, TensorId, Window};
use crate::engine::shader::{Constants, Kernel, Work};
use crate::engine::variant::Core;
use crate::kernel;
use crate::ops::moments;
use crate::ops::parts::MOST_PARTS;
use crate::ops::product::{MOST_TERMS, Product};
use crate::ops::shares::{Part, Sum};

/// On a GPU, no part of a sum over tiles has fewer.
const LEAST_TILES: usize = 64;

/// Sums of sums of fewer channels are not worth it.
const LEAST_CHANNELS: usize = 32;

pub fn forward(plan: &mut Plan, name: &str, p: Problem, t: Forward) -> Vec<Step> {
    let mut steps = Vec::new();
    let bands = bands(plan, &p);
    let u = transform_weights(plan, name, &p, t.w, &bands, &mut steps);
    let chunks = chunks(plan, &p, &plan.windows);
    let mut moments = t.moments.then(|| Moments::new(plan, &p, &chunks, t.y));
    for (window, chunk) in chunks {
        let tiles = p.tiles() * chunk.images;
        let v = stack(plan, &format!("{name}/input"), p.points(), [tiles, p.cin]);
        let m = stack(plan, &format!("{name}/product"), p.points(), [tiles, p.cout]);
        steps.push(input(plan, name, &p, &window, chunk, [t.x, v]));
        for (band, &u) in bands.iter().zip(&u) {
            let product = Product::new(tiles, p.cout, sums_of_sums(band.points(), p.cin));
            let tensors =
                Tensors { left: Points::of(v, band), right: Points::all(u, band, 1), result: Points::of(m, band) };
            steps.push(products(plan, name, band.points(), product, p.cin, tensors));
        }
        let bindings = vec![("product", m.into()), ("bias", t.bias.into()), ("y", t.y.window(&window))];
        steps.push(match &mut moments {
            Some(moments) => moments.output(plan, name, &p, chunk, bindings),
            None => of_tiles(plan, name, kernel!("winograd/output"), &p, chunk, p.cout, bindings),
        });
    }
    steps
}

/// Moments of the output that the last step of each chunk leaves.
struct Moments {
    tensor: TensorId,
    /// Tiles of a block.
    lanes: usize,
    /// Threads side by side along columns.
    side: usize,
    halves: bool,
    /// The first block of the next chunk.
    first: usize,
}

impl Moments {
    /// The kernel that writes outputs and their moments.
    fn kernel(p: &Problem) -> Kernel {
        kernel!("winograd/output_statistics").with(p.tile.library())
    }

    /// Moments of `y`, which these chunks make up: equally many of each share.
    fn new(plan: &mut Plan, p: &Problem, chunks: &[(Window, Chunk)], y: TensorId) -> Moments {
        let side = (p.cout / 4).min(BLOCK_WIDTH);
        let lanes = plan.target.shaders.threads(Moments::kernel(p)) / (side * tile_threads(plan));
        let blocks: usize = chunks.iter().map(|(_, chunk)| (p.tiles() * chunk.images).div_ceil(lanes)).sum();
        let of_share = blocks / plan.shares.held.len();
        let (halves, first) = (plan.tensor(y).element == Element::F16, plan.shares.held.start * of_share);
        Moments { tensor: moments::tensor(plan, y, of_share), lanes, side, halves, first }
    }

    /// The step that writes a chunk's output and moments.
    fn output(&mut self, plan: &Plan, name: &str, p: &Problem, chunk: Chunk, mut bindings: Bindings) -> Step {
        bindings.push(("partial", self.tensor.into()));
        let mut step = of_tiles(plan, name, Moments::kernel(p), p, chunk, p.cout, bindings);
        step.constants.extend([("first_block", self.first.into()), ("HALVES", self.halves.into())]);
        let tiles = p.tiles() * chunk.images;
        step.work = Work::Groups((transform_threads([tiles, p.cout]) / self.side).div_ceil(self.lanes) as u64);
        self.first += tiles.div_ceil(self.lanes);
        step
    }
}

/// The gradients; `sum` is that of the weights.
pub fn backward(plan: &mut Plan, name: &str, p: Problem, t: Backward, sum: Option<&Sum>) -> Vec<Step> {
    let mut steps = Vec::new();
    let bands = bands(plan, &p);
    let u = t.dx.map(|_| transform_weights(plan, name, &p, t.w, &bands, &mut steps));
    let parts: Vec<(Option<TensorId>, Vec<Window>)> = match sum {
        Some(sum) => sum.held().into_iter().map(|Part { tensor, windows }| (Some(tensor), windows)).collect(),
        None => vec![(None, plan.windows.clone())],
    };
    let chunks = parts.iter().flat_map(|(dw, windows)| {
        let chunks = chunks(plan, &p, windows).into_iter().enumerate();
        chunks.map(|(number, (window, chunk))| (*dw, number > 0, window, chunk)).collect::<Vec<_>>()
    });
    for (dw, mut onto_total, window, chunk) in chunks.collect::<Vec<_>>() {
        let tiles = p.tiles() * chunk.images;
        let z = stack(plan, &format!("{name}/output gradient"), p.points(), [tiles, p.cout]);
        let bindings = vec![("grad_y", t.dy.window(&window)), ("transformed", z.into())];
        steps.push(of_tiles(plan, name, kernel!("winograd/output_gradient"), &p, chunk, p.cout, bindings));
        if let Some(dw) = dw {
            let v = stack(plan, &format!("{name}/input"), p.points(), [tiles, p.cin]);
            steps.push(input(plan, name, &p, &window, chunk, [t.x, v]));
            for band in &bands {
                steps.extend(weight_gradient(plan, name, &p, band, tiles, [v, z, dw], onto_total));
                onto_total = true;
            }
        }
        if let (Some(dx), Some(u)) = (t.dx, &u) {
            let m = stack(plan, &format!("{name}/product"), p.points(), [tiles, p.cin]);
            for (band, &u) in bands.iter().zip(u) {
                let terms = sums_of_sums(band.points(), p.cout);
                let product = Product { transposed_b: true, ..Product::new(tiles, p.cin, terms) };
                let tensors =
                    Tensors { left: Points::of(z, band), right: Points::all(u, band, 1), result: Points::of(m, band) };
                steps.push(products(plan, name, band.points(), product, p.cout, tensors));
            }
            let bindings = vec![("product", m.into()), ("grad_x", dx.window(&window))];
            steps.push(of_tiles(plan, name, kernel!("winograd/input_gradient"), &p, chunk, p.cin, bindings));
        }
    }
    steps.extend(sum.into_iter().flat_map(|sum| sum.steps(plan, name)));
    steps
}

/// Adds the contribution of a band of a chunk's tiles to `dw`, from their transformed input `v` and
/// gradient `z`.
fn weight_gradient(
    plan: &mut Plan,
    name: &str,
    p: &Problem,
    band: &Band,
    tiles: usize,
    [v, z, dw]: [TensorId; 3],
    onto_total: bool,
) -> [Step; 2] {
    let (parts, product) = sum_over_tiles(plan, p, band.points(), tiles);
    let n = stack(plan, &format!("{name}/weights"), band.points() * parts, [p.cin, p.cout]);
    let tensors =
        Tensors { left: Points::of(v, band), right: Points::of(z, band), result: Points::all(n, band, parts) };
    let product = products(plan, name, band.points(), product, tiles, tensors);
    let mut constants = band.constants();
    constants.extend([("PARTS", parts.into()), ("ONTO_TOTAL", onto_total.into())]);
    let bindings = vec![("product", n.into()), ("grad_w", dw.into())];
    [product, of_weights(name, kernel!("winograd/weight_gradient"), p, constants, bindings)]
}

/// Columns of points whose transformed weights share a tensor.
struct Band {
    columns: Range<usize>,
    /// Points in a column.
    column: usize,
}

impl Band {
    fn points(&self) -> usize {
        self.columns.len() * self.column
    }

    fn constants(&self) -> Constants {
        vec![("FIRST_Q", self.columns.start.into()), ("END_Q", self.columns.end.into())]
    }
}

/// A tensor of so many points, and the first of them that counts.
#[derive(Clone, Copy)]
struct Points {
    tensor: TensorId,
    count: usize,
    first: usize,
}

impl Points {
    /// The points of a band, in a tensor of all points.
    fn of(tensor: TensorId, band: &Band) -> Points {
        Points { tensor, count: band.column * band.column, first: band.columns.start * band.column }
    }

    /// A tensor of those of a band, in so many parts.
    fn all(tensor: TensorId, band: &Band, parts: usize) -> Points {
        Points { tensor, count: band.points() * parts, first: 0 }
    }
}

/// `result = left * right`, point by point.
struct Tensors {
    left: Points,
    right: Points,
    result: Points,
}

fn bands(plan: &Plan, p: &Problem) -> Vec<Band> {
    let bands = p.bands(plan.target.binding_bytes).into_iter();
    bands.map(|columns| Band { columns, column: p.tile.points() }).collect()
}

/// The transformed weights of each band. The first pass that needs them adds the steps that make them, and so does the
/// second, if they are not kept for it.
fn transform_weights(
    plan: &mut Plan,
    name: &str,
    p: &Problem,
    w: TensorId,
    bands: &[Band],
    steps: &mut Vec<Step>,
) -> Vec<TensorId> {
    let keeper = match plan.target.recompute {
        Recompute::Nothing => plan.tensor(w).name.clone(),
        _ => name.into(),
    };
    let mut transformed = Vec::new();
    for band in bands {
        let tensor = format!("{keeper}/transformed {:?}", band.columns);
        let known = plan.tensors.len();
        let u = stack(plan, &tensor, band.points(), [p.cin, p.cout]);
        if plan.tensors.len() > known {
            let bindings = vec![("weights", w.into()), ("transformed", u.into())];
            steps.push(of_weights(name, kernel!("winograd/weights"), p, band.constants(), bindings));
        }
        transformed.push(u);
    }
    transformed
}

fn chunks(plan: &Plan, p: &Problem, windows: &[Window]) -> Vec<(Window, Chunk)> {
    let of = |window: &Window| {
        let chunks = p.chunks(window, plan.target.binding_bytes.min(plan.target.variant.sizes.chunk_mib << 20));
        chunks.into_iter().map(|chunk| (window.clone(), chunk)).collect::<Vec<_>>()
    };
    windows.iter().flat_map(of).collect()
}

/// A factor or the result of a product. Chunks and bands come one after the other, so those of one size share their tensors.
fn stack(plan: &mut Plan, name: &str, points: usize, size: [usize; 2]) -> TensorId {
    let name = format!("{name} {points} x {size:?}");
    plan.find(&name).unwrap_or_else(|| plan.temporary(&name, &stack_shape(points, size), Layout::Packed))
}

fn input(plan: &Plan, name: &str, p: &Problem, window: &Window, chunk: Chunk, [x, v]: [TensorId; 2]) -> Step {
    let bindings = vec![("x", x.window(window)), ("transformed", v.into())];
    of_tiles(plan, name, kernel!("winograd/input"), p, chunk, p.cin, bindings)
}

/// Threads that share a tile (`shaders/lib/tiles.wgsl`): two on a GPU, where one would need more registers than it has.
fn tile_threads(plan: &Plan) -> usize {
    match plan.core() {
        Core::Subgroup { .. } => 1, // of software adapters
        Core::Workgroup { .. } | Core::Cooperative(_) => 2,
    }
}

/// A step with a thread, or two, for every four channels of a tile.
fn of_tiles(
    plan: &Plan,
    name: &str,
    kernel: Kernel,
    p: &Problem,
    chunk: Chunk,
    channels: usize,
    bindings: Bindings,
) -> Step {
    let shares = tile_threads(plan);
    let constants = vec![
        ("FIRST_IMAGE", chunk.first.into()),
        ("IMAGES", chunk.images.into()),
        ("HEIGHT", p.height.into()),
        ("WIDTH", p.width.into()),
        ("TILES_Y", p.tiles_y().into()),
        ("TILES_X", p.tiles_x().into()),
        ("COLUMNS4", (channels / 4).into()),
        ("SHARES", shares.into()),
    ];
    let size = [p.tiles() * chunk.images, channels];
    let mut step = transform(name, kernel, p, size, constants, bindings);
    step.work = Work::each(transform_threads(size) * shares);
    step
}

/// A step with a thread for every four numbers of a tap.
fn of_weights(name: &str, kernel: Kernel, p: &Problem, mut constants: Constants, bindings: Bindings) -> Step {
    constants.extend([("ROWS", p.cin.into()), ("COLUMNS4", (p.cout / 4).into())]);
    transform(name, kernel, p, [p.cin, p.cout], constants, bindings)
}

/// A step with a thread for every four numbers of a matrix of that size, and of the ends of its last blocks.
fn transform(
    name: &str,
    kernel: Kernel,
    p: &Problem,
    size: [usize; 2],
    mut constants: Constants,
    bindings: Bindings,
) -> Step {
    constants.extend(blocks());
    Step {
        name: format!("{name} {}", kernel.path.trim_start_matches("winograd/")),
        kernel: kernel.with(p.tile.library()),
        constants,
        bindings,
        work: Work::each(transform_threads(size)),
        flops: 0,
    }
}

/// Threads for every four numbers of a matrix of that size, and of the ends of its last blocks.
fn transform_threads(size: [usize; 2]) -> usize {
    stack_shape(1, size)[1] / 4
}

/// The terms of a product over channels at each point, in steps of at most [`MOST_TERMS`] if they can be equal.
fn sums_of_sums(points: usize, channels: usize) -> [usize; 3] {
    let equal = |&steps: &usize| channels.is_multiple_of(4 * steps);
    let steps = (channels.div_ceil(MOST_TERMS)..=channels / LEAST_CHANNELS).find(equal).unwrap_or(1);
    [points * steps, 1, channels / steps]
}

/// The product over all tiles, and into how many results per point it is split.
fn sum_over_tiles(plan: &Plan, p: &Problem, points: usize, tiles: usize) -> (usize, Product) {
    let whole = Product::of_transposed_a(p.cin, p.cout, [points, 1, tiles]);
    let groups = plan.core().groups(&whole) as usize * points;
    let sums = tiles.div_ceil(MOST_TERMS);
    let most = match plan.core() {
        Core::Subgroup { .. } => sums,
        Core::Workgroup { .. } | Core::Cooperative(_) => tiles.div_ceil(LEAST_TILES),
    };
    let parts = plan.target.variant.sizes.parallel_groups.div_ceil(groups).clamp(1, most.min(MOST_PARTS));
    let steps = sums.max(parts).next_multiple_of(parts);
    (parts, Product { terms: [points * steps, 1, tiles.div_ceil(steps)], splits: [parts, 1, 1], ..whole })
}

/// One product a point, each a sum of so many terms in as many results as `product` is split into.
fn products(plan: &Plan, name: &str, points: usize, product: Product, terms: usize, t: Tensors) -> Step {
    let product = Product { splits: [points * product.parts(), 1, 1], ..product };
    let mut constants = blocks();
    constants.extend([
        ("LEFT_POINT", t.left.first.into()),
        ("LEFT_POINTS", t.left.count.into()),
        ("RIGHT_POINT", t.right.first.into()),
        ("RIGHT_POINTS", t.right.count.into()),
        ("RESULT_POINT", t.result.first.into()),
        ("RESULT_POINTS", t.result.count.into()),
        ("PARTS", (product.terms[0] / points).into()),
        ("TERMS", terms.into()),
    ]);
    let bind = |name, points: Points| (name, points.tensor.into());
    let bindings = vec![bind("left", t.left), bind("right", t.right), bind("result", t.result)];
    let flops = 2 * (product.m * product.n * terms * points) as u64;
    product.step(plan, &format!("{name} product"), kernel!("winograd/product"), constants, bindings, flops)
}
