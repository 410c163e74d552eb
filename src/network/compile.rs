//! The compiler of networks: from a graph of layers to its plans, training (forward, loss, backward, Adam) and inference,
//! over the same weights.
//!
//! Forward goes through the layers in order; backward walks them in reverse and sums, in a fixed order, the gradients of
//! an output that several layers take. Three rewrites make the plan smaller, and each asks how many layers take what it
//! would leave out: `fuse` (what follows a batch norm is done in its pass), `before_batch_norm` (no gradient of a bias, and
//! statistics where the output is written), and `recompute`.

mod update;

use std::collections::{BTreeMap, BTreeSet};

use crate::engine::plan::{ImageCost, Layout, Plan, Recompute, Shares, Target, Tensor, TensorId, names};
use crate::engine::shape::padded;
use crate::network::{Layer, Network, Placed, Source, photograph};
use crate::ops::epilogue::Epilogue;
use crate::ops::op::{At, Gradient, activation};
use crate::ops::softmax_cross_entropy::{self, Tensors as LossTensors};
use crate::ops::{add, augment, conv2d, receipt, shares};

/// One training step: forward in training mode, loss, every gradient, Adam.
pub fn training(network: &Network, batch: usize, target: &Target) -> Plan {
    Builder::build(network, Plan::new(target.clone(), batch, image_cost(network)), true)
}

/// Training in a plan of the caller's, for example one that keeps every tensor.
pub fn training_in(plan: Plan, network: &Network) -> Plan {
    Builder::build(network, plan, true)
}

/// Forward in inference mode, with the moving statistics; loss and correct answers are computed on
/// the way. Images do not depend on each other here, so the batch is not cut into shares.
pub fn inference(network: &Network, batch: usize, target: &Target) -> Plan {
    let target = Target { shares: Shares::default(), ..target.clone() };
    Builder::build(network, Plan::new(target, batch, image_cost(network)), false)
}

/// Memory of the largest activation of one image.
pub fn image_bytes(network: &Network) -> u64 {
    let stored = |shape: &[usize]| {
        let (channels, positions) = shape.split_last().expect("a shape has axes");
        4 * (positions.iter().product::<usize>() * padded(*channels)) as u64
    };
    let shapes = [photograph(network.image_size)].into_iter().chain(network.layers.iter().map(|l| l.output.clone()));
    shapes.map(|shape| stored(&shape)).max().unwrap_or(0)
}

/// Largest cost of one image: the largest activation, the costliest convolution (each of its three
/// products has the same cost).
pub fn image_cost(network: &Network) -> ImageCost {
    let flops = convolutions(network, 1).iter().map(|(_, problem)| problem.flops()).max().unwrap_or(0);
    ImageCost { bytes: image_bytes(network), flops }
}

/// The convolutions of a network, by their layers.
pub fn convolutions(network: &Network, batch: usize) -> Vec<(String, conv2d::Problem)> {
    let problem = |placed: &Placed| match &placed.layer {
        Layer::Conv2d(layer) => Some((placed.name.clone(), layer.problem(batch, placed.input()))),
        _ => None,
    };
    network.layers.iter().filter_map(problem).collect()
}

/// A layer on its way through the plan, with those that are done in its pass.
struct Pass {
    /// Its position in the network, and that of the last layer in its pass.
    layer: usize,
    last: usize,
    x: Vec<TensorId>,
    y: TensorId,
    /// The passes whose outputs it takes; `None` for the photographs.
    sources: Vec<Option<usize>>,
    epilogue: Epilogue,
    before_batch_norm: bool,
}

struct Builder<'a> {
    network: &'a Network,
    plan: Plan,
    training: bool,
    /// In the order the gradients were made.
    gradients: Vec<Gradient>,
}

impl<'a> Builder<'a> {
    fn build(network: &'a Network, plan: Plan, training: bool) -> Plan {
        let mut builder = Builder { network, plan, training, gradients: Vec::new() };
        if network.clip_norm.is_some() {
            builder.plan.keep_whole();
        }
        let passes = builder.forward();
        let dlogits = builder.loss(passes.last().expect("a network has layers").y);
        let parameters = builder.place_parameters();
        if training {
            builder.backward(passes, dlogits);
            builder.update(parameters);
        } else {
            builder.keep_features(&passes);
        }
        let receipt = builder.receipt();
        receipt::mark(&mut builder.plan, names::RECEIPT, receipt);
        builder.plan
    }

