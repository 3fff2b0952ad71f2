//! The fleet at a glance: how many of each there are, and what needs somebody. Counted here, page by page, so that the answer is small however
//! many there are; and once in a few seconds, however many ask.

use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;
use vault::ids::Project;

use super::Operator;
use super::show::{Policies, in_a_list, read_policies, strange_view, withheld_for};
use crate::api::{Counts, DeviceView, Glance, Knock, Reference, VaultView};
use crate::fleet::view::View;
use crate::service::{Refusal, Verdicts};
use crate::store::{DeviceRow, Page, ReferenceState, Tx, UnixSeconds, VaultRow};
use crate::words::notes::of_left;
use crate::words::of_files;

/// Devices of one view, or other rows.
const PAGE: u32 = 200;
/// For so long one count is told to whoever asks.
const FRESH: Duration = Duration::from_secs(5);
/// Most lines of one kind.
const MOST: usize = 20;

/// The last count, by project.
#[derive(Default)]
pub struct Glances(Mutex<Option<(Instant, Project, Glance)>>);

impl Glances {
    /// Forgets it: who asks next has it counted.
    pub async fn forget(&self) {
        *self.0.lock().await = None;
    }
}

/// Lines, of which only the first are kept.
#[derive(Default)]
struct Lines {
    kept: Vec<String>,
    more: usize,
}

impl Lines {
    fn add(&mut self, line: impl FnOnce() -> String) {
        if self.kept.len() < MOST { self.kept.push(line()) } else { self.more += 1 }
    }

    fn told(self) -> impl Iterator<Item = String> {
        let more = (self.more > 0).then(|| format!("and {} more like the last", self.more));
        self.kept.into_iter().chain(more)
    }
}

/// What is counted so far.
#[derive(Default)]
struct Tally {
    counts: Counts,
    devices: Lines,
    vaults: Lines,
    /// How often escrow drills are made.
    drill_every_s: u64,
}

impl Operator {
    /// The fleet at a glance, at most a few seconds old. Who asks while it is counted waits for it.
    ///
    /// # Errors
    /// [`Refusal`] of the store's.
    pub async fn glance(&self, now: UnixSeconds) -> Result<Glance, Refusal> {
        let mut last = self.glances.0.lock().await;
        match &*last {
            Some((at, project, glance)) if at.elapsed() < FRESH && *project == self.project => {
                Ok(glance.clone())
            }
            _ => {
                let glance = self.count(now).await?;
                *last = Some((Instant::now(), self.project.clone(), glance.clone()));
                Ok(glance)
            }
        }
    }

    async fn count(&self, now: UnixSeconds) -> Result<Glance, Refusal> {
        let mut tally = Tally { drill_every_s: self.drill_every_s, ..Tally::default() };
        let mut after = String::new();
        loop {
            let page = Page { after, limit: PAGE };
            let rows = self.store.read(|tx| Box::pin(devices(&self.verdicts, tx, &self.project, &page)));
            let rows = rows.await?;
            let (rows, policies) = rows;
            let Some(last) = rows.last() else { break };
            after = last.device.name.to_string();
            for Seen { device, vaults, strange } in rows {
                tally.add(self.heard.newest(device), &vaults, (strange.as_ref(), &policies), now);
            }
        }
        tally.counts.policies = self.policies().await?;
        let (references, mut knocks) = (self.pending().await?, Lines::default());
        self.knocks(now).await?.iter().for_each(|knock| knocks.add(|| of_knock(knock)));
        let Tally { counts, devices, vaults, .. } = tally;
        let files = self.store.is_there().err().map(|error| of_files(&error));
        let kept = self.store.read(|tx| Box::pin(left(tx, &self.project))).await?;
        let lines = files
            .into_iter()
            .chain(kept.told())
            .chain(devices.told())
            .chain(vaults.told())
            .chain(references.told())
            .chain(knocks.told());
        Ok(Glance { counts, needs_somebody: lines.collect() })
    }

