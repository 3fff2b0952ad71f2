//! The agents, and how any of them becomes itself. It takes what only root can read (the onboarding key, the device key) while it
//! is root, then builds its walls and gives up its rights, then joins the bus.

mod certs;
mod client;
mod ended;
mod failed;
mod keep;
pub(crate) mod nim;
mod pause;
mod repeats;
mod signer;
mod stopped;
pub(crate) mod tpmmgr;
pub(crate) mod vaultmgr;
pub(crate) mod zedagent;

use std::path::Path;
use std::sync::mpsc::SyncSender;
use std::thread;
use std::time::Duration;

use anyhow::{Context, anyhow};
use disk::Disk;

use crate::bus::{Agent, Bound, Bus, Subscription, Topic};
use crate::sandbox::{self, Unlisted};

pub(crate) use ended::STARTS_ANEW;
pub use ended::{Ended, StartsAnew};

/// Those that count what repeats.
const COUNTS: [Agent; 3] = [Agent::Client, Agent::Zedagent, Agent::Tpmmgr];

/// What the operator of this life asked for.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Between two polls of the configuration.
    pub poll: Duration,
    /// What becomes of a system call that is not on an agent's list.
    pub unlisted: Unlisted,
}

/// Lives as `agent` for ever, on this disk.
///
/// # Errors
/// What makes its life impossible, or what its next life alone can do. The supervisor starts it anew.
pub fn live(
    agent: Agent,
    (disk, root): (&Disk, &Path),
    supervisor: i32,
    options: Options,
) -> Result<(), Ended> {
    sandbox::prepare_folders(agent, root).context("the agent's folders")?;
    let bound = Bound::bind(root, agent).context("the agent's socket")?;
    let walls = |device: Option<&Path>, port: Option<u16>| -> anyhow::Result<Bus> {
        let applied = sandbox::enter(agent, root, supervisor, device, port, options.unlisted)?;
        tracing::info!(landlock = %applied.landlock, memory_locked = applied.memory_locked, "walls are up");
        if COUNTS.contains(&agent) {
            stopped::tells_at_its_stop()?;
        }
        Ok(bound.join()?)
    };
    match agent {
        Agent::Nim => Ok(nim::run(&walls(None, None)?, disk, root)?),
        Agent::Client => {
            let taken = client::Taken::take(disk, root);
            client::run(&walls(None, None)?, root, taken)
        }
        Agent::Zedagent => {
            let known = zedagent::BeforeWalls::look(root);
            zedagent::run(&walls(None, None)?, (disk, root), options, known)
        }
        Agent::Tpmmgr => {
            let taken = tpmmgr::Taken::take(disk, root);
            let (device, port) = taken.walls();
            let bus = walls(device.as_deref(), port)?;
            tpmmgr::run(&bus, disk, root, taken)
        }
        Agent::Vaultmgr => Ok(vaultmgr::run(disk, root, &walls(None, None)?)?),
        Agent::Supervisor | Agent::Operator => Err(anyhow!("{agent} is no process of its own").into()),
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
