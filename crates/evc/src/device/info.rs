//! What a device reports of itself: kept for the operator, and the source of three facts that decisions use:
//! a vault was made, the epoch it is wrapped under, and that a removed one is gone.

use ::attest::SessionKey;
use vault::decide::BundleNeeded;
use vault::device::{Heard, Place, Said};
use vault::ids::{DeviceId, SectionVersion};
use vault::ledger::held_back;
use vault::life::{Contact, InForce, Life, ListOf, Listed, WentOut};
use vault::report::VaultReport;
use vault::section::Custody;
use vault::text::fit_together;
use wire::info::{DeviceInfo, Info};

use crate::custody::{forget_vault, unopened};
use crate::device::chain::past;
use crate::fleet::life::life;
use crate::fleet::reported;
use crate::fleet::section::draft_without;
use crate::fleet::view::View;
use crate::service::{Barred, Controller, Fault, Refusal, Stale};
use crate::store::{
    DeviceReport, DeviceRow, ReleaseRow, Scope, StoreError, Stored, Tx, UnixSeconds, VaultRow, VaultSaid,
    readable,
};

/// Most bytes of the human words that are kept of one vault, and of the node.
const MAX_WORDS: usize = 4096;

/// What a device says of itself, as it is kept; nothing: it speaks of something else.
///
/// # Errors
/// [`Barred::OthersReport`].
pub(super) fn of_device(info: Info, id: DeviceId) -> Result<Option<DeviceInfo>, Barred> {
    match info {
        Info::Device(info) if info.device != id => Err(Barred::OthersReport),
        Info::Device(info) => Ok(Some(kept(*info))),
        _ => Ok(None),
    }
}

impl Controller {
    /// Takes a report.
    ///
    /// # Errors
    /// [`Refusal`]: it speaks for another device.
    pub async fn info(&self, id: DeviceId, info: Info, now: UnixSeconds) -> Result<(), Refusal> {
        let Some(info) = of_device(info, id)? else { return Ok(()) };
        self.store.write(Scope::Device(id), |tx| Box::pin(self.keep_report(tx, id, &info, now))).await
    }

    pub(super) async fn keep_report(
        &self,
        tx: &mut dyn Tx,
        device: DeviceId,
        info: &DeviceInfo,
        now: UnixSeconds,
    ) -> Result<(), Refusal> {
        let row = tx.device(device).await?.ok_or(Fault::NoDevice)?;
        let stands = tx.standing(device).await?.map(|row| SessionKey(row.session));
        let heard = heard(tx, info, &row, stands).await?;
        let place = if let Heard::Facts(place) = heard { Some(place) } else { None };
        // Of a row that does not read nothing is heard: it stays as it is.
        let rows = readable(tx.vaults_listed(device).await?);
        if place.is_some() {
            self.hear_drill(tx, &row, info, now).await?;
        }
        let before = row.report.take();
        let known = before.as_ref().and_then(|before| before.measured);
        // What a session says that gave no evidence is not of the boot that was judged.
        let said = place.and(info.node.as_ref()).and_then(|node| node.measured);
        if (known, said) == (Some(true), Some(false)) {
            // What was shown before that is of another state of the TPM.
            tx.renew_standing(device).await?;
        }
        let repeated = match place {
            Some(_) => Some(reported::repeated(info, &rows, now)),
            None => before.as_ref().and_then(|before| before.repeated.clone()),
        };
        let report = DeviceReport {
            measured: said.or(known),
            ..reported::node_report(info, &rows, before.clone(), repeated, now)
        };
        let report = match heard {
            Heard::Facts(_) | Heard::Word => report,
            Heard::Shown => reported::undecided(report, before.clone()),
        };
        tx.put_report(device, &report, now).await?;
        let Some(Place { session, number }) = place else { return Ok(()) };
        keep_ages(tx, &rows, before.as_ref(), &report).await?;
        tx.put_report_place(device, &session.0, number).await?;
        tx.proved_device(device, now).await?;
        let accepted = accepted_by(info, device);
        let of = self.list_of(tx, accepted).await?;
        for row in rows {
            self.fold(tx, row, info, (accepted, of), now).await?;
        }
        self.let_go(tx, device, session, accepted, now).await
    }

    /// Forgets that keys of default vaults went out, as [`WentOut::is_free`] and [`InForce::is_the_nodes`] say. Until then the keys stay, whatever
    /// becomes of the device ([`Listed::may_need_keys`]).
    async fn let_go(
        &self,
        tx: &mut dyn Tx,
        device: DeviceId,
        session: SessionKey,
        accepted: Option<SectionVersion>,
        now: UnixSeconds,
    ) -> Result<(), Refusal> {
        let row = tx.device(device).await?.ok_or(Fault::NoDevice)?;
        // Keys that went out since the copy was made are not among those that are known to have.
        if held_back(row.older, self.put_back).is_some() {
            return Ok(());
        }
        let (newest, said) = (self.place(row.section_version), row.section_digest);
        if accepted != Some(newest) || !self.holds_free_keys(tx, device).await? {
            return Ok(());
        }
        let unopened = unopened(tx, &self.kek, &row).await?;
        let view = View::load(&self.verdicts, tx, row).await?;
        let would_say = draft_without(&view, session, (None, BundleNeeded::NEVER), &unopened, now).digest;
        if !(InForce { accepted, newest, said, would_say }).is_the_nodes() {
            return Ok(());
        }
        for held in view.vaults.iter().filter(|held| is_free(&held.row, held.policy.node.custody)) {
            if went_out(tx.releases_of(device, held.row.id).await)? {
                tx.drop_releases_before(device, held.row.id, held.epochs.current().next()).await?;
            }
        }
        Ok(())
    }

