//! Progress bars on standard error, where it is a terminal.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::notes;

/// A bar for work that is counted in files or rows; silent when not on a terminal.
pub fn file_bar(what: &str, total: usize) -> ProgressBar {
    styled(ProgressBar::with_draw_target(Some(total as u64), target()), what)
}

fn styled(bar: ProgressBar, what: &str) -> ProgressBar {
    let style = ProgressStyle::with_template("{msg} {bar:30} {pos}/{len} ({eta})").expect("the template is valid");
    bar.with_style(style).with_message(what.to_string())
}

fn target() -> ProgressDrawTarget {
    if notes::are_quiet() || notes::are_json() { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() }
}

/// Time from which on work has a bar that is quick as a rule.
const LONG: Duration = Duration::from_secs(1);
/// Counts between two looks at the clock.
const STRIDE: u64 = 1024;

/// Bars that may be there at the same time, below each other.
static LONG_BARS: LazyLock<MultiProgress> = LazyLock::new(|| MultiProgress::with_draw_target(target()));

/// A bar for work on a table, from any thread. It comes when the work has taken a second, and goes when it is dropped.
pub struct LongBar<'a> {
    bars: &'a MultiProgress,
    bar: ProgressBar,
    begun: Instant,
    after: Duration,
    count: AtomicU64,
    shown: AtomicBool,
}

impl LongBar<'_> {
    /// A bar that ends at `total`.
    pub fn new(what: &str, total: usize) -> LongBar<'static> {
        LongBar::among(&LONG_BARS, LONG, what, total)
    }

    fn among<'a>(bars: &'a MultiProgress, after: Duration, what: &str, total: usize) -> LongBar<'a> {
        let bar = styled(ProgressBar::with_draw_target(Some(total as u64), ProgressDrawTarget::hidden()), what);
        let (count, shown) = (AtomicU64::new(0), AtomicBool::new(false));
        LongBar { bars, bar, begun: Instant::now(), after, count, shown }
    }

    /// So many more are done.
    pub fn add(&self, more: usize) {
        let (more, before) = (more as u64, self.count.fetch_add(more as u64, Ordering::Relaxed));
        if before / STRIDE == (before + more) / STRIDE || self.begun.elapsed() < self.after {
            return;
        }
        if !self.shown.swap(true, Ordering::Relaxed) {
            self.bars.add(self.bar.clone());
        }
        self.bar.set_position(before + more);
    }
}

impl Drop for LongBar<'_> {
    fn drop(&mut self) {
        if *self.shown.get_mut() {
            self.bar.finish_and_clear();
            self.bars.remove(&self.bar);
        }
    }
}

#[cfg(test)]
pub(super) mod terminal {
    use std::io;
    use std::sync::{Arc, Mutex};

    use indicatif::TermLike;

    /// A terminal of 120 columns that keeps what is written to it.
    #[derive(Clone, Debug, Default)]
    pub struct Terminal(Arc<Mutex<String>>);

    impl Terminal {
        pub fn text(&self) -> String {
            self.0.lock().unwrap().clone()
        }

        fn add(&self, text: &str) -> io::Result<()> {
            self.0.lock().unwrap().push_str(text);
            Ok(())
        }
    }

    impl TermLike for Terminal {
        fn width(&self) -> u16 {
            120
        }
        fn move_cursor_up(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn move_cursor_down(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn move_cursor_right(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn move_cursor_left(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn write_line(&self, text: &str) -> io::Result<()> {
            self.add(&format!("{text}\n"))
        }
        fn write_str(&self, text: &str) -> io::Result<()> {
            self.add(text)
        }
        fn clear_line(&self) -> io::Result<()> {
            self.add("\n")
        }
        fn flush(&self) -> io::Result<()> {
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::terminal::Terminal;
    use super::*;

    /// Writes to a terminal while two bars are there, and when they go.
    fn written(after: Duration) -> [String; 2] {
        let terminal = Terminal::default();
        let bars = MultiProgress::with_draw_target(ProgressDrawTarget::term_like(Box::new(terminal.clone())));
        let [one, two] = ["Rows of train.csv", "Rows of val.csv"].map(|what| LongBar::among(&bars, after, what, 5000));
        (0..2000).for_each(|_| one.add(1));
        two.add(4000);
        let during = terminal.text();
        drop((one, two));
        let end = terminal.text()[during.len()..].to_string();
        [during, end]
    }

    #[test]
    fn long_work_has_a_bar_that_goes() {
        let [during, end] = written(Duration::ZERO);
        for shown in ["Rows of train.csv ", " 1024/5000 ", "Rows of val.csv ", " 4000/5000 "] {
            assert!(during.contains(shown), "{during}");
        }
        assert!(!end.is_empty(), "they are cleared");
        assert!(!end.trim_end().ends_with("/5000"), "{end:?}");
    }

    #[test]
    fn quick_work_has_no_bar() {
        assert_eq!(written(Duration::from_secs(3600)), ["", ""]);
    }
}
