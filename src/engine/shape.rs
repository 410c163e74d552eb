//! Sizes of windows that slide over an image.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How a sliding window treats the border (Keras's names).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Padding {
    /// Output size `ceil(input / stride)`; zeros around, the odd one after.
    #[default]
    Same,
    /// Only windows that lie wholly inside.
    Valid,
}

/// One axis of a sliding window: `output` positions, each `stride` apart, `before` padded zeros in front.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Axis {
    pub input: usize,
    pub kernel: usize,
    pub stride: usize,
    pub output: usize,
    pub before: usize,
}

impl Axis {
    /// Keras's rule: `same` pads `max((out-1)*stride + kernel - in, 0)` in all, the smaller half in front;
    /// `valid` drops what does not fill a window (0 positions when the kernel is larger than the input).
    pub fn new(input: usize, kernel: usize, stride: usize, padding: Padding) -> Axis {
        assert!(input > 0 && kernel > 0 && stride > 0, "sizes start at 1");
        let (output, before) = match padding {
            Padding::Same => {
                let output = input.div_ceil(stride);
                let total = ((output - 1) * stride).saturating_add(kernel).saturating_sub(input);
                (output, total / 2)
            }
            Padding::Valid if kernel > input => (0, 0),
            Padding::Valid => ((input - kernel) / stride + 1, 0),
        };
        Axis { input, kernel, stride, output, before }
    }

    /// Taps of the window of one output that do not lie in the padding.
    pub fn taps_inside(&self, output: usize) -> usize {
        let first = output * self.stride;
        let end = (first + self.kernel).min(self.before + self.input);
        end.saturating_sub(first.max(self.before))
    }
}

/// Storage size of an innermost axis: channel counts are padded with zeros to a multiple of four,
/// so that every load and store of a kernel is one `vec4`.
pub const fn padded(channels: usize) -> usize {
    channels.next_multiple_of(4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_padding_puts_the_odd_zero_behind() {
        assert_eq!(Axis::new(224, 3, 1, Padding::Same).before, 1);
        let even = Axis::new(8, 3, 2, Padding::Same);
        assert_eq!((even.output, even.before), (4, 0));
        let odd = Axis::new(9, 3, 2, Padding::Same);
        assert_eq!((odd.output, odd.before), (5, 1));
        assert_eq!(Axis::new(usize::MAX, 3, 1, Padding::Same).output, usize::MAX);
        let larger_than_the_image = Axis::new(1, 5, 1, Padding::Same);
        assert_eq!((larger_than_the_image.output, larger_than_the_image.before), (1, 2));
    }

    #[test]
    fn taps_in_the_padding_do_not_count() {
        let taps = |axis: Axis| (0..axis.output).map(|output| axis.taps_inside(output)).collect::<Vec<_>>();
        assert_eq!(taps(Axis::new(4, 3, 1, Padding::Same)), [2, 3, 3, 2]);
        assert_eq!(taps(Axis::new(1, 5, 1, Padding::Same)), [1]);
        assert_eq!(taps(Axis::new(7, 3, 2, Padding::Valid)), [3, 3, 3]);
    }

    #[test]
    fn valid_padding_ignores_the_rest() {
        assert_eq!(Axis::new(9, 2, 2, Padding::Valid).output, 4);
        assert_eq!(Axis::new(9, 5, 2, Padding::Valid).output, 3);
        assert_eq!(Axis::new(2, 3, 1, Padding::Valid).output, 0);
    }
}
