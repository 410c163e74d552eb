//! A training step of the tutorial's network, or the forward pass of each of its convolutions, in burn on its wgpu backend.
//!
//! usage: burn-step SIZE/BATCH     a step for each line that is read, the seconds of each on a line
//!        burn-step convolutions SIZE/BATCH

use std::io::{BufRead, Write, stdin, stdout};
use std::time::Instant;

use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::loss::CrossEntropyLossConfig;
use burn::nn::pool::{AdaptiveAvgPool2d, AdaptiveAvgPool2dConfig, MaxPool2d, MaxPool2dConfig};
use burn::nn::{BatchNorm, BatchNormConfig, Linear, LinearConfig, PaddingConfig2d, Relu};
use burn::optim::{AdamWConfig, GradientsParams};
use burn::tensor::{Device, DeviceKind, Distribution, Int, Tensor, TensorData};

/// Of each convolution: filters, and whether a max pool follows.
const LAYERS: [(usize, bool); 8] =
    [(32, true), (64, true), (128, true), (256, true), (512, false), (512, true), (1024, false), (1024, false)];
const CLASSES: usize = 8;

#[derive(Module, Debug)]
struct Block {
    convolution: Conv2d,
    norm: BatchNorm,
    pool: Option<MaxPool2d>,
}

#[derive(Module, Debug)]
struct Network {
    blocks: Vec<Block>,
    average: AdaptiveAvgPool2d,
    dense: [Linear; 2],
}

fn convolution(cin: usize, cout: usize, device: &Device) -> Conv2d {
    Conv2dConfig::new([cin, cout], [3, 3]).with_padding(PaddingConfig2d::Explicit(1, 1, 1, 1)).init(device)
}

/// Channels in and out of each convolution, and the side of its image.
fn convolutions(size: usize) -> Vec<(usize, usize, usize)> {
    let (mut cin, mut side) = (3, size);
    LAYERS
        .iter()
        .map(|&(cout, pooled)| {
            let all = (cin, cout, side);
            (cin, side) = (cout, if pooled { side / 2 } else { side });
            all
        })
        .collect()
}

impl Network {
    fn new(device: &Device) -> Network {
        let block = |(&(_, pooled), (cin, cout, _)): (&(usize, bool), (usize, usize, usize))| Block {
            convolution: convolution(cin, cout, device),
            norm: BatchNormConfig::new(cout).init(device),
            pool: pooled.then(|| MaxPool2dConfig::new([2, 2]).with_strides([2, 2]).init()),
        };
        Network {
            blocks: LAYERS.iter().zip(convolutions(64)).map(block).collect(),
            average: AdaptiveAvgPool2dConfig::new([1, 1]).init(),
            dense: [LinearConfig::new(1024, 256).init(device), LinearConfig::new(256, CLASSES).init(device)],
        }
    }

    fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        let x = self.blocks.iter().fold(images, |x, block| {
            let x = Relu::new().forward(block.norm.forward(block.convolution.forward(x)));
            block.pool.as_ref().map_or(x.clone(), |pool| pool.forward(x))
        });
        let x = self.average.forward(x).flatten(1, 3);
        self.dense.iter().fold(x, |x, dense| dense.forward(x))
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (size, batch) = arguments
        .last()
        .and_then(|argument| argument.split_once('/'))
        .map(|(size, batch)| (size.parse().expect("SIZE"), batch.parse().expect("BATCH")))
        .expect("SIZE/BATCH");
    let device = Device::wgpu(DeviceKind::Cpu);
    if arguments[0] == "convolutions" {
        time_convolutions(size, batch, &device)
    } else {
        time_steps(size, batch, device.autodiff())
    }
}

fn time_steps(size: usize, batch: usize, device: Device) {
    let mut network = Network::new(&device);
    let mut optimizer = AdamWConfig::new().with_weight_decay(0.0).with_amsgrad(true).init();
    let loss = CrossEntropyLossConfig::new().init(&device);
    let images = Tensor::<4>::random([batch, 3, size, size], Distribution::Default, &device);
    let labels: Vec<i32> = (0..batch).map(|image| (image % CLASSES) as i32).collect();
    let labels = Tensor::<1, Int>::from_data(TensorData::new(labels, [batch]), &device);
    device.sync().expect("a device that works");
    for _ in stdin().lock().lines() {
        let start = Instant::now();
        let loss = loss.forward(network.forward(images.clone()), labels.clone());
        let gradients = GradientsParams::from_grads(loss.backward(), &network);
        network = optimizer.step(1e-3, network, gradients);
        let loss: f32 = loss.into_scalar();
        device.sync().expect("a device that works");
        println!("{} {loss}", start.elapsed().as_secs_f64());
        stdout().flush().expect("a reader");
    }
}

/// A line for each layer: GFLOP, and for each line that is read the seconds.
fn time_convolutions(size: usize, batch: usize, device: &Device) {
    let all: Vec<(Conv2d, Tensor<4>)> = convolutions(size)
        .into_iter()
        .map(|(cin, cout, side)| {
            (convolution(cin, cout, device), Tensor::random([batch, cin, side, side], Distribution::Default, device))
        })
        .collect();
    for _ in stdin().lock().lines() {
        for (layer, images) in &all {
            let start = Instant::now();
            let _ = layer.forward(images.clone());
            device.sync().expect("a device that works");
            print!("{} ", start.elapsed().as_secs_f64());
        }
        println!();
        stdout().flush().expect("a reader");
    }
}
