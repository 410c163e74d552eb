//! A dense layer without activation: `y = x w + b`.

pub mod cpu;
pub mod gpu;

/// `x [batch, inputs]`, `w [inputs, outputs]`, `bias [outputs]`, `y [batch, outputs]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Problem {
    pub batch: usize,
    pub inputs: usize,
    pub outputs: usize,
}

impl Problem {
    /// Floating-point operations of one pass, two per multiply-add.
    pub fn flops(&self) -> u64 {
        2 * (self.batch * self.inputs * self.outputs) as u64
    }
}
