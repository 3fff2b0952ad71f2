//! While another vaultmgr works on the same persist filesystem: that is told, orders are refused, and nothing is read or written there.

use std::io;
use std::sync::mpsc::Receiver;

use anyhow::Context;
use vault::report::State;

use super::away::{status, take};
use super::{Input, Later};
use crate::agents::vaultmgr::hands::alone::{self, Alone};
use crate::agents::vaultmgr::hands::prepare;
use crate::agents::vaultmgr::paths::Paths;
use crate::bus::Bus;
use crate::bus::messages::{OrderError, VaultStatus};

/// Returns once the vaults are this process's alone. No session is published before: nothing is asked of the controller, and this node, which may be
/// the other one too, is not heard twice.
///
/// # Errors
/// The folder of vaults can't be made or opened; or the bus is gone.
pub(super) fn until_alone(
    bus: &Bus,
    paths: &Paths,
    inputs: &Receiver<Input>,
    later: &mut Later,
) -> anyhow::Result<Alone> {
    let mut told = VaultStatus::default();
    loop {
        let words = match taken(paths).context("taking persist/vaults for this node alone")? {
            Ok(alone) => return Ok(alone),
            Err(taken) => taken.waits(),
        };
        let now = VaultStatus { notes: vec![words.clone()], ..status(State::Failed, words.clone()) };
        if told != now {
            tracing::error!("{words}");
            bus.publish(&now);
            told = now;
        }
        take(inputs, later, &told, &OrderError::NotAlone { words })?;
    }
}

/// On a new disk the folder is made, which is no harm to another one that makes it, too.
fn taken(paths: &Paths) -> io::Result<Result<Alone, alone::Taken>> {
    match alone::take(paths) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            prepare::vaults_folder(paths)?;
            alone::take(paths)
        }
        taken => taken,
    }
}
