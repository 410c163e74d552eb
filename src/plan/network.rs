//! From a network to its plans: training (forward, loss, backward, Adam) and inference, over the same weights.

pub mod names;

use super::{ImageCost, Layout, Plan, Recompute, Target, Tensor, TensorId};
use crate::network::{Layer, Network, Placed};
use crate::ops::batch_norm::Epilogue;
use crate::ops::softmax_cross_entropy::{self, gpu::Tensors as LossTensors};
use crate::ops::{adam, augment, batch_norm, bias, conv2d, dense, global_average_pool, guard, max_pool, receipt, relu};
use crate::shape::padded;

/// One training step: forward in training mode, loss, every gradient, Adam.
pub fn training(network: &Network, batch: usize, target: &Target) -> Plan {
    Builder::build(network, Plan::new(target.clone(), batch, image_cost(network)), true)
}

/// The same in a plan of the caller's, say one that keeps every tensor.
pub fn training_in(plan: Plan, network: &Network) -> Plan {
    Builder::build(network, plan, true)
}

/// Forward in inference mode, with the moving statistics; loss and right answers are computed on the way.
pub fn inference(network: &Network, batch: usize, target: &Target) -> Plan {
    Builder::build(network, Plan::new(target.clone(), batch, image_cost(network)), false)
}

/// Memory of the largest activation of one image.
pub fn image_bytes(network: &Network) -> u64 {
    let stored = |shape: &[usize]| {
        let (channels, positions) = shape.split_last().expect("a shape has axes");
        4 * (positions.iter().product::<usize>() * padded(*channels)) as u64
    };
    network.layers.iter().flat_map(|layer| [stored(&layer.input), stored(&layer.output)]).max().unwrap_or(0)
}

/// What one image takes at the most: the largest activation, the costliest convolution (each of its three products has
/// the same cost).
pub fn image_cost(network: &Network) -> ImageCost {
    let flops = convolutions(network, 1).iter().map(|(_, problem)| problem.flops()).max().unwrap_or(0);
    ImageCost { bytes: image_bytes(network), flops }
}

/// The convolutions of a network, by their layers.
pub fn convolutions(network: &Network, batch: usize) -> Vec<(String, conv2d::Problem)> {
    let convolutions = network.layers.iter().filter(|layer| matches!(layer.layer, Layer::Conv2d { .. }));
    convolutions.map(|layer| (layer.name.clone(), conv2d_problem(batch, layer))).collect()
}

/// A layer on its way through the plan.
struct Pass<'a> {
    layer: &'a Placed,
    x: TensorId,
    y: TensorId,
    /// What follows a batch norm, done in its pass.
    epilogue: Epilogue,
    /// A batch norm follows and subtracts whatever this convolution's bias adds: the bias has no gradient.
    bias_cancels: bool,
}

struct Builder<'a> {
    network: &'a Network,
    plan: Plan,
    training: bool,
    /// Parameter and gradient, in the order the gradients were made.
    gradients: Vec<(String, Vec<usize>, TensorId)>,
}

impl<'a> Builder<'a> {
    fn build(network: &'a Network, plan: Plan, training: bool) -> Plan {
        let mut builder = Builder { network, plan, training, gradients: Vec::new() };
        let passes = builder.forward();
        let dlogits = builder.loss(passes.last().expect("a network has layers").y);
        if training {
            builder.backward(passes, dlogits);
            builder.update();
        } else {
            builder.keep_features(&passes);
        }
        let receipt = builder.receipt();
        receipt::gpu::mark(&mut builder.plan, names::RECEIPT, receipt);
        builder.plan
    }

    /// Class activation maps are made of them.
    fn keep_features(&mut self, passes: &[Pass]) {
        if let Some(pool) = passes.iter().find(|pass| pass.layer.layer == Layer::GlobalAveragePool) {
            self.plan.keep(pool.x, names::FEATURES);
        }
    }

