//! Slices: what ranks share out of the update of large parameters. Each adds up its own slice of the gradient, has Adam's
//! moments of it alone, and gives all others the weights that it has updated. One number does not depend on another here,
//! so the cut changes no bit. (Rajbhandari et al., 2020, "ZeRO: Memory Optimizations Toward Training Trillion Parameter
//! Models", arXiv:1910.02054, section 5: the second stage.)

use std::borrow::Cow;
use std::ops::Range;

use super::{Gathered, Layout, Lifetime, Plan, Run, Shares, Tensor, TensorId};
use crate::engine::layout::{pad, unpad};
use crate::engine::tensor::{Element, Slice};

/// Numbers of a vec4, which is never cut.
const VEC4: usize = 4;

/// The slice of so many numbers that belongs to some of a batch's shares. The slices of all shares are as equal as possible.
fn slice_of(numbers: usize, shares: &Shares) -> Range<usize> {
    let end = |share: usize| numbers / VEC4 * share / shares.count * VEC4;
    end(shares.held.start)..end(shares.held.end)
}

impl Plan {
    /// Has every rank update all of every parameter: what needs all gradients at once does not go by slices.
    pub fn keep_whole(&mut self) {
        self.slices = false;
    }

    /// The slice of a parameter, or of its gradient, that this rank updates; `None` where every rank updates all of it.
    pub fn own_slice(&self, id: TensorId) -> Option<Range<usize>> {
        let is_cut = self.slices && !self.target.shares.are_all_held() && !self.is_small(id);
        is_cut.then(|| slice_of(self.count_of(id.into()), &self.target.shares))
    }

    /// Slices of so many numbers, in the ranks' order.
    pub fn slices_by_rank(&self, numbers: usize) -> impl Iterator<Item = Range<usize>> {
        let shares = &self.target.shares;
        (0..shares.ranks()).map(move |rank| slice_of(numbers, &shares.of_other(rank)))
    }

    /// A tensor that stays between runs: this rank's slice of one like `whole`, or all of it where there are no slices.
    pub fn persistent_slice(&mut self, name: &str, whole: TensorId) -> TensorId {
        let Tensor { shape, layout, .. } = self.tensor(whole).clone();
        let Some(numbers) = self.own_slice(whole) else { return self.persistent(name, &shape, layout) };
        let shape = [numbers.len()];
        let (lifetime, slice) = (Lifetime::Persistent, Some(Slice { of: whole, numbers }));
        self.add(Tensor { lifetime, slice, ..Tensor::new(name, &shape, Element::F32, Layout::Packed) })
    }

    /// Leaves a tensor room for so many numbers alone.
    pub fn cut_down(&mut self, id: TensorId, numbers: usize) {
        let tensor = &mut self.tensors[id.0];
        (tensor.shape, tensor.layout) = (vec![numbers], Layout::Packed);
    }

    /// Slices of one tensor, each of which the ranks that hold the share give to all.
    pub fn slices_by_share(&self, tensor: TensorId) -> Gathered {
        let (numbers, count) = (self.count_of(tensor.into()), self.target.shares.count);
        let run = |share| Run { tensor, numbers: slice_of(numbers, &Shares { count, held: share..share + 1 }) };
        Gathered { of_share: (0..count).map(run).collect() }
    }

    /// The shape of a tensor, or of that of which it is a slice.
    pub fn whole_shape(&self, id: TensorId) -> &[usize] {
        let whole = self.tensor(id).slice.as_ref().map_or(id, |slice| slice.of);
        &self.tensor(whole).shape
    }

    /// The numbers of a tensor from the slices of all ranks, in their order.
    pub fn joined(&self, slice: &Slice, of_ranks: &[Vec<f32>]) -> Vec<f32> {
        unpad(self.tensor(slice.of), &of_ranks.concat())
    }

    /// The part of `values` that a tensor of the plan has room for, of one run of numbers for each image of the batch: all, or
    /// those of the images that the plan holds; of a whole tensor: this rank's slice.
    ///
    /// # Panics
    /// If there are more or fewer numbers than that.
    pub fn own_part<'v, T: Copy + Default>(&self, id: TensorId, values: &'v [T]) -> Cow<'v, [T]> {
        let tensor = self.tensor(id);
        if let Some(Slice { of, numbers }) = &tensor.slice {
            return pad(self.tensor(*of), values)[numbers.clone()].to_vec().into();
        }
        let room = tensor.shape.iter().product::<usize>();
        if values.len() == room {
            return values.into();
        }
        assert_eq!(values.len() * self.images(), room * self.batch, "{} has that many numbers", tensor.name);
        let of_image = values.len() / self.batch;
        values[self.first_image() * of_image..][..room].into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_are_whole_vec4s_and_cover_everything_once() {
        for (numbers, count) in [(64, 4), (68, 3), (4, 3), (8 * 1021, 7)] {
            let of = |share: usize| slice_of(numbers, &Shares { count, held: share..share + 1 });
            assert!((0..count).flat_map(of).eq(0..numbers), "{numbers} in {count}");
            let lengths: Vec<usize> = (0..count).map(|share| of(share).len()).collect();
            assert!(lengths.iter().all(|length| length.is_multiple_of(VEC4)));
            assert!(lengths.iter().max().unwrap() - lengths.iter().min().unwrap() <= VEC4, "{lengths:?}");
        }
        // Two shares of four on one rank.
        assert_eq!(slice_of(68, &Shares::of_rank(4, 1, 2)), 32..68);
    }
}
