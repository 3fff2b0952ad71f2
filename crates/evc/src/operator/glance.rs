//! The fleet at a glance: how many of each there are, and what needs somebody. Counted here, page by page, so that the answer is small however
//! many there are; and once in a few seconds, however many ask.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;
use vault::ids::{Generation, Project};

use super::Operator;
use super::elsewhere::Elsewhere;
use super::escrow::behind;
use super::key_words::withheld_for;
use super::lines::{Lines, of_damaged};
use super::show::{Policies, in_a_list, read_policies, readable, split, strange_view, unless_damaged};
use super::strays::is_known;
use super::views::is_behind;
use crate::api::{Counts, Damaged, DeviceView, Glance, Listed, Reference, VaultView};
use crate::fleet::heard::Heard;
use crate::fleet::view::View;
use crate::service::{Controller, Refusal};
use crate::store::{
    DamagedRow, DeviceRow, OrDamaged, Page, ReferenceState, StoreError, Tx, UnixSeconds, VaultRow, next_page,
};
use crate::words::damaged::of_row_at;
use crate::words::glance::{of_behind, of_device, of_escrow, of_knock, of_reference, of_vault};
use crate::words::notes::of_left;
use crate::words::{of_files, of_kek, of_older, of_put_back};

/// Devices of one view, or other rows.
const PAGE: u32 = 200;
/// For so long one count is told to whoever asks.
const FRESH: Duration = Duration::from_secs(5);

/// The last count, by project, and after how many acts it was begun.
#[derive(Default)]
pub struct Glances {
    last: Mutex<Option<Counted>>,
    acts: AtomicU64,
}

struct Counted {
    at: Instant,
    acts: u64,
    project: Project,
    glance: Glance,
}

impl Glances {
    /// Somebody did something: who asks next has it counted. Waits for no count.
    pub fn count_anew(&self) {
        self.acts.fetch_add(1, Ordering::SeqCst);
    }
}