    fn batch(&self) -> usize {
        self.plan.batch
    }

    fn forward(&mut self) -> Vec<Pass<'a>> {
        let (size, batch) = (self.network.image_size, self.batch());
        let pixels = self.plan.integers(names::PIXELS, &[batch, size, size]);
        let maps = self.plan.kept(names::MAPS, &[batch, 2, 4], Layout::Rows);
        let mut x = self.plan.output("input", &[batch, size, size, 3]);
        let problem = augment::Problem { batch, height: size, width: size };
        augment::gpu::forward(&mut self.plan, "input", problem, pixels, maps, x);

        let mut passes: Vec<Pass> = Vec::new();
        let mut layers = &self.network.layers[..];
        while let Some(layer) = layers.first() {
            let (epilogue, fused) = epilogue(batch, layers);
            let last = &layers[fused];
            layers = &layers[fused + 1..];
            let next = layers.first().map(|next| next.layer);
            let shape = [&[batch], &last.output[..]].concat();
            let y = match layer.layer {
                Layer::Dense { .. } if next.is_none() => self.plan.kept(names::LOGITS, &shape, Layout::Rows),
                Layer::Dense { .. } | Layer::GlobalAveragePool => self.plan.temporary(&last.name, &shape, Layout::Rows),
                _ => self.plan.output(&last.name, &shape),
            };
            let pass = Pass { layer, x, y, epilogue, bias_cancels: next == Some(Layer::BatchNorm) };
            self.forward_layer(&format!("{} forward", layer.name), &pass);
            passes.push(pass);
            x = y;
        }
        passes
    }

    fn forward_layer(&mut self, name: &str, pass: &Pass) {
        let &Pass { layer, x, y, .. } = pass;
        let batch = self.batch();
        match layer.layer {
            Layer::Conv2d { .. } => {
                let (w, bias) = self.weights(layer);
                conv2d::gpu::forward(&mut self.plan, name, conv2d_problem(batch, layer), x, w, bias, y);
            }
            Layer::Dense { .. } => {
                let (w, bias) = self.weights(layer);
                dense::gpu::forward(&mut self.plan, name, dense_problem(batch, layer), x, w, bias, y);
            }
            Layer::BatchNorm => {
                let (p, channels) = (batch_norm_problem(batch, layer), *layer.output.last().expect("a shape has axes"));
                let moving = self.plan.persistent(&names::moving(&layer.name), &[2, channels], Layout::Rows);
                let statistics = if self.training {
                    let statistics = self.plan.temporary(&names::statistics(&layer.name), &[2, channels], Layout::Rows);
                    let name = &format!("{} statistics", layer.name);
                    batch_norm::gpu::statistics(&mut self.plan, name, p, x, statistics, moving);
                    statistics
                } else {
                    moving
                };
                self.normalize(name, pass, statistics);
            }
            Layer::Relu => relu::gpu::forward(&mut self.plan, name, x, y),
            Layer::MaxPool { .. } => max_pool::gpu::forward(&mut self.plan, name, max_pool_problem(batch, layer), x, y),
            Layer::GlobalAveragePool => {
                let p = global_average_pool_problem(batch, layer);
                global_average_pool::gpu::forward(&mut self.plan, name, p, x, y);
            }
        }
    }

    /// Adds the loss and returns the gradient of the logits.
    fn loss(&mut self, logits: TensorId) -> TensorId {
        let p = softmax_cross_entropy::Problem { batch: self.batch(), classes: self.network.classes };
        let shape = [p.batch, p.classes];
        let tensors = LossTensors {
            logits,
            labels: self.plan.integers(names::LABELS, &[p.batch]),
            class_weight: self.plan.kept(names::CLASS_WEIGHT, &[p.classes], Layout::Rows),
            probabilities: self.plan.kept(names::PROBABILITIES, &shape, Layout::Rows),
            dlogits: self.plan.temporary("gradient/logits", &shape, Layout::Rows),
            metrics: self.plan.kept(names::METRICS, &[4], Layout::Packed),
        };
        softmax_cross_entropy::gpu::forward(&mut self.plan, "loss", p, tensors);
        tensors.dlogits
    }

    fn backward(&mut self, mut passes: Vec<Pass>, dlogits: TensorId) {
        let mut dy = dlogits;
        for index in (0..passes.len()).rev() {
            self.recompute(&mut passes[..=index]);
            let pass = &passes[index];
            let shape = [&[self.batch()], &pass.layer.input[..]].concat();
            let name = format!("gradient/{} input", pass.layer.name);
            let dx = match pass.layer.layer {
                Layer::Dense { .. } => self.plan.temporary(&name, &shape, Layout::Rows),
                _ => self.plan.activation(&name, &shape),
            };
            self.backward_layer(pass, dy, dx, index > 0);
            dy = dx;
        }
    }

    /// Computes again what was not kept of the layers in front of the last of these, a convolution: the batch norm's
    /// output, which the gradients of both need, and what that is made of.
    fn recompute(&mut self, passes: &mut [Pass]) {
        let is_convolution = |pass: &Pass| matches!(pass.layer.layer, Layer::Conv2d { .. });
        let [before @ .., norm, convolution] = passes else { return };
        let level = self.plan.target.recompute;
        if level < Recompute::Activations || norm.layer.layer != Layer::BatchNorm || !is_convolution(convolution) {
            return;
        }
        if let (Recompute::FirstLayer, [first]) = (level, before)
            && is_convolution(first)
        {
            first.y = self.again(first.y);
            norm.x = first.y;
            self.forward_layer(&format!("{} again", first.layer.name), first);
        }
        norm.y = self.again(norm.y);
        convolution.x = norm.y;
        let statistics = self.plan.find(&names::statistics(&norm.layer.name)).expect("forward made it");
        self.normalize(&format!("{} again", norm.layer.name), norm, statistics);
    }

    /// A second tensor for what one held.
    fn again(&mut self, id: TensorId) -> TensorId {
        let Tensor { name, shape, .. } = self.plan.tensor(id);
        let (name, shape) = (format!("{name} again"), shape.clone());
        self.plan.output(&name, &shape)
    }

    fn normalize(&mut self, name: &str, pass: &Pass, statistics: TensorId) {
        let &Pass { layer, x, y, epilogue, .. } = pass;
        let (gamma, beta) = (self.persistent(layer, "gamma"), self.persistent(layer, "beta"));
        let tensors = batch_norm::gpu::Normalize { x, statistics, gamma, beta, y, epilogue };
        let problem = batch_norm_problem(self.batch(), layer);
        batch_norm::gpu::normalize(&mut self.plan, name, problem, tensors);
    }

    /// `dx` is left out for the first layer: nothing needs the gradient of the photographs.
    fn backward_layer(&mut self, pass: &Pass, dy: TensorId, dx: TensorId, wants_dx: bool) {
        let &Pass { layer, x, y, epilogue, bias_cancels } = pass;
        let batch = self.batch();
        let name = &format!("{} backward", layer.name);
        let data = &format!("{} data gradient", layer.name);
        let weight = &format!("{} weight gradient", layer.name);
        match layer.layer {
            Layer::Conv2d { .. } => {
                let p = conv2d_problem(batch, layer);
                let (w, dw) = (self.persistent(layer, "kernel"), self.gradient(layer, "kernel"));
                let dx = wants_dx.then_some(dx);
                let tensors = conv2d::gpu::Backward { x, dy, w, dw: Some(dw), dx };
                conv2d::gpu::backward(&mut self.plan, &layer.name, p, tensors);
                if !bias_cancels {
                    self.bias_gradient(layer, p.rows.output * p.columns.output, dy);
                }
            }
            Layer::Dense { .. } => {
                let p = dense_problem(batch, layer);
                let (w, dw) = (self.persistent(layer, "kernel"), self.gradient(layer, "kernel"));
                dense::gpu::weight_gradient(&mut self.plan, weight, p, x, dy, dw);
                self.bias_gradient(layer, 1, dy);
                dense::gpu::data_gradient(&mut self.plan, data, p, dy, w, dx);
            }
            Layer::BatchNorm => {
                let statistics = self.plan.find(&names::statistics(&layer.name)).expect("forward made it");
                let gamma = self.persistent(layer, "gamma");
                let (dgamma, dbeta) = (self.gradient(layer, "gamma"), self.gradient(layer, "beta"));
                let tensors = batch_norm::gpu::Backward { x, y, dy, statistics, gamma, dx, dgamma, dbeta, epilogue };
                batch_norm::gpu::backward(&mut self.plan, name, batch_norm_problem(batch, layer), tensors);
            }
            Layer::Relu => relu::gpu::backward(&mut self.plan, name, y, dy, dx),
            Layer::MaxPool { .. } => {
                max_pool::gpu::backward(&mut self.plan, name, max_pool_problem(batch, layer), x, dy, dx)
            }
            Layer::GlobalAveragePool => {
                let p = global_average_pool_problem(batch, layer);
                global_average_pool::gpu::backward(&mut self.plan, name, p, dy, dx);
            }
        }
    }

    fn bias_gradient(&mut self, layer: &Placed, positions: usize, dy: TensorId) {
        let p = bias::Problem { batch: self.batch(), positions, channels: *layer.output.last().expect("axes") };
        let db = self.gradient(layer, "bias");
        bias::gpu::gradient(&mut self.plan, &format!("{} bias gradient", layer.name), p, dy, db);
    }

    /// The updates, and the guard before and behind them. What it names is listed in the order in which it was computed:
    /// the first that is unusable is the nearest to the cause.
    fn update(&mut self) {
        let statistics = self.network.layers.iter().filter(|layer| layer.layer == Layer::BatchNorm);
        let statistics = statistics.map(|layer| self.plan.find(&names::statistics(&layer.name)));
        let mut guarded: Vec<TensorId> =
            statistics.chain([self.plan.find(names::METRICS)]).map(|id| id.expect("forward made it")).collect();
        let first_gradient = guarded.len();
        guarded.extend(self.gradients.iter().map(|(_, _, gradient)| *gradient));

        let tensors = guard::gpu::Tensors {
            flags: self.plan.integers("guard/flags", &[guarded.len()]),
            rate: self.plan.kept(names::RATE, &[4], Layout::Packed),
            gate: self.plan.temporary("guard/gate", &[4], Layout::Packed),
            receipt: self.receipt(),
        };
        for (flag, &id) in guarded.iter().enumerate() {
            let (name, layout) = (format!("guard {}", self.plan.tensor(id).name), self.plan.tensor(id).layout);
            if layout != Layout::Matrix {
                guard::gpu::check(&mut self.plan, &name, id, flag, tensors.flags);
            }
        }
        guard::gpu::stop(&mut self.plan, "guard stop", tensors, false);
        self.adam(tensors, first_gradient);
        guard::gpu::stop(&mut self.plan, "guard report", tensors, true);
        self.plan.guarded = guarded;
    }

    /// The tensor of the receipt, made at its first use.
    fn receipt(&mut self) -> TensorId {
        let found = self.plan.find(names::RECEIPT);
        found.unwrap_or_else(|| self.plan.kept(names::RECEIPT, &[4], Layout::Packed))
    }

    fn adam(&mut self, tensors: guard::gpu::Tensors, first_flag: usize) {
        for (index, (parameter, shape, gradient)) in std::mem::take(&mut self.gradients).into_iter().enumerate() {
            let layout = layout_of(&shape);
            let [m, v, vhat] =
                names::MOMENTS.map(|moment| self.plan.persistent(&format!("{moment}/{parameter}"), &shape, layout));
            let id = self.plan.find(&parameter).expect("forward made it");
            let guard = adam::gpu::Guard { gate: tensors.gate, flags: tensors.flags, flag: first_flag + index };
            let moments = adam::gpu::Tensors { parameter: id, gradient, m, v, vhat };
            adam::gpu::step(&mut self.plan, &format!("adam {parameter}"), guard, moments);
        }
    }

    /// The tensor of a parameter, made at its first use.
    fn persistent(&mut self, layer: &Placed, suffix: &str) -> TensorId {
        let (name, shape) = named(layer, suffix);
        self.plan.find(&name).unwrap_or_else(|| self.plan.persistent(&name, &shape, layout_of(&shape)))
    }

    fn gradient(&mut self, layer: &Placed, suffix: &str) -> TensorId {
        let (name, shape) = named(layer, suffix);
        let gradient = self.plan.temporary(&names::gradient(&name), &shape, layout_of(&shape));
        self.gradients.push((name, shape, gradient));
        gradient
    }

    fn weights(&mut self, layer: &Placed) -> (TensorId, TensorId) {
        (self.persistent(layer, "kernel"), self.persistent(layer, "bias"))
    }
}

