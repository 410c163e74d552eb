//! Progress of an epoch, on standard error: Keras's bar on a terminal; elsewhere (a file, a pipe, a
//! job's log) whole lines without control characters, or JSON objects.

use std::io::Write;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use serde_json::json;

use crate::app::train::history::EpochRecord;
use crate::notes;

/// How often a line is written where there is no bar.
const BETWEEN_LINES: Duration = Duration::from_secs(10);

/// How often an object is written, beside one for the last step of each epoch.
const BETWEEN_OBJECTS: Duration = Duration::from_secs(1);

/// The progress of one epoch.
pub struct EpochProgress {
    step: usize,
    steps: usize,
    /// Share of the time spent in exchanges; None where one device computes.
    exchange_wait: Option<f64>,
    output: Output,
}

enum Output {
    Bar(ProgressBar),
    Lines { out: Box<dyn Write + Send>, epoch: String, last: Instant },
    Objects { epoch: usize, last: Instant },
    Nothing,
}

impl EpochProgress {
    /// `epoch` counts from 1 to `epochs`; `steps` is the number of training steps it takes.
    pub fn start(epoch: usize, epochs: usize, steps: usize) -> EpochProgress {
        if notes::are_json() {
            return EpochProgress::new(steps, Output::Objects { epoch, last: Instant::now() });
        }
        if notes::are_quiet() {
            return EpochProgress::new(steps, Output::Nothing);
        }
        let terminal = ProgressDrawTarget::stderr();
        if terminal.is_hidden() {
            return EpochProgress::lines(Box::new(std::io::stderr()), epoch, epochs, steps);
        }
        EpochProgress::bar(terminal, epoch, epochs, steps)
    }

    fn new(steps: usize, output: Output) -> EpochProgress {
        EpochProgress { step: 0, steps, exchange_wait: None, output }
    }

    fn bar(terminal: ProgressDrawTarget, epoch: usize, epochs: usize, steps: usize) -> EpochProgress {
        let bar = ProgressBar::with_draw_target(Some(steps as u64), terminal);
        bar.println(format!("Epoch {epoch}/{epochs}"));
        // What does not fit the terminal is cut while it changes all the time; the last line then wraps.
        bar.set_style(style("ETA: {time_left} - {wide_msg}"));
        bar.tick();
        EpochProgress::new(steps, Output::Bar(bar))
    }

    /// Lines, whatever `out` is.
    pub fn lines(mut out: Box<dyn Write + Send>, epoch: usize, epochs: usize, steps: usize) -> EpochProgress {
        let epoch = format!("Epoch {epoch}/{epochs}");
        show(&mut out, &format!("{epoch}: {}", if steps == 1 { "1 step".into() } else { format!("{steps} steps") }));
        EpochProgress::new(steps, Output::Lines { out, epoch, last: Instant::now() })
    }

    /// Steps that a resumed epoch has already done.
    pub fn skip(&mut self, steps: usize) {
        self.step = steps;
        if let Output::Bar(bar) = &self.output {
            bar.set_position(steps as u64);
            // The time left is then reckoned from the steps still to be seen.
            bar.reset_eta();
        }
    }

    /// Share of the epoch's time so far, 0..1, that went into exchanges with other devices.
    pub fn exchange_wait(&mut self, share: f64) {
        self.exchange_wait = Some(share);
    }

    /// The shares of time that are shown, each after its name.
    fn waits(&self, data_wait: f64) -> String {
        let exchange = self.exchange_wait.map(|share| format!(" - exchange wait {:.1}%", 100.0 * share));
        format!("data wait {:.1}%{}", 100.0 * data_wait, exchange.unwrap_or_default())
    }

    /// One more step is done. `loss` and `accuracy` are the epoch's means so far, `data_wait` is a share, 0..1.
    pub fn step(&mut self, loss: f64, accuracy: f64, images_per_second: f64, data_wait: f64) {
        self.step += 1;
        let (step, steps) = (self.step, self.steps);
        let numbers = format!(
            "loss: {loss:.4} - accuracy: {accuracy:.4} - {images_per_second:.0} images/s - {}",
            self.waits(data_wait)
        );
        match &mut self.output {
            Output::Bar(bar) => {
                bar.set_message(numbers);
                bar.set_position(step as u64);
            }
            Output::Lines { out, epoch, last } => {
                if last.elapsed() >= BETWEEN_LINES && step < steps {
                    show(out, &format!("{epoch}: {step}/{steps} - {numbers}"));
                    *last = Instant::now();
                }
            }
            Output::Objects { epoch, last } => {
                if last.elapsed() >= BETWEEN_OBJECTS || step == steps {
                    let mut step = json!({
                        "epoch": epoch, "step": step, "steps": steps, "loss": loss, "accuracy": accuracy,
                        "images_per_second": images_per_second, "data_wait": data_wait,
                    });
                    if let Some(share) = self.exchange_wait {
                        step["exchange_wait"] = share.into();
                    }
                    notes::event("info", "step", &step);
                    *last = Instant::now();
                }
            }
            Output::Nothing => {}
        }
    }