    /// Whether there is anything to let go, whatever the policies ask for: most devices have nothing, and then no more is read.
    async fn holds_free_keys(&self, tx: &mut dyn Tx, device: DeviceId) -> Result<bool, Refusal> {
        for row in readable(tx.vaults_listed(device).await?) {
            if is_free(&row, Custody::Tpm) && went_out(tx.releases_of(device, row.id).await)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whose list a node accepted last.
    async fn list_of(&self, tx: &mut dyn Tx, accepted: Option<SectionVersion>) -> Result<ListOf, Refusal> {
        Ok(match accepted {
            Some(at) if at.incarnation == self.incarnation => ListOf::Ours,
            // A database that began anew has the keys that it had.
            Some(at) if past(tx).await?.contains(&at.incarnation) => ListOf::Ours,
            _ => ListOf::Others,
        })
    }

    async fn fold(
        &self,
        tx: &mut dyn Tx,
        row: VaultRow,
        info: &DeviceInfo,
        (accepted, of): (Option<SectionVersion>, ListOf),
        now: UnixSeconds,
    ) -> Result<(), Refusal> {
        let report =
            info.vaults.iter().filter_map(|line| line.report.as_ref()).find(|report| report.id == row.id);
        match (life(&row)?, report) {
            (Life::Gone(gone), report) => {
                let said = Contact { accepted, state: report.map(|report| report.state) };
                if gone.forget(self.incarnation, said).is_ok() {
                    forget_vault(tx, &self.kek, row.device, row.id).await?;
                    tx.drop_vault(row.device, row.id).await?;
                }
            }
            (Life::Listed(vault), Some(report)) => {
                let said = said(&vault.hear(report, of), report, now);
                if !is_kept(&row, &said) {
                    tx.report_vault(row.device, row.id, &said).await?;
                }
            }
            (Life::Listed(_), None) => {}
        }
        Ok(())
    }
}

/// The list that a node accepted last, if it was for this device. Of one that it was before, the numbers say nothing here.
fn accepted_by(info: &DeviceInfo, device: DeviceId) -> Option<SectionVersion> {
    let node = info.node.as_ref()?;
    node.accepted.filter(|_| node.accepted_for.is_none_or(|of| of == device))
}

/// What does not read stays: nobody knows what went out.
fn went_out(rows: Stored<Vec<ReleaseRow>>) -> Stored<bool> {
    match rows {
        Err(StoreError::Damaged(_)) => Ok(false),
        rows => Ok(!rows?.is_empty()),
    }
}

fn is_free(row: &VaultRow, custody: Custody) -> bool {
    let (vault, taken, said) = (row.id, row.reported_epoch, row.report.get());
    WentOut { vault, taken, said, custody }.is_free()
}

/// A vault that this report is the first to say nothing of gets the time of when it was spoken of last into its row.
async fn keep_ages(
    tx: &mut dyn Tx,
    rows: &[VaultRow],
    before: Option<&DeviceReport>,
    report: &DeviceReport,
) -> Result<(), Refusal> {
    for row in rows.iter().filter(|row| report.repeated(row.id).is_none()) {
        let at = reported::said_at(row, before);
        if let (Some(at), Some(said)) = (at.filter(|_| at != row.reported_at), row.report.get()) {
            tx.report_vault(row.device, row.id, &said_before(row, said, at)).await?;
        }
    }
    Ok(())
}

/// What a report counts for.
///
/// # Errors
/// Somebody sends it again.
async fn heard(
    tx: &mut dyn Tx,
    info: &DeviceInfo,
    device: &DeviceRow,
    stands: Option<SessionKey>,
) -> Result<Heard, Refusal> {
    let place =
        info.node.as_ref().and_then(|node| Some(Place { session: node.session?, number: node.counter }));
    let is_past = match place {
        Some(Place { session, .. }) => tx.past_session(device.id, &session.0).await?.is_some(),
        None => false,
    };
    let newest = device.reported.map(|(session, number)| Place { session: SessionKey(session), number });
    Said { place, is_past, newest, stands }.heard().map_err(|stale| match stale {
        vault::device::Stale::Session => Stale::Session.into(),
        vault::device::Stale::Report => Stale::Report.into(),
    })
}

/// A report as it is kept: of human words no more than a reader looks at.
fn kept(mut info: DeviceInfo) -> DeviceInfo {
    for report in info.vaults.iter_mut().filter_map(|line| line.report.as_mut()) {
        fit_together(&mut report.detail, MAX_WORDS);
    }
    if let Some(node) = &mut info.node {
        fit_together(&mut node.notes, MAX_WORDS);
    }
    info
}

/// Whether the row says so already, at whatever time.
fn is_kept(row: &VaultRow, said: &VaultSaid) -> bool {
    let marks = (row.created, row.recreate, row.reported_epoch) == (said.created, said.recreate, said.epoch);
    marks && row.reported_at.is_some() && row.report.get() == Some(&said.report)
}

fn said_before(row: &VaultRow, report: &VaultReport, at: UnixSeconds) -> VaultSaid {
    VaultSaid {
        created: row.created,
        recreate: row.recreate,
        epoch: row.reported_epoch,
        report: report.clone(),
        at,
    }
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
