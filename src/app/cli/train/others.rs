//! The other processes of a run, where a launcher of MPI started several. One leads: it prepares the data, saves and
//! reports. The others compute, and say nothing unless they fail.

use std::time::Duration;

use super::super::messages;
use crate::app::config::Config;
use crate::engine::collective::{self, Collective, Launched, launch};
use crate::engine::gpu::Choice;
use crate::engine::run::Engine;
use crate::engine::run::process::Process;
use crate::engine::variant::Variant;
use crate::error::{Error, Result};
use crate::notes;

/// Time in which the leading process tells of a fault that all have, and ends the others.
const LEAD: Duration = Duration::from_secs(3);

/// All processes but this one: none, or those that a launcher started.
#[derive(Default)]
pub struct Others(Option<Joined>);

struct Joined {
    launched: Box<dyn Launched>,
    collective: Box<dyn Collective>,
}

impl Others {
    /// Meets the others, if there are any.
    ///
    /// # Errors
    /// As [`launch::join`].
    pub fn join() -> Result<Others> {
        let joined = launch::join()?.map(|launched| Joined { collective: launched.collective(), launched });
        let others = Others(joined);
        if !others.are_led_here() {
            notes::be_mute();
        }
        Ok(others)
    }

    pub fn exist(&self) -> bool {
        self.0.is_some()
    }

    /// Whether this process leads.
    pub fn are_led_here(&self) -> bool {
        self.0.as_ref().is_none_or(|joined| joined.collective.rank() == 0)
    }

    /// How many processes there are with this one; None where a launcher started no others.
    pub fn ranks(&self) -> Option<usize> {
        self.0.as_ref().map(|joined| joined.collective.ranks())
    }

    /// Makes sure that all began alike.
    ///
    /// # Errors
    /// As [`collective::agree`].
    pub fn agree(&mut self, what: &str, own: &str) -> Result<()> {
        self.0.as_mut().map_or(Ok(()), |joined| collective::agree(&mut *joined.collective, what, own))
    }

    /// The settings of the leading process, once its data are ready.
    pub fn config_of_first(&mut self, config: Config) -> Result<Config> {
        let Some(joined) = &mut self.0 else { return Ok(config) };
        let text = joined.collective.of_first(&config.with_absolute_paths()?.to_toml()?)?;
        toml::from_str(&text).map_err(|why| Error::Input(format!("the settings of rank 0: {why}")))
    }

    /// How the leading process computes.
    pub fn variant_of_first(&mut self, variant: Option<Variant>) -> Result<Option<Variant>> {
        let Some(joined) = &mut self.0 else { return Ok(variant) };
        let text = joined.collective.of_first(&serde_json::to_string(&variant).expect("a variant is plain values"))?;
        serde_json::from_str(&text).map_err(|why| Error::Input(format!("the kernels of rank 0: {why}")))
    }

    /// The device of this process: processes of a machine take one after the other.
    pub fn own_of(&self, choices: &[Choice]) -> Option<Choice> {
        self.0.as_ref().map(|joined| choices[joined.launched.local_rank() % choices.len()].clone())
    }

    /// The engine of this process, together with the others.
    ///
    /// # Errors
    /// As [`Process::new`].
    pub fn with(&self, engine: Engine) -> Result<Engine> {
        Ok(match &self.0 {
            Some(joined) => Engine::Process(Box::new(Process::new(engine, joined.launched.collective())?)),
            None => engine,
        })
    }

    /// Ends this process's part. An error ends all processes; the launcher returns its exit status.
    pub fn end(self, result: Result<()>) -> Result<()> {
        let leads = self.are_led_here();
        let Some(Joined { launched, collective }) = self.0 else { return result };
        match result {
            Ok(()) => launched.meet_at_the_end(),
            Err(error) if leads => {
                messages::failed(&error);
                launched.abort(error.exit_status());
            }
            // All stop together, and the leading process saves.
            Err(Error::Interrupted | Error::Stopped(_)) => launched.meet_at_the_end(),
            Err(error) => {
                std::thread::sleep(LEAD);
                let text = format!("{collective:?}: {error}");
                messages::failed_with(&text, error.exit_status());
                launched.abort(error.exit_status());
            }
        }
        Ok(())
    }
}
