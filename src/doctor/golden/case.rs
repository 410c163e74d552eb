//! One operation of the file `ops`, with its inputs and results.

use serde_json::Value;

use super::file::File;
use crate::doctor::findings::Findings;
use crate::doctor::numbers::widen;
use crate::error::Result;
use crate::ops::{batch_norm, bias, conv2d, dense, global_average_pool, max_pool, softmax_cross_entropy};
use crate::shape::Padding;

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

    fn size(&self, key: &str) -> Result<usize> {
        let size = self.about[key].as_u64();
        size.map(|size| size as usize)
            .ok_or_else(|| self.file.fault(format!("{} in its JSON is missing", self.name(key))))
    }

    /// An operation, mode or padding that is not known here.
    pub fn unknown(&mut self, what: &str) {
        let name = self.name("");
        self.findings.note(name.trim_end_matches('/'), Err(format!("{what} is not known here")));
    }

    pub fn shape<const N: usize>(&self, tensor: &str) -> Result<[usize; N]> {
        let name = self.name(tensor);
        let shape = self.file.shape(&name)?;
        shape.try_into().map_err(|shape| self.file.fault(format!("{name} is {shape:?}, and must have {N} axes")))
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
        self.file.integers(&self.name("labels"))
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
            _ => Padding::Same,
        };
        let (kernel, stride) = (self.size("kernel")?, self.size("stride")?);
        let [_, _, _, cout] = self.shape("w")?;
        Ok(conv2d::Problem::new(self.shape("x")?, cout, [kernel; 2], [stride; 2], padding))
    }

    pub fn bias_of_conv2d(&self) -> Result<bias::Problem> {
        let p = self.conv2d()?;
        Ok(bias::Problem { batch: p.batch, positions: p.rows.output * p.columns.output, channels: p.cout })
    }

    pub fn max_pool(&self) -> Result<max_pool::Problem> {
        Ok(max_pool::Problem::new(self.shape("x")?, [self.size("pool")?; 2], [self.size("stride")?; 2]))
    }

    pub fn batch_norm(&self) -> Result<batch_norm::Problem> {
        let [batch, height, width, channels] = self.shape("x")?;
        Ok(batch_norm::Problem { batch, positions: height * width, channels })
    }

    pub fn global_average_pool(&self) -> Result<global_average_pool::Problem> {
        let [batch, height, width, channels] = self.shape("x")?;
        Ok(global_average_pool::Problem { batch, positions: height * width, channels })
    }

    pub fn dense(&self) -> Result<dense::Problem> {
        let ([batch, _], [inputs, outputs]) = (self.shape("x")?, self.shape("w")?);
        Ok(dense::Problem { batch, inputs, outputs })
    }

    pub fn bias_of_dense(&self) -> Result<bias::Problem> {
        let p = self.dense()?;
        Ok(bias::Problem { batch: p.batch, positions: 1, channels: p.outputs })
    }

    pub fn loss(&self) -> Result<softmax_cross_entropy::Problem> {
        let [batch, classes] = self.shape("logits")?;
        Ok(softmax_cross_entropy::Problem { batch, classes })
    }
}