    /// Class activation maps are made of them.
    fn keep_features(&mut self, passes: &[Pass]) {
        let head = self.network.linear_head();
        if let Some(pool) = head.and_then(|head| passes.iter().find(|pass| pass.layer == head.pool)) {
            self.plan.keep(pool.x[0], names::FEATURES);
        }
    }

    fn batch(&self) -> usize {
        self.plan.batch
    }

    fn forward(&mut self) -> Vec<Pass> {
        let (network, images) = (self.network, self.plan.images());
        let [height, width, channels] = photograph(network.image_size)[..] else { unreachable!("three axes") };
        let pixels = self.plan.integers(names::PIXELS, &[images, height, width]);
        let maps = self.plan.kept(names::MAPS, &[images, 2, 4], Layout::Rows);
        let photographs = self.plan.output(names::INPUT, &[images, height, width, channels]);
        let problem = augment::Problem { batch: images, height, width };
        augment::steps::forward(&mut self.plan, names::INPUT, problem, pixels, maps, photographs);

        let mut passes: Vec<Pass> = Vec::new();
        // The pass that makes each layer's output; that of a layer in the middle of a pass is never stored.
        let mut made_by: BTreeMap<usize, usize> = BTreeMap::new();
        let mut fused: BTreeSet<usize> = BTreeSet::new();
        for layer in 0..network.layers.len() {
            if fused.contains(&layer) {
                continue;
            }
            let (epilogue, following) = fuse(network, layer, images);
            fused.extend(&following);
            let last = *following.last().unwrap_or(&layer);
            let pass = |source: &Source| match source {
                Source::Photographs => None,
                Source::Layer(layer) => Some(made_by[layer]),
            };
            let sources: Vec<Option<usize>> = network.layers[layer].sources.iter().map(pass).collect();
            let x = sources.iter().map(|source| source.map_or(photographs, |pass| passes[pass].y)).collect();
            let y = self.output(last);
            let only_user = network.only_user(layer).map(|user| &network.layers[user]);
            // A frozen batch norm subtracts what it learnt, not the mean of the batch.
            let before_batch_norm =
                matches!(only_user, Some(user) if !user.frozen && matches!(user.layer, Layer::BatchNorm(_)));
            let pass = Pass { layer, last, x, y, sources, epilogue, before_batch_norm };
            network.layers[layer].layer.op().forward(&mut self.at(&pass, &[]));
            made_by.insert(last, passes.len());
            passes.push(pass);
        }
        passes
    }

    /// A tensor for the output of a layer. The network's own output is what the host reads.
    fn output(&mut self, index: usize) -> TensorId {
        let Placed { name, output, .. } = &self.network.layers[index];
        let of = |images: usize| [&[images], &output[..]].concat();
        let (whole, held) = (of(self.batch()), of(self.plan.images()));
        match output.len() {
            1 if index + 1 == self.network.layers.len() => self.plan.kept(names::LOGITS, &whole, Layout::Rows),
            1 => self.plan.temporary(name, &whole, Layout::Rows),
            _ => self.plan.output(name, &held),
        }
    }

