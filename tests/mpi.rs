//! Runs of several processes, which a launcher of MPI starts. The launcher is the one in PATH, or MPIRUN names it; it must be
//! of the library that the program was built with.
//!
//! `OCELLUS_MPI_KILLS` sets how often a rank is killed; it is a few times in any case.
#![cfg(target_os = "linux")]

use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use ocellus::app::checkpoint;
use ocellus::app::train::files;
use tempfile::TempDir;

/// The built-in set in small. Tests run one after the other: several runs of four processes at once take long.
static DATA: LazyLock<TempDir> = LazyLock::new(|| {
    let folder = tempfile::tempdir().unwrap();
    let drawn = ocellus(&["synth", "--images", "60", "--size", "32", path(folder.path())]).output().unwrap();
    assert!(drawn.status.success(), "{drawn:?}");
    // The tables of the splits, which ranks that were started at once would make at once.
    let made = ocellus(&["prepare", path(folder.path())]).output().unwrap();
    assert!(made.status.success(), "{made:?}");
    folder
});

/// Longer than a rank that says nothing is waited for.
const LONGEST: Duration = Duration::from_secs(60);

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn ocellus(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ocellus"));
    let cache = std::env::temp_dir().join("ocellus-mpi-cache");
    command.args(arguments).env("OCELLUS_CACHE", cache);
    command
}

fn small<'a>(out: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let small = [
        "train",
        "--data",
        path(DATA.path()),
        "--image-size",
        "32",
        "--width",
        "0.125",
        "--batch",
        "8",
        "--epochs",
        "3",
        "--out",
        out,
    ];
    small.iter().chain(more).copied().collect()
}

/// `count` processes with the same arguments.
fn launched(count: usize, arguments: &[&str]) -> Command {
    launched_each(&[(count, arguments)])
}

