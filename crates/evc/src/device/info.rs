//! What a device reports of itself: kept for the operator, and the source of three facts that decisions use:
//! a vault was made, the epoch it is wrapped under, and that a removed one is gone.

use vault::ids::{DeviceId, SectionVersion};
use vault::life::{Contact, Life, Listed};
use vault::report::VaultReport;
use wire::info::{DeviceInfo, Info};

use crate::fleet::life::life;
use crate::service::{Barred, Controller, Fault, Refusal, Stale};
use crate::store::{DeviceRow, Scope, Tx, UnixSeconds, VaultRow, VaultSaid};

/// Most bytes of the human words that are kept of one vault, and of the node.
const MAX_WORDS: usize = 4096;

impl Controller {
    /// Takes a report.
    ///
    /// # Errors
    /// [`Refusal`]: it speaks for another device.
    pub async fn info(&self, id: DeviceId, info: Info, now: UnixSeconds) -> Result<(), Refusal> {
        let Info::Device(info) = info else { return Ok(()) };
        if info.device != id {
            return Err(Barred::OthersReport.into());
        }
        let info = kept(*info);
        self.store.write(Scope::Device(id), |tx| Box::pin(self.keep_report(tx, id, &info, now))).await
    }

    async fn keep_report(
        &self,
        tx: &mut dyn Tx,
        device: DeviceId,
        info: &DeviceInfo,
        now: UnixSeconds,
    ) -> Result<(), Refusal> {
        let row = tx.device(device).await?.ok_or(Fault::NoDevice)?;
        let standing = tx.standing(device).await?.map(|row| row.session);
        let place = place(tx, info, &row, standing).await?;
        let rows = tx.vaults(device).await?;
        let report = crate::fleet::reported::node_report(info, &rows, row.report.take(), now);
        tx.put_report(device, &report, now).await?;
        let Some((session, counter)) = place else { return Ok(()) };
        tx.put_report_place(device, &session, counter).await?;
        tx.proved_device(device, now).await?;
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
        match (life(&row)?, report) {
            (Life::Gone(gone), report) => {
                let said = Contact { accepted, state: report.map(|report| report.state) };
                if gone.forget(self.incarnation, said).is_ok() {
                    tx.drop_vault(row.device, row.id).await?;
                }
            }
            (Life::Listed(vault), Some(report)) => {
                tx.report_vault(row.device, row.id, &said(&vault.hear(report), report, now)).await?;
            }
            (Life::Listed(_), None) => {}
        }
        Ok(())
    }
}

/// A report's session and its number in it, where that is the session whose evidence stands: then its facts count. What a session says that
/// gave no evidence is shown, and no more.
///
/// # Errors
/// It is of a session that another one followed, or not newer than one that was taken: somebody sends it again.
async fn place(
    tx: &mut dyn Tx,
    info: &DeviceInfo,
    device: &DeviceRow,
    standing: Option<[u8; 32]>,
) -> Result<Option<([u8; 32], u64)>, Refusal> {
    let Some((session, counter)) = info.node.as_ref().and_then(|node| Some((node.session?.0, node.counter)))
    else {
        return Ok(None);
    };
    if tx.past_session(device.id, &session).await?.is_some() {
        return Err(Stale::Session.into());
    }
    match device.reported {
        Some((last, taken)) if last == session && counter <= taken => Err(Stale::Report.into()),
        _ => Ok(Some((session, counter)).filter(|_| standing == Some(session))),
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

fn said(vault: &Listed, report: &VaultReport, now: UnixSeconds) -> VaultSaid {
    VaultSaid {
        created: vault.made,
        recreate: vault.recreate,
        epoch: vault.taken,
        report: report.clone(),
        at: now,
    }
}
