//! The receipt of a run, on the device and on the twins.

use crate::common::both::Both;
use crate::common::{device, steps};
use ocellus::app::data::Images;
use ocellus::app::train::feed::Labelled;
use ocellus::engine::bound::unrounded;
use ocellus::engine::gpu::pace::Pace;
use ocellus::engine::gpu::session::Session;
use ocellus::engine::numbers::uniform;
use ocellus::engine::plan::names;
use ocellus::engine::plan::{Layout, Plan};
use ocellus::engine::receipt::{MARKS, RUN, fresh};
use ocellus::engine::run::Engine;
use ocellus::error::Error;
use ocellus::network::compile as plans;
use ocellus::network::tutorial;
use ocellus::network::weights;
use ocellus::ops::receipt;
use ocellus::ops::sum::{self, Parts};

#[test]
fn mark() {
    device::prove("receipt/mark");
    let mut both = Both::load(|| {
        let mut plan = device::plan(device::device().target(), 1, 1);
        let receipt = plan.kept("a receipt", &[4], Layout::Packed);
        receipt::mark(&mut plan, "mark", receipt);
        plan
    });
    both.write("a receipt", &fresh(7.0));
    for marks in 1..=3 {
        both.run();
        let receipt = both.gpu("a receipt");
        assert_eq!((receipt[RUN], receipt[MARKS]), (7.0, marks as f32));
        assert_eq!(receipt, both.twin("a receipt"));
    }
}

/// A plan that computes something, and whose last dispatches mark the receipt so many times.
fn marked(marks: usize) -> Plan {
    let mut plan = device::plan(device::device().target(), 1, 1);
    let input = plan.kept("input", &[4], Layout::Packed);
    let metrics = plan.kept(names::METRICS, &[4], Layout::Packed);
    let receipt = plan.kept(names::RECEIPT, &[4], Layout::Packed);
    let parts = Parts { parts: 1, stride: 4, offset: 0, count: 4 };
    let copy = sum::merge(&plan, "copy", parts, input.into(), metrics.into());
    plan.node("copy", vec![copy], |_| (), unrounded);
    for _ in 0..marks {
        receipt::mark(&mut plan, "mark", receipt);
    }
    plan
}

/// As if a driver had dropped the last dispatch, or done it twice, and reported the run as done.
#[test]
fn a_run_without_its_receipt_is_a_lost_device() {
    let mut session = Session::new(device::device().clone());
    for (marks, whole) in [(0, false), (1, true), (2, false)] {
        let program = session.load(marked(marks)).unwrap();
        for _ in 0..3 {
            let running = session.start(program).unwrap();
            let finished = session.finish(&running);
            assert_eq!(finished.is_ok(), whole, "{marks} marks: {finished:?}");
            if let Err(error) = finished {
                assert!(matches!(error, Error::DeviceLost(_)), "{error}");
                assert!(error.to_string().contains("did not do its work"), "{error}");
            }
        }
    }
}

/// Loss of a training step, its receipt and some weights, and into how many submissions it was cut.
fn train(pace: Option<Pace>) -> (Vec<f32>, Vec<f32>) {
    let (network, batch) = (tutorial(32, 0.0625, 3), 3);
    let unhurried = device::device().target();
    let mut device = device::device().clone();
    device.pace = pace;
    let mut engine = Engine::Gpu(Box::new(Session::new(device)));
    let program = engine.load(plans::training(&network, batch, &unhurried)).unwrap();
    weights::upload(&mut engine, program, &network, &weights::initial(&network, 1));
    engine.write(program, names::CLASS_WEIGHT, &[1.0; 3]);
    engine.write(program, names::RATE, &[1e-3, 0.0, 0.0, 0.0]);
    let pixels = uniform(1, batch * 32 * 32 * 3).into_iter().map(|number| ((number + 1.0) * 127.5) as u8).collect();
    let data = Labelled::new(Images { size: 32.into(), count: batch, pixels }, vec![0, 1, 2]);
    steps::write_batch(&mut engine, program, &data);
    for _ in 0..3 {
        engine.run(program).unwrap();
    }
    let read = |engine: &mut Engine, name| engine.read(program, name).unwrap();
    (read(&mut engine, names::RECEIPT), read(&mut engine, "conv3.kernel"))
}

#[test]
fn a_step_in_many_submissions_computes_the_same() {
    let (whole, weights) = train(None);
    assert_eq!(whole, [2.0, 1.0, 0.0, 0.0], "the third run, in one submission, without a fault");
    let (cut, same) = train(Some(Pace { flops_per_second: 1e9, dispatch_seconds: 1e-4 }));
    println!("{} submissions", cut[MARKS]);
    assert!(cut[RUN] == 2.0 && cut[MARKS] > 5.0, "{cut:?}");
    assert!(weights == same);
}

/// A device of its own is idle but while it works on a run.
#[test]
fn a_device_says_whether_it_has_work() {
    let (network, mut engine) = (tutorial(64, 0.25, 3), steps::device());
    let program = engine.load(plans::training(&network, 3, &engine.target())).unwrap();
    for _ in 0..2 {
        assert_eq!(engine.is_idle(), Some(true));
        let running = engine.start(program);
        assert_eq!(engine.is_idle(), Some(false));
        engine.finish(running).unwrap();
    }
    assert_eq!(engine.is_idle(), Some(true));
}
