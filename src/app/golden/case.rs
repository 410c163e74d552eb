//! One operation of the file `ops`, with its inputs and results.

use serde_json::Value;

use super::file::File;
use crate::engine::numbers::widen;
use crate::engine::shape::Padding;
use crate::error::Result;
use crate::ops::{batch_norm, bias, conv2d, dense, global_average_pool, max_pool, softmax_cross_entropy};
use crate::proof::doctor::findings::Findings;

/// Far more than any layer has, and little enough to compute with.
const LARGEST_WINDOW: u64 = 64;

pub struct Case<'a> {
    file: &'a File,
    about: &'a Value,
    findings: &'a mut Findings,
    /// How far results may be off.
    bound: fn(&File, &str) -> Result<f64>,
}

/// Runs `check` on every case of the file.
pub fn for_each(
    file: &File,
    bound: fn(&File, &str) -> Result<f64>,
    findings: &mut Findings,
    check: impl Fn(&mut Case) -> Result<()>,
) -> Result<()> {
    for about in file.json["cases"].as_array().ok_or_else(|| file.fault("its JSON has no list of cases"))? {
        check(&mut Case { file, about, findings, bound })?;
    }
    file.finish(findings)
}

impl Case<'_> {
    fn name(&self, tensor: &str) -> String {
        format!("{}/{tensor}", self.about["case"].as_str().unwrap_or("?"))
    }

    pub fn text(&self, key: &str) -> Result<&str> {
        self.about[key].as_str().ok_or_else(|| self.file.fault(format!("{} in its JSON is missing", self.name(key))))
    }

    /// The size of a window or its stride.
    fn size(&self, key: &str) -> Result<usize> {
        let size = self.about[key].as_u64().filter(|size| (1..=LARGEST_WINDOW).contains(size));
        size.map(|size| size as usize).ok_or_else(|| {
            self.file.fault(format!("{} in its JSON must be from 1 to {LARGEST_WINDOW}", self.name(key)))
        })
    }

    /// An operation, mode or padding that is not known here.
    pub fn unknown(&mut self, what: &str) {
        let name = self.name("");
        self.findings.note(name.trim_end_matches('/'), Err(format!("{what} is not known here")));
    }

    /// The shape of a tensor, none of whose axes is empty.
    pub fn shape<const N: usize>(&self, tensor: &str) -> Result<[usize; N]> {
        let name = self.name(tensor);
        let shape = self.file.shape(&name)?;
        let full = !shape.contains(&0);
        shape
            .try_into()
            .ok()
            .filter(|_| full)
            .ok_or_else(|| self.file.fault(format!("{name} must have {N} axes, none of them empty")))
    }

    /// Fails unless the tensor, if the file has it, has this shape.
    fn must_be<const N: usize>(&self, tensor: &str, shape: [usize; N]) -> Result<()> {
        if self.has(tensor) && self.shape::<N>(tensor)? != shape {
            return Err(self.file.fault(format!("{} must be {shape:?}", self.name(tensor))));
        }
        Ok(())
    }

    /// Fails unless the window of an operation with such an output lies in the image at least once.
    fn must_fit(&self, output: [usize; 4]) -> Result<()> {
        if output.contains(&0) {
            return Err(self.file.fault(format!("{} is smaller than a window", self.name("x"))));
        }
        Ok(())
    }

    pub fn has(&self, tensor: &str) -> bool {
        self.file.has(&self.name(tensor))
    }

    pub fn values(&self, tensor: &str) -> Result<Vec<f32>> {
        self.file.floats(&self.name(tensor))
    }

    pub fn wide(&self, tensor: &str) -> Result<Vec<f64>> {
        Ok(widen(&self.values(tensor)?))
    }

    pub fn labels(&self) -> Result<Vec<u32>> {
        let ([batch, classes], labels) = (self.shape("logits")?, self.file.integers(&self.name("labels"))?);
        if labels.len() != batch || labels.iter().any(|&label| label as usize >= classes) {
            return Err(self.file.fault(format!("{} must be {batch} classes below {classes}", self.name("labels"))));
        }
        Ok(labels)
    }

    /// Holds a result to the file's.
    pub fn check<G: Copy + Into<f64>>(&mut self, tensor: &str, got: &[G]) -> Result<()> {
        self.check_but_for(tensor, got, |_| 0.0)
    }

    /// Holds a result to the file's; each number may be off by some more.
    pub fn check_but_for<G: Copy + Into<f64>>(
        &mut self,
        tensor: &str,
        got: &[G],
        more: impl Fn(usize) -> f64,
    ) -> Result<()> {
        let name = self.name(tensor);
        let bound = (self.bound)(self.file, &name)?;
        self.findings.compare(&name, got, &self.file.floats(&name)?, |i| bound + more(i));
        Ok(())
    }

    pub fn conv2d(&self) -> Result<conv2d::Problem> {
        let padding = match self.text("padding")? {
            "valid" => Padding::Valid,
            "same" => Padding::Same,
            other => return Err(self.file.fault(format!("{} is {other}", self.name("padding")))),
        };
        let (kernel, stride) = (self.size("kernel")?, self.size("stride")?);
        let [_, _, _, cout] = self.shape("w")?;
        let p = conv2d::Problem::new(self.shape("x")?, cout, [kernel; 2], [stride; 2], padding);
        self.must_fit(p.output_shape())?;
        self.must_be("w", p.weight_shape())?;
        self.must_be("b", [p.cout])?;
        self.must_be("dy", p.output_shape())?;
        Ok(p)
    }

    pub fn bias_of_conv2d(&self) -> Result<bias::Problem> {
        let p = self.conv2d()?;
        Ok(bias::Problem { batch: p.batch, positions: p.rows.output * p.columns.output, channels: p.cout })
    }

    pub fn max_pool(&self) -> Result<max_pool::Problem> {
        if self.about["padding"].as_str().is_some_and(|padding| padding != "valid") {
            return Err(self.file.fault(format!("{} must be valid", self.name("padding"))));
        }
        let p = max_pool::Problem::new(self.shape("x")?, [self.size("pool")?; 2], [self.size("stride")?; 2]);
        self.must_fit(p.output_shape())?;
        self.must_be("dy", p.output_shape())?;
        Ok(p)
    }

    pub fn batch_norm(&self) -> Result<batch_norm::Problem> {
        let shape = self.shape("x")?;
        let [batch, height, width, channels] = shape;
        for parameter in ["gamma", "beta", "moving_mean", "moving_variance"] {
            self.must_be(parameter, [channels])?;
        }
        self.must_be("dy", shape)?;
        for (key, own) in [("eps", batch_norm::EPSILON), ("momentum", batch_norm::MOMENTUM)] {
            if self.about[key].as_f64().is_some_and(|number| number != own) {
                return Err(self.file.fault(format!("{} must be {own}", self.name(key))));
            }
        }
        Ok(batch_norm::Problem { batch, positions: height * width, channels })
    }

    pub fn global_average_pool(&self) -> Result<global_average_pool::Problem> {
        let [batch, height, width, channels] = self.shape("x")?;
        self.must_be("dy", [batch, channels])?;
        Ok(global_average_pool::Problem { batch, positions: height * width, channels })
    }

    pub fn dense(&self) -> Result<dense::Problem> {
        let ([batch, _], [inputs, outputs]) = (self.shape("x")?, self.shape("w")?);
        self.must_be("x", [batch, inputs])?;
        self.must_be("b", [outputs])?;
        self.must_be("dy", [batch, outputs])?;
        Ok(dense::Problem { batch, inputs, outputs })
    }

    pub fn bias_of_dense(&self) -> Result<bias::Problem> {
        let p = self.dense()?;
        Ok(bias::Problem { batch: p.batch, positions: 1, channels: p.outputs })
    }

    /// The one shape of what a ReLU is given.
    pub fn relu(&self) -> Result<[usize; 4]> {
        let shape = self.shape("x")?;
        self.must_be("dy", shape)?;
        Ok(shape)
    }

    pub fn loss(&self) -> Result<softmax_cross_entropy::Problem> {
        let [batch, classes] = self.shape("logits")?;
        self.must_be("class_weight", [classes])?;
        Ok(softmax_cross_entropy::Problem { batch, classes })
    }
}
