//! What a device reports of itself: kept for the operator, and the source of three facts that decisions use:
//! a vault was made, the epoch it is wrapped under, and that a removed one is gone.

use vault::ids::{DeviceId, SectionVersion};
use vault::report::{State, VaultReport};
use wire::info::{DeviceInfo, Info};

use super::{Controller, Refusal};
use crate::store::{DeviceRow, Scope, Tx, UnixSeconds, VaultRow, VaultSaid, VaultStanding};

/// Most bytes of the human words that are kept of one vault, and of the node.
const MAX_WORDS: usize = 4096;

impl Controller {
    /// Takes a report.
    ///
    /// # Errors
    /// [`Refusal`]: it speaks for another device.
    pub async fn info(&self, device: DeviceRow, info: Info, now: UnixSeconds) -> Result<(), Refusal> {
        let Info::Device(info) = info else { return Ok(()) };
        if info.device != device.id {
            return Err(Refusal::Forbidden {
                problem: "the report is of another device than the one that signed it".into(),
                advice: "report for this device only".into(),
            });
        }
        let (id, info) = (device.id, kept(*info));
        self.store.write(Scope::Device(id), |tx| Box::pin(self.keep_report(tx, id, &info, now))).await
    }

    async fn keep_report(
        &self,
        tx: &mut dyn Tx,
        device: DeviceId,
        info: &DeviceInfo,
        now: UnixSeconds,
    ) -> Result<(), Refusal> {
        let rows = tx.vaults(device).await?;
        let before = tx.device(device).await?.and_then(|row| row.report);
        tx.put_report(device, &super::show::node_json(info, &rows, before.as_deref(), now), now).await?;
        let accepted = info.node.as_ref().and_then(|node| node.accepted);
        for row in rows {
            self.fold(tx, row, info, accepted, now).await?;
        }
        Ok(())
    }

    async fn fold(
        &self,
        tx: &mut dyn Tx,
        row: VaultRow,
        info: &DeviceInfo,
        accepted: Option<SectionVersion>,
        now: UnixSeconds,
    ) -> Result<(), Refusal> {
        let report =
            info.vaults.iter().filter_map(|line| line.report.as_ref()).find(|report| report.id == row.id);
        if row.standing == VaultStanding::Gone {
            return self.bury(tx, &row, report, accepted).await;
        }
        match report {
            Some(report) => Ok(tx.report_vault(row.device, row.id, &said(report, now)).await?),
            None => Ok(()),
        }
    }

    /// A vault that left the list is forgotten once the node has accepted a list without it and does not hold it any more.
    async fn bury(
        &self,
        tx: &mut dyn Tx,
        row: &VaultRow,
        report: Option<&VaultReport>,
        accepted: Option<SectionVersion>,
    ) -> Result<(), Refusal> {
        let held = report.is_some_and(|report| report.state != State::Removed);
        let knows = accepted.is_some_and(|at| {
            at.incarnation == self.incarnation && row.left_version.is_some_and(|left| at.version >= left)
        });
        if knows && !held { Ok(tx.drop_vault(row.device, row.id).await?) } else { Ok(()) }
    }
}

/// A report as it is kept: of human words no more than a reader looks at.
fn kept(mut info: DeviceInfo) -> DeviceInfo {
    for report in info.vaults.iter_mut().filter_map(|line| line.report.as_mut()) {
        shorten(&mut report.detail);
    }
    if let Some(node) = &mut info.node {
        shorten(&mut node.notes);
    }
    info
}

fn shorten(lines: &mut Vec<String>) {
    let mut room = MAX_WORDS;
    lines.retain(|line| {
        let fits = line.len() <= room;
        room = if fits { room - line.len() } else { 0 };
        fits
    });
}

fn said(report: &VaultReport, now: UnixSeconds) -> VaultSaid {
    VaultSaid {
        created: report.created,
        made_anew: report.created && matches!(report.state, State::Unlocked | State::Locked),
        epoch: report.epoch,
        report: serde_json::to_string(report).ok(),
        at: now,
    }
}
