//! Several processes of one run, which a launcher of MPI started: `mpirun -n 4 ocellus train`.

use super::Launched;
#[cfg(not(feature = "mpi"))]
use crate::error::Error;
use crate::error::Result;

/// Variables in which launchers say how many processes they started: OpenMPI's; MPICH's and MS-MPI's; Slurm's `srun`.
const COUNTS: [&str; 3] = ["OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS"];

/// This process among the others, or None where it is alone.
///
/// # Errors
/// `Error::Input` in a program without the feature `mpi`; `Error::Device` where MPI does not start.
pub fn join() -> Result<Option<Box<dyn Launched>>> {
    match started(|name| std::env::var(name).ok()) {
        0 | 1 => Ok(None),
        count => join_others(count),
    }
}

/// How many processes the launcher started; 0 without one.
fn started(variable: impl Fn(&str) -> Option<String>) -> usize {
    COUNTS.iter().find_map(|name| variable(name)?.trim().parse().ok()).unwrap_or(0)
}

#[cfg(feature = "mpi")]
fn join_others(count: usize) -> Result<Option<Box<dyn Launched>>> {
    let world = super::mpi::World::join(count)?;
    Ok(Some(Box::new(world)))
}

#[cfg(not(feature = "mpi"))]
fn join_others(count: usize) -> Result<Option<Box<dyn Launched>>> {
    Err(Error::Input(format!(
        "a launcher started {count} processes, but this program was built without MPI, so each would train for itself: build it \
         with `sh scripts/setup.sh --mpi && cargo build --release --features mpi`, or start one process"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn launchers_are_known_by_their_variables() {
        let with = |set: &'static [(&str, &str)]| {
            started(move |name| set.iter().find(|(known, _)| *known == name).map(|(_, value)| value.to_string()))
        };
        assert_eq!(with(&[]), 0);
        assert_eq!(with(&[("OMPI_COMM_WORLD_SIZE", "4")]), 4);
        assert_eq!(with(&[("PMI_SIZE", "2"), ("PMI_RANK", "1")]), 2);
        assert_eq!(with(&[("SLURM_STEP_NUM_TASKS", "8")]), 8);
        assert_eq!(with(&[("PMI_SIZE", "")]), 0);
    }
}