/// What the first of these layers takes into its pass, and how many layers that is: a batch norm takes a ReLU behind it,
/// and then a max pool of windows side by side.
fn epilogue(batch: usize, layers: &[Placed]) -> (Epilogue, usize) {
    let mut epilogue = Epilogue::default();
    if layers[0].layer != Layer::BatchNorm {
        return (epilogue, 0);
    }
    epilogue.relu = layers.get(1).is_some_and(|next| next.layer == Layer::Relu);
    let relu = usize::from(epilogue.relu);
    let pool = layers.get(1 + relu).filter(|next| matches!(next.layer, Layer::MaxPool { .. }));
    epilogue.pool = pool.map(|pool| max_pool_problem(batch, pool)).filter(Epilogue::takes);
    (epilogue, relu + usize::from(epilogue.pool.is_some()))
}

fn conv2d_problem(batch: usize, layer: &Placed) -> conv2d::Problem {
    let Layer::Conv2d { filters, kernel, stride, padding } = layer.layer else { unreachable!("a convolution") };
    conv2d::Problem::new(image_input(batch, layer), filters, [kernel; 2], [stride; 2], padding)
}

fn max_pool_problem(batch: usize, layer: &Placed) -> max_pool::Problem {
    let Layer::MaxPool { window, stride } = layer.layer else { unreachable!("a max pool") };
    max_pool::Problem::new(image_input(batch, layer), [window; 2], [stride; 2])
}