/// So many processes with these arguments, so many with others.
fn launched_each(parts: &[(usize, &[&str])]) -> Command {
    let mut command = Command::new(std::env::var("MPIRUN").unwrap_or("mpirun".into()));
    command.envs([("OMPI_ALLOW_RUN_AS_ROOT", "1"), ("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1")]);
    // More processes than cores; containers often forbid that one reads another's memory.
    command.envs([("OMPI_MCA_rmaps_base_oversubscribe", "1"), ("OMPI_MCA_btl_vader_single_copy_mechanism", "none")]);
    for (index, (count, arguments)) in parts.iter().enumerate() {
        let program = ocellus(arguments);
        command.args((index > 0).then_some(":")).args(["-n", &count.to_string()]);
        command.arg(program.get_program()).args(program.get_args());
        command.envs(program.get_envs().map(|(name, value)| (name, value.unwrap())));
    }
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn succeed(mut command: Command) -> String {
    let Output { status, stderr, .. } = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let said = String::from_utf8_lossy(&stderr).into_owned();
    assert!(status.success(), "{command:?}: {status}\n{said}");
    said
}

/// What it said, and how it ended. A program that hangs fails.
fn ended(mut child: Child) -> (bool, String) {
    let began = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if began.elapsed() > LONGEST {
            let _ = child.kill();
            panic!("still there after {LONGEST:?}");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let output = child.wait_with_output().unwrap();
    (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
}

/// Names and bits of all tensors of a run's state.
fn bits(run: &Path) -> Vec<(String, Vec<u32>)> {
    let (tensors, metadata) = checkpoint::load(&run.join(files::STATE)).unwrap();
    assert!(metadata.training.is_some_and(|training| training.history.len() == 3));
    tensors.into_iter().map(|one| (one.name, one.data.into_iter().map(f32::to_bits).collect())).collect()
}

/// The same run by one process, with the cut that the other recorded.
fn repeated(run: &Path) -> Vec<(String, Vec<u32>)> {
    let folder = tempfile::tempdir().unwrap();
    let (config, out) = (run.join(files::CONFIG), folder.path().join("run"));
    succeed(ocellus(&["train", "--config", path(&config), "--out", path(&out)]));
    bits(&out)
}

fn assert_same(ours: &[(String, Vec<u32>)], theirs: &[(String, Vec<u32>)]) {
    assert!(ours.len() > 50 && ours.len() == theirs.len());
    for ((name, bits), (other, of_other)) in ours.iter().zip(theirs) {
        assert!(name == other && bits == of_other, "{name} differs");
    }
}

/// Process numbers of the program's ranks, in no order.
fn ranks_of(launcher: &Child) -> Vec<i32> {
    let name = |process: i32| std::fs::read_to_string(format!("/proc/{process}/comm")).unwrap_or_default();
    let mut parents = vec![launcher.id() as i32];
    let mut ranks = Vec::new();
    while let Some(parent) = parents.pop() {
        let children = std::fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).unwrap_or_default();
        for child in children.split_whitespace().map(|child| child.parse().unwrap()) {
            parents.push(child);
            if name(child).trim() == "ocellus" {
                ranks.push(child);
            }
        }
    }
    ranks
}

/// A run of four processes that has begun, and its folder.
fn begun(out: &Path) -> (Child, Vec<i32>) {
    let child = launched(4, &small(path(out), &[])).spawn().unwrap();
    let began = Instant::now();
    while !out.join(files::STATE).exists() {
        assert!(began.elapsed() < LONGEST, "the run has not begun");
        std::thread::sleep(Duration::from_millis(5));
    }
    let ranks = ranks_of(&child);
    assert_eq!(ranks.len(), 4);
    (child, ranks)
}

/// Waits for processes that the launcher has killed: they may outlive it by a moment, with the lock of the run's folder.
fn gone(ranks: &[i32]) {
    let began = Instant::now();
    while ranks.iter().any(|rank| Path::new(&format!("/proc/{rank}")).exists()) {
        assert!(began.elapsed() < LONGEST, "ranks outlive their launcher");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn signal(process: i32, signal: i32) {
    // SAFETY: it takes two numbers.
    unsafe { libc::kill(process, signal) };
}

#[test]
fn two_and_four_processes_have_the_bits_of_one() {
    let folder = tempfile::tempdir().unwrap();
    for count in [2, 4] {
        let run = folder.path().join(count.to_string());
        let said = succeed(launched(count, &small(path(&run), &[])));
        assert_eq!(said.matches("Epoch 3/3").count(), 2, "one process alone says where the run is: {said}");
        assert!(run.join(files::REPORT).is_file() && run.join(files::CARD).is_file());
        assert_same(&bits(&run), &repeated(&run));
    }
}

/// The built-in set is drawn once, into the first free folder, which one process chooses.
#[test]
fn the_built_in_set_and_a_free_folder() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = launched(2, &["train", "--fast-dev-run", "--image-size", "32", "--width", "0.03"]);
    command.current_dir(folder.path());
    succeed(command);
    let runs: Vec<_> = std::fs::read_dir(folder.path().join("runs")).unwrap().collect();
    assert_eq!(runs.len(), 1);
}

#[test]
fn ranks_with_other_settings_are_refused_before_anything_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let [one, other] = [small(path(&out), &[]), small(path(&out), &["--lr", "0.5"])];
    let (succeeded, said) = ended(launched_each(&[(1, &one), (1, &other)]).spawn().unwrap());
    assert!(!succeeded && said.contains("rank 1 has other settings than rank 0: `lr = 0.5` and not `lr = "), "{said}");
    assert!(!out.exists());
}

#[test]
fn a_fault_is_told_once() {
    let (succeeded, said) = ended(launched(2, &["train", "--data", "/nowhere"]).spawn().unwrap());
    assert!(!succeeded);
    assert_eq!(said.matches("error: ").count(), 1, "{said}");
}

/// A rank is killed at some moment; the run goes on from its state, on four processes or one, to the same bits.
#[test]
fn a_rank_that_is_killed_costs_nothing_but_time() {
    let folder = tempfile::tempdir().unwrap();
    let whole = folder.path().join("whole");
    succeed(launched(4, &small(path(&whole), &[])));
    let kills = std::env::var("OCELLUS_MPI_KILLS").map_or(3, |kills| kills.parse().unwrap());
    let mut interrupted = 0;
    for kill in 0..kills {
        let run = folder.path().join(kill.to_string());
        let (child, ranks) = begun(&run);
        // Moments that are spread over the run, which takes a second or so, and never the same.
        std::thread::sleep(Duration::from_millis(137 * kill as u64 % 1500));
        signal(ranks[kill % 4], libc::SIGKILL);
        let (succeeded, _) = ended(child);
        gone(&ranks);
        interrupted += usize::from(!succeeded);
        let resume = ["train", "--resume", path(&run), "--epochs", "3"];
        match kill % 2 {
            0 => succeed(launched(4, &resume)),
            _ => succeed(ocellus(&resume)),
        };
        assert_same(&bits(&run), &bits(&whole));
    }
    assert!(interrupted > kills / 2, "{interrupted} of {kills} runs were interrupted");
}

/// A process that is stopped would have the others wait without end.
#[test]
fn a_rank_that_hangs_ends_all_with_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let (child, ranks) = begun(&folder.path().join("run"));
    signal(ranks[1], libc::SIGSTOP);
    let (succeeded, said) = ended(child);
    assert!(!succeeded && said.contains("has given no sign of life for 30 s"), "{said}");
}

#[test]
fn a_launcher_that_is_asked_to_stop_leaves_a_whole_state() {
    let folder = tempfile::tempdir().unwrap();
    let (whole, run) = (folder.path().join("whole"), folder.path().join("run"));
    succeed(launched(4, &small(path(&whole), &[])));
    let (child, ranks) = begun(&run);
    signal(child.id() as i32, libc::SIGTERM);
    let (succeeded, said) = ended(child);
    gone(&ranks);
    assert!(!succeeded, "{said}");
    succeed(launched(2, &["train", "--resume", path(&run)]));
    assert_same(&bits(&run), &bits(&whole));
}