    async fn policies(&self) -> Result<u64, Refusal> {
        let (mut count, mut after) = (0, String::new());
        loop {
            let page = Page { after, limit: PAGE };
            let rows = self.store.read(|tx| tx.policies(&self.project, &page)).await?;
            let Some(last) = rows.last() else { return Ok(count) };
            (after, count) = (last.policy.name.to_string(), count + rows.len() as u64);
        }
    }

    async fn pending(&self) -> Result<Lines, Refusal> {
        let (mut lines, mut after) = (Lines::default(), 0);
        loop {
            let rows = self.references(None, after, PAGE).await?;
            let Some(last) = rows.last() else { return Ok(lines) };
            after = last.id;
            let pending = rows.iter().filter(|row| row.state == ReferenceState::Pending);
            pending.for_each(|row| lines.add(|| of_reference(row)));
        }
    }
}

/// What is kept of devices since they were deleted, and was not given back though they are registered again.
async fn left(tx: &mut dyn Tx, project: &Project) -> Result<Lines, Refusal> {
    let mut lines = Lines::default();
    for kept in tx.deleted(project).await? {
        if let Some(device) = tx.device_by_key(&kept.key).await?.filter(|device| device.project == *project) {
            lines.add(|| of_left(&kept, &device.name));
        }
    }
    Ok(lines)
}

/// A device with its vaults, and all around it where its evidence shows PCRs of no reference value.
struct Seen {
    device: DeviceRow,
    vaults: Vec<VaultRow>,
    strange: Option<View>,
}

/// A page of devices, and the policies that their vaults name.
async fn devices(
    verdicts: &Verdicts,
    tx: &mut dyn Tx,
    project: &Project,
    page: &Page,
) -> Result<(Vec<Seen>, Policies), Refusal> {
    let (mut all, mut policies) = (Vec::new(), Policies::new());
    for device in tx.devices(project, page).await? {
        let vaults = tx.vaults(device.id).await?;
        read_policies(tx, project, &vaults, &mut policies).await?;
        let strange = strange_view(verdicts, tx, &device).await?;
        all.push(Seen { device, vaults, strange });
    }
    Ok((all, policies))
}

impl Tally {
    /// A device and its vaults: those that have a row, and the default ones that the device alone speaks of.
    fn add(
        &mut self,
        device: DeviceRow,
        rows: &[VaultRow],
        (strange, policies): (Option<&View>, &Policies),
        now: UnixSeconds,
    ) {
        let listed: Vec<_> =
            rows.iter().map(|row| in_a_list((strange, policies), &device, row, now)).collect();
        let shown = DeviceView::of(device, self.drill_every_s, now)
            .withheld_for(strange.and_then(|view| withheld_for(view, now)));
        let unlisted = shown.default_vaults.iter().filter(|vault| rows.iter().all(|row| row.id != vault.id));
        for vault in unlisted.chain(&listed) {
            self.counts.vaults += 1;
            if vault.needs_somebody() {
                self.vaults.add(|| of_vault(vault, &shown));
            }
        }
        self.counts.devices += 1;
        self.counts.drills_failed +=
            u64::from(shown.escrow.as_ref().is_some_and(|escrow| escrow.drill.needs_somebody()));
        if shown.needs_somebody() {
            self.devices.add(|| format!("device {}: {}", shown.name, shown.condition));
        }
    }
}

fn of_vault(vault: &VaultView, device: &DeviceView) -> String {
    let key = vault.key.iter().filter(|_| vault.withheld);
    let words: Vec<_> = vault.notes.iter().chain(&vault.state_now).chain(key).map(String::as_str).collect();
    let words = if words.is_empty() { "not reported yet".to_owned() } else { words.join("; ") };
    format!("vault {} of {}: {words}", vault.name, device.name)
}

fn of_reference(row: &Reference) -> String {
    let device = row.device_name.as_ref().map_or_else(|| row.device.to_string(), ToString::to_string);
    format!("reference {} of {device} waits: `evc reference approve {}`", row.id, row.id)
}

fn of_knock(row: &Knock) -> String {
    let serial = vault::text::quoted(&row.serial);
    format!("serial {serial} at {} may not onboard: `evc get pending`", row.from)
}