    /// The epoch and its validation are over.
    pub fn finish(self, record: &EpochRecord) {
        let EpochRecord { loss, accuracy, val_loss, val_accuracy, lr, images_per_second, data_wait, .. } = record;
        let per_step = record.seconds / self.steps.max(1) as f64;
        let time = format!("{:.0}s {}/step", record.seconds, duration(per_step));
        let numbers = format!(
            "loss: {loss:.4} - accuracy: {accuracy:.4} - val_loss: {val_loss:.4} - val_accuracy: {val_accuracy:.4} - \
             lr: {lr:.1e} - {images_per_second:.0} images/s - {}",
            self.waits(*data_wait)
        );
        match self.output {
            Output::Bar(bar) => {
                bar.set_style(style(&format!("{time} - {{msg}}")));
                bar.finish_with_message(numbers);
            }
            Output::Lines { mut out, epoch, .. } => show(&mut out, &format!("{epoch}: {time} - {numbers}")),
            Output::Objects { .. } => notes::event("info", "epoch", &record.to_json()),
            Output::Nothing => {}
        }
    }
}

/// A closed pipe must not end a training run.
fn show(out: &mut dyn Write, line: &str) {
    let _ = writeln!(out, "{line}");
}

/// Keras's bar, followed by `rest`, a template.
fn style(rest: &str) -> ProgressStyle {
    let time_left = |state: &ProgressState, out: &mut dyn std::fmt::Write| {
        // The trait leaves no way to report an error, and a String takes everything.
        let _ = out.write_str(&clock(state.eta()));
    };
    ProgressStyle::with_template(&format!("{{pos}}/{{len}} [{{bar:30}}] - {rest}"))
        .expect("a constant template")
        .with_key("time_left", time_left)
        .progress_chars("=>.")
}

/// `0:07`, `12:34` or `1:02:03`.
fn clock(time: Duration) -> String {
    let seconds = time.as_secs();
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{seconds:02}") } else { format!("{minutes}:{seconds:02}") }
}

/// Of a step: `1.50s` or `25ms`.
fn duration(seconds: f64) -> String {
    if seconds >= 1.0 { format!("{seconds:.2}s") } else { format!("{:.0}ms", 1e3 * seconds) }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::app::bars::terminal::Terminal;

    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl Write for Log {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Log {
        fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    fn record() -> EpochRecord {
        EpochRecord {
            epoch: 3,
            loss: 1.23456,
            accuracy: 0.5,
            val_loss: f64::NAN,
            val_accuracy: 0.25,
            lr: 0.2 * 1e-3,
            seconds: 14.2,
            images_per_second: 61.4,
            data_wait: 0.004,
        }
    }

    #[test]
    fn several_devices_show_what_they_wait_for_each_other() {
        let log = Log::default();
        let mut progress = EpochProgress::lines(Box::new(log.clone()), 3, 300, 1);
        progress.exchange_wait(0.1234);
        progress.step(1.0, 0.5, 61.0, 0.0);
        progress.finish(&record());
        assert!(log.text().ends_with("- data wait 0.4% - exchange wait 12.3%\n"), "{}", log.text());
    }

    #[test]
    fn a_short_epoch_is_two_plain_lines() {
        let log = Log::default();
        let mut progress = EpochProgress::lines(Box::new(log.clone()), 3, 300, 35);
        for _ in 0..35 {
            progress.step(1.0, 0.5, 61.0, 0.0);
        }
        progress.finish(&record());
        assert_eq!(
            log.text(),
            "Epoch 3/300: 35 steps\n\
             Epoch 3/300: 14s 406ms/step - loss: 1.2346 - accuracy: 0.5000 - val_loss: NaN - val_accuracy: 0.2500 - \
             lr: 2.0e-4 - 61 images/s - data wait 0.4%\n"
        );
    }

    #[test]
    fn a_long_epoch_says_now_and_then_how_far_it_is() {
        let log = Log::default();
        let mut progress = EpochProgress::lines(Box::new(log.clone()), 1, 2, 35);
        progress.skip(10);
        progress.step(1.5, 0.5, 61.0, 0.125);
        let Output::Lines { last, .. } = &mut progress.output else { panic!("lines were asked for") };
        *last -= BETWEEN_LINES;
        progress.step(1.25, 0.5, 61.4, 0.125);
        progress.step(1.0, 0.5, 61.0, 0.125);
        assert_eq!(
            log.text(),
            "Epoch 1/2: 35 steps\n\
             Epoch 1/2: 12/35 - loss: 1.2500 - accuracy: 0.5000 - 61 images/s - data wait 12.5%\n"
        );
    }

    #[test]
    fn times_are_written_as_keras_does() {
        let text = [7, 754, 3723].map(|seconds| clock(Duration::from_secs(seconds)));
        assert_eq!(text, ["0:07", "12:34", "1:02:03"]);
        assert_eq!([duration(1.5), duration(0.0254)], ["1.50s", "25ms"]);
    }

    #[test]
    fn on_a_terminal_it_is_kerass_bar() {
        let terminal = Terminal::default();
        // No limit to how often it is drawn: each step shows.
        let target = ProgressDrawTarget::term_like(Box::new(terminal.clone()));
        let mut progress = EpochProgress::bar(target, 3, 300, 40);
        progress.skip(19);
        progress.step(1.2345, 0.5123, 61.0, 0.0);
        let shown = terminal.text();
        assert!(shown.starts_with("Epoch 3/300"), "{shown:?}");
        let bar = "20/40 [===============>..............] - ETA: 0:";
        assert!(shown.contains(bar), "{shown:?}");
        let numbers = " - loss: 1.2345 - accuracy: 0.5123 - 61 images/s - data wait 0.0%";
        assert!(shown.contains(numbers), "{shown:?}");

        progress.step = 40;
        progress.finish(&record());
        let shown = terminal.text();
        let last = "40/40 [==============================] - 14s 355ms/step - loss: 1.2346 - accuracy: 0.5000";
        assert!(shown.contains(last), "{shown:?}");
    }
}