/// What is counted so far.
#[derive(Default)]
struct Tally {
    counts: Counts,
    damaged: Lines,
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
        let mut last = self.glances.last.lock().await;
        let acts = self.glances.acts.load(Ordering::SeqCst);
        let is_of_now = |counted: &Counted| counted.acts == acts && counted.project == self.project;
        if let Some(counted) =
            last.as_ref().filter(|counted| counted.at.elapsed() < FRESH && is_of_now(counted))
        {
            return Ok(counted.glance.clone());
        }
        let glance = self.count(now).await?;
        let project = self.project.clone();
        *last = Some(Counted { at: Instant::now(), acts, project, glance: glance.clone() });
        Ok(glance)
    }

    async fn count(&self, now: UnixSeconds) -> Result<Glance, Refusal> {
        if let Err(error @ StoreError::Overwritten) = self.store.is_there() {
            return Ok(Glance { counts: Counts::default(), needs_somebody: vec![of_files(&error)] });
        }
        let mut tally = Tally { drill_every_s: self.drill_every_s, ..Tally::default() };
        let mut page = Some(Page::first(PAGE));
        while let Some(this) = page {
            let read = self.store.read(|tx| Box::pin(devices(self, tx, &self.project, &this)));
            let (rows, policies) = read.await?;
            page = next_page(this, &rows, |row| &row.device.name);
            for row in rows {
                match row {
                    OrDamaged::Whole(seen) => tally.add(&self.heard, seen, &policies, now),
                    OrDamaged::Damaged(device) => tally.add_damaged(device),
                }
            }
        }
        tally.counts.policies = self.policies(&mut tally.damaged).await?;
        self.rules(&mut tally.damaged).await?;
        let (references, mut knocks) = (self.pending(&mut tally.damaged).await?, Lines::default());
        self.knocks(now).await?.iter().for_each(|knock| knocks.add(|| of_knock(knock)));
        let Tally { counts, devices, vaults, mut damaged, .. } = tally;
        let put_back = self.put_back.then(of_put_back);
        let older = if self.put_back { None } else { self.store.read(|tx| tx.one_older()).await? };
        let kek = self.kek.is_kept().err().map(|error| of_kek(&error));
        let files = self.store.is_there().err().map(|error| of_files(&error));
        let kept = self.store.read(|tx| Box::pin(left(tx, &self.project))).await?;
        let kept = kept.told(&mut damaged);
        let lines = files
            .into_iter()
            .chain(kek)
            .chain(put_back)
            .chain(older.map(|_| of_older()))
            .chain(self.unkept.told())
            .chain(damaged.told())
            .chain(kept.told())
            .chain(devices.told())
            .chain(vaults.told())
            .chain(references.told())
            .chain(knocks.told());
        Ok(Glance { counts, needs_somebody: lines.collect() })
    }

    async fn policies(&self, damaged: &mut Lines) -> Result<u64, Refusal> {
        let (mut count, mut page) = (0, Some(Page::first(PAGE)));
        while let Some(this) = page {
            let rows = self.store.read(|tx| tx.policies(&self.project, &this)).await?;
            page = next_page(this, &rows, |row| &row.policy.name);
            count += rows.len() as u64;
            damaged.add_damaged(rows);
        }
        Ok(count)
    }

    /// Rules are not counted.
    async fn rules(&self, damaged: &mut Lines) -> Result<(), Refusal> {
        let mut page = Some(Page::first(PAGE));
        while let Some(this) = page {
            let rows = self.store.read(|tx| tx.rules(&self.project, &this)).await?;
            page = next_page(this, &rows, |row| &row.rule.name);
            damaged.add_damaged(rows);
        }
        Ok(())
    }

    async fn pending(&self, damaged: &mut Lines) -> Result<Lines, Refusal> {
        let (mut lines, mut page) = (Lines::default(), Some(0));
        while let Some(after) = page {
            let rows = self.references(None, after, PAGE).await?;
            let is_full = rows.len() >= PAGE as usize;
            page = rows.iter().rev().find_map(number).filter(|last| is_full && *last != after);
            for row in rows {
                match row {
                    Listed::Row(row) if row.state == ReferenceState::Pending => {
                        lines.add(|| of_reference(&row))
                    }
                    Listed::Row(_) => {}
                    Listed::Damaged(row) => damaged.add(|| of_damaged(&row)),
                }
            }
        }
        Ok(lines)
    }
}

/// What is kept of devices since they were deleted, and was not given back though they are registered again; and what of it is damaged.
async fn left(tx: &mut dyn Tx, project: &Project) -> Result<Left, Refusal> {
    let mut left = Left::default();
    for kept in tx.deleted(project).await? {
        let kept = match kept {
            OrDamaged::Whole(kept) => kept,
            OrDamaged::Damaged(row) => {
                left.damaged.push(row);
                continue;
            }
        };
        let device = readable(tx.device_by_key(&kept.key).await.map_err(Refusal::from))?.flatten();
        if let Some(device) = device.filter(|device| device.project == *project) {
            left.lines.add(|| of_left(&kept, &device.name));
        }
    }
    Ok(left)
}

#[derive(Default)]
struct Left {
    lines: Lines,
    damaged: Vec<DamagedRow>,
}

impl Left {
    fn told(self, damaged: &mut Lines) -> Lines {
        self.damaged.into_iter().for_each(|row| damaged.add(|| of_damaged(&row.into())));
        self.lines
    }
}

fn number(row: &Listed<Reference>) -> Option<i64> {
    match row {
        Listed::Row(row) => Some(row.id),
        Listed::Damaged(row) => row.id.as_ref()?.parse().ok(),
    }
}

/// A device with its vaults, and all around it where its evidence shows PCRs of no reference value.
struct Seen {
    device: DeviceRow,
    /// The generation in force, where no bundle of it is here.
    behind: Option<Generation>,
    elsewhere: Elsewhere,
    vaults: Vec<OrDamaged<VaultRow>>,
    /// Or what of that is damaged.
    strange: Result<Option<View>, String>,
}

