//! The weights and photographs of the file `full`, which follow a formula (`about_formula` in its JSON), so that no file
//! of 73 MB has to hold them.

use crate::app::checkpoint::Tensor;
use crate::app::data::Images;
use crate::engine::image_size::ImageSize;
use crate::network::{Network, Parameter, Start};

/// Image tiles of one colour.
const TILE: usize = 16;

fn mix(mut x: u32) -> u32 {
    x ^= x >> 16;
    x = x.wrapping_mul(0x7FEB_352D);
    x ^= x >> 15;
    x = x.wrapping_mul(0x846C_A68B);
    x ^ (x >> 16)
}

pub fn hash(tag: u32, i: usize) -> u32 {
    mix(i as u32 ^ mix(tag.wrapping_add(0x9E37_79B9)))
}

/// Number `i` of a tensor, symmetric around zero, below `amplitude`.
fn symmetric(tag: u32, i: usize, amplitude: f64) -> f32 {
    let odd = 2 * i64::from(hash(tag, i) >> 8) + 1 - (1 << 24);
    odd as f32 * (amplitude / f64::from(1 << 24)) as f32
}

/// Trainable parameters by the formula, moving statistics as a network starts with them.
pub fn weights(network: &Network) -> Vec<Tensor> {
    let mut tag = 99;
    let tensor = |Parameter { name, shape, start, trainable }: Parameter| {
        let count = shape.iter().product();
        tag += u32::from(trainable);
        let number = |i| match (start, trainable) {
            (Start::HeNormal { fan_in }, _) => symmetric(tag, i, 3f64.sqrt() * (2.0 / fan_in as f64).sqrt()),
            (Start::Constant(value), false) => value,
            (Start::Constant(_), true) if name.ends_with("bias") => symmetric(tag, i, 0.05),
            (Start::Constant(value), true) => value + symmetric(tag, i, 0.2),
        };
        let data = (0..count).map(number).collect();
        Tensor { name, shape, data }
    };
    network.parameters().into_iter().map(tensor).collect()
}

/// The images of step `t`, from 1: tiles of one colour with noise over them.
pub fn images(t: u32, count: usize, size: ImageSize) -> Images {
    let mut pixels = Vec::new();
    let ImageSize { height, width } = size;
    let [rows, columns] = [height / TILE, width / TILE];
    for i in 0..count * size.rgb_bytes() {
        let (n, y, x, channel) = (i / 3 / width / height, i / 3 / width % height, i / 3 % width, i % 3);
        let tile = hash(1000 + t, ((n * rows + y / TILE) * columns + x / TILE) * 3 + channel) >> 24;
        let noise = hash(2000 + t, i) >> 24;
        pixels.push(((3 * tile + noise) >> 2) as u8);
    }
    Images { size, count, pixels }
}
