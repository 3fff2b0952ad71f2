//! The agents but vaultmgr, and how any of them becomes itself: takes what only root can read, builds its walls, joins the bus.

mod certs;
mod client;
mod keep;
mod nim;
mod pause;
mod signer;
mod tpmmgr;
mod zedagent;

use std::path::Path;
use std::sync::mpsc::SyncSender;
use std::thread;
use std::time::Duration;

use anyhow::bail;

use crate::bus::{Agent, Bound, Bus, Subscription, Topic};
use crate::{sandbox, vaultmgr};

/// What the operator of this life asked for.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Between two polls of the configuration.
    pub poll: Duration,
}

/// Lives as `agent` for ever.
///
/// # Errors
/// What makes its life impossible; the supervisor starts it anew.
pub fn live(agent: Agent, root: &Path, supervisor: i32, options: Options) -> anyhow::Result<()> {
    sandbox::prepare_folders(agent, root)?;
    let bound = Bound::bind(root, agent)?;
    let walls = |device: Option<&Path>, port: Option<u16>| -> anyhow::Result<Bus> {
        let applied = sandbox::enter(agent, root, supervisor, device, port)?;
        tracing::info!(landlock = %applied.landlock, memory_locked = applied.memory_locked, "walls are up");
        Ok(bound.join()?)
    };
    match agent {
        Agent::Nim => nim::run(&walls(None, None)?, root),
        Agent::Client => {
            let taken = client::Taken::take(root)?;
            client::run(&walls(None, None)?, root, taken)
        }
        Agent::Zedagent => {
            let known = zedagent::Known::look(root);
            zedagent::run(&walls(None, None)?, root, options, known)
        }
        Agent::Tpmmgr => {
            let taken = tpmmgr::Taken::take(root)?;
            let (device, port) = taken.walls();
            let bus = walls(device.as_deref(), port)?;
            tpmmgr::run(&bus, root, taken)
        }
        Agent::Vaultmgr => vaultmgr::run(root, &walls(None, None)?),
        Agent::Supervisor | Agent::Operator => bail!("{agent} is no process of its own"),
    }
}

/// Passes a topic's values to one thread's events, which come in turn and wait for it: none piles up, and none waits behind
/// more than one of each topic.
fn forward<T: Topic, E: Send + 'static>(
    mut topic: Subscription<T>,
    into: &SyncSender<E>,
    as_event: fn(T) -> E,
) {
    let into = into.clone();
    thread::spawn(move || topic.try_for_each(|value| into.send(as_event(value)).ok()));
}