fn image_input(batch: usize, layer: &Placed) -> [usize; 4] {
    [batch, layer.input[0], layer.input[1], layer.input[2]]
}

fn dense_problem(batch: usize, layer: &Placed) -> dense::Problem {
    dense::Problem { batch, inputs: layer.input[0], outputs: layer.output[0] }
}

fn batch_norm_problem(batch: usize, layer: &Placed) -> batch_norm::Problem {
    let (positions, channels) = layer.positions_and_channels();
    batch_norm::Problem { batch, positions, channels }
}

fn global_average_pool_problem(batch: usize, layer: &Placed) -> global_average_pool::Problem {
    let (positions, channels) = layer.positions_and_channels();
    global_average_pool::Problem { batch, positions, channels }
}

fn named(layer: &Placed, suffix: &str) -> (String, Vec<usize>) {
    let name = format!("{}.{suffix}", layer.name);
    let parameter = layer.parameters().into_iter().find(|parameter| parameter.name == name);
    let parameter = parameter.unwrap_or_else(|| panic!("{} has no {suffix}", layer.name));
    (name, parameter.shape)
}

/// Kernels are matrices of channels by channels; everything else is a row of channels.
pub fn layout_of(shape: &[usize]) -> Layout {
    if shape.len() > 1 { Layout::Matrix } else { Layout::Rows }
}