/// A page of devices, and the policies that their vaults name.
async fn devices(
    of: &Controller,
    tx: &mut dyn Tx,
    project: &Project,
    page: &Page,
) -> Result<(Vec<OrDamaged<Seen>>, Policies), Refusal> {
    let (mut all, mut policies) = (Vec::new(), Policies::new());
    for row in tx.devices(project, page).await? {
        all.push(match row {
            OrDamaged::Whole(device) => OrDamaged::Whole(seen(of, tx, device, &mut policies).await?),
            OrDamaged::Damaged(device) => OrDamaged::Damaged(device),
        });
    }
    Ok((all, policies))
}

async fn seen(
    of: &Controller,
    tx: &mut dyn Tx,
    device: DeviceRow,
    policies: &mut Policies,
) -> Result<Seen, Refusal> {
    let vaults = tx.vaults_listed(device.id).await?;
    let whole: Vec<_> = vaults.iter().cloned().filter_map(|row| row.whole().ok()).collect();
    read_policies(tx, &device.project, &whole, policies).await?;
    let strange = unless_damaged(strange_view(of, tx, &device).await)?;
    let (behind, elsewhere) = (behind(tx, &device).await?, Elsewhere::of(tx, &device).await?);
    Ok(Seen { device, behind, elsewhere, vaults, strange })
}

impl Tally {
    /// A device that does not read.
    fn add_damaged(&mut self, device: DamagedRow) {
        self.counts.devices += 1;
        self.damaged.add(|| of_damaged(&device.into()));
    }

    /// A device and its vaults: those that have a row, and the default ones that the device alone speaks of.
    fn add(
        &mut self,
        heard: &Heard,
        Seen { device, behind, elsewhere, vaults, strange }: Seen,
        policies: &Policies,
        now: UnixSeconds,
    ) {
        let device = heard.newest(device);
        let (rows, damaged) = split::<VaultView>(vaults);
        self.counts.vaults += damaged.len() as u64;
        let unread: Vec<Damaged> = damaged.iter().filter_map(super::show::damaged).cloned().collect();
        self.damaged.add_listed(damaged);
        let strange = strange.unwrap_or_else(|what| {
            self.damaged.add(|| format!("device {}: {}", device.name, of_row_at(&what)));
            None
        });
        let strange = strange.as_ref();
        let listed: Vec<_> =
            rows.iter().map(|row| in_a_list((strange, policies), (&device, behind), row, now)).collect();
        let shown = DeviceView::of((device, behind), &elsewhere, self.drill_every_s, now)
            .withheld_for(strange.and_then(|view| withheld_for(view, now)));
        let unlisted = shown.default_vaults.iter().filter(|vault| rows.iter().all(|row| row.id != vault.id));
        for vault in unlisted.clone().chain(&listed) {
            self.counts.vaults += 1;
            if vault.needs_somebody() {
                self.vaults.add(|| of_vault(vault, &shown));
            }
        }
        // What a row that does not read is of is none of nobody's.
        let is_unread = |vault: &VaultView| unread.iter().any(|row| row.may_be(vault.device, vault.id));
        for orphan in shown.orphans.iter().filter(|vault| !is_known(&rows, vault) && !is_unread(vault)) {
            self.vaults.add(|| of_vault(orphan, &shown));
        }
        if let Some(line) = of_escrow(&shown, &listed) {
            self.devices.add(|| line);
        }
        let standing_still: Vec<_> = rows.iter().filter(|row| is_behind(row, now)).collect();
        if let Some(line) = of_behind(&shown, &standing_still) {
            self.devices.add(|| line);
        }
        self.counts.devices += 1;
        self.counts.drills_failed +=
            u64::from(shown.escrow.as_ref().is_some_and(|escrow| escrow.drill.needs_somebody()));
        if shown.needs_somebody() {
            let beside = || shown.orphans.iter().filter(|vault| !is_known(&rows, vault));
            let vaults = || unlisted.clone().chain(&listed).chain(beside());
            self.devices.add(|| of_device(&shown, vaults()));
        }
    }
}