    fn at<'b>(&'b mut self, pass: &Pass, wanted: &[bool]) -> At<'b>
    where
        'a: 'b,
    {
        let placed = &self.network.layers[pass.layer];
        At {
            plan: &mut self.plan,
            training: self.training,
            x: pass.x.clone(),
            y: pass.y,
            epilogue: pass.epilogue,
            before_batch_norm: pass.before_batch_norm,
            frozen: placed.frozen,
            layer: &placed.name,
            op: placed.layer.op(),
            inputs: &placed.inputs,
            output: &placed.output,
            again: false,
            wanted: wanted.to_vec(),
            gradients: &mut self.gradients,
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
        softmax_cross_entropy::steps::forward(&mut self.plan, "loss", p, tensors, self.network.label_smoothing);
        tensors.dlogits
    }

    /// Whether a gradient of each pass's output is needed: the pass is trained, or one that it takes from is.
    fn needed(&self, passes: &[Pass]) -> Vec<bool> {
        let mut needed: Vec<bool> = Vec::new();
        for pass in passes {
            let own = self.network.layers[pass.layer].is_trained();
            needed.push(own || pass.sources.iter().flatten().any(|&source| needed[source]));
        }
        needed
    }

    /// Walks the passes in reverse. When it comes to one, the gradients of its output are all there. Where nothing
    /// before is trained, nothing is computed.
    fn backward(&mut self, mut passes: Vec<Pass>, dlogits: TensorId) {
        let needed = self.needed(&passes);
        let mut gradients: Vec<Vec<TensorId>> = vec![Vec::new(); passes.len()];
        *gradients.last_mut().expect("a network has layers") = vec![dlogits];
        for index in (0..passes.len()).rev().filter(|&index| needed[index]) {
            self.recompute(&mut passes[..=index]);
            let pass = &passes[index];
            let dy = self.sum(pass, &gradients[index]);
            let wanted: Vec<bool> = pass.sources.iter().map(|source| source.is_some_and(|at| needed[at])).collect();
            let layer = self.network.layers[pass.layer].layer;
            let dx = layer.op().backward(&mut self.at(pass, &wanted), dy);
            for ((source, dx), wanted) in pass.sources.iter().zip(dx).zip(wanted) {
                if let Some(source) = source.filter(|_| wanted) {
                    gradients[source].push(dx.expect("a gradient for each input that wants one"));
                }
            }
        }
        shares::last_exchange(&mut self.plan, "gradients exchange");
    }

    /// The sum of the gradients of a pass's output: from its last user to its first, one addition after the other.
    fn sum(&mut self, pass: &Pass, gradients: &[TensorId]) -> TensorId {
        let (&first, rest) = gradients.split_first().expect("every layer but the last has a user");
        let Placed { name, output, .. } = &self.network.layers[pass.last];
        rest.iter().enumerate().fold(first, |sum, (index, &gradient)| {
            let name = format!("gradient/{name} output, sum {}", index + 1);
            let total = activation(&mut self.plan, &name, output);
            add::add(&mut self.plan, &name, [sum, gradient], total);
            total
        })
    }

    /// Before a convolution's backward pass, recomputes the inputs that were dropped: the output of the batch norm before
    /// it and, at `FirstLayer`, that of the first convolution. Only where no other layer takes them.
    fn recompute(&mut self, passes: &mut [Pass]) {
        let [before @ .., norm, convolution] = passes else { return };
        let level = self.plan.target.recompute;
        let network = self.network;
        let is_convolution = |pass: &Pass| matches!(network.layers[pass.layer].layer, Layer::Conv2d(_));
        let alone_takes = |user: &Pass, made: &Pass| network.only_user(made.last) == Some(user.layer);
        let Placed { name, layer: Layer::BatchNorm(batch_norm), .. } = &network.layers[norm.layer] else { return };
        if level < Recompute::Activations || !is_convolution(convolution) || !alone_takes(convolution, norm) {
            return;
        }
        if let (Recompute::FirstLayer, [first]) = (level, before)
            && is_convolution(first)
            && alone_takes(norm, first)
        {
            first.y = self.again(first.y);
            norm.x = vec![first.y];
            network.layers[first.layer].layer.op().forward(&mut At { again: true, ..self.at(first, &[]) });
        }
        norm.y = self.again(norm.y);
        convolution.x = vec![norm.y];
        let own = if network.layers[norm.layer].frozen { names::moving(name) } else { names::statistics(name) };
        let statistics = self.plan.find(&own).expect("forward made it");
        batch_norm.normalize(&mut At { again: true, ..self.at(norm, &[]) }, statistics);
    }

    /// A second tensor for what one held.
    fn again(&mut self, id: TensorId) -> TensorId {
        let Tensor { name, shape, .. } = self.plan.tensor(id);
        let (name, shape) = (format!("{name} again"), shape.clone());
        self.plan.output(&name, &shape)
    }

    /// The tensor of the receipt, made at its first use.
    fn receipt(&mut self) -> TensorId {
        let found = self.plan.find(names::RECEIPT);
        found.unwrap_or_else(|| self.plan.kept(names::RECEIPT, &[4], Layout::Packed))
    }
}

/// The layers whose work a batch norm does in its pass, and what that is: a ReLU and then a max pool of windows side by
/// side, each taking the output of the one before and no other layer doing so.
fn fuse(network: &Network, layer: usize, images: usize) -> (Epilogue, Vec<usize>) {
    let (mut epilogue, mut following) = (Epilogue::default(), Vec::new());
    if !matches!(network.layers[layer].layer, Layer::BatchNorm(_)) {
        return (epilogue, following);
    }
    if let Some(user) = network.only_user(layer)
        && matches!(network.layers[user].layer, Layer::Relu(_))
    {
        epilogue.relu = true;
        following.push(user);
    }
    if let Some(user) = network.only_user(*following.last().unwrap_or(&layer))
        && let Placed { layer: Layer::MaxPool(pool), .. } = &network.layers[user]
    {
        let pool = pool.problem(images, network.layers[user].input());
        if Epilogue::takes(&pool) {
            epilogue.pool = Some(pool);
            following.push(user);
        }
    }
    (epilogue, following)
}
