//! The fleet at a glance: how many of each there are, and what needs somebody. Counted here, page by page, so that the answer is small however
//! many there are; and once in a few seconds, however many ask.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;
use vault::ids::{Generation, Project};
use vault::report::State;

use super::Operator;
use super::escrow::behind;
use super::key_words::withheld_for;
use super::show::{Policies, in_a_list, read_policies, readable, split, strange_view, unless_damaged};
use super::strays::is_known;
use super::views::is_behind;
use crate::api::{Condition, Counts, Damaged, DeviceView, Glance, Knock, Listed, Reference, VaultView};
use crate::fleet::heard::Heard;
use crate::fleet::view::View;
use crate::service::{Controller, Refusal};
use crate::store::{
    DamagedRow, DeviceRow, OrDamaged, Page, ReferenceState, StoreError, Tx, UnixSeconds, VaultRow, next_page,
};
use crate::words::damaged::of_row_at;
use crate::words::notes::of_left;
use crate::words::{of_files, of_kek, of_older, of_put_back};

/// Devices of one view, or other rows.
const PAGE: u32 = 200;
/// For so long one count is told to whoever asks.
const FRESH: Duration = Duration::from_secs(5);
/// Most lines of one kind.
const MOST: usize = 20;

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

    fn add_damaged<T>(&mut self, rows: Vec<OrDamaged<T>>) {
        self.add_listed(rows.into_iter().map(Listed::from).collect());
    }

    /// Of a list, what is damaged.
    fn add_listed<T>(&mut self, rows: Vec<Listed<T>>) {
        for row in rows {
            if let Listed::Damaged(row) = row {
                self.add(|| of_damaged(&row));
            }
        }
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
    Ok(Seen { behind: behind(tx, &device).await?, device, vaults, strange })
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
        Seen { device, behind, vaults, strange }: Seen,
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
        let shown = DeviceView::of((device, behind), self.drill_every_s, now)
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
            let vaults = || unlisted.clone().chain(&listed);
            self.devices.add(|| of_device(&shown, vaults()));
        }
    }
}

fn of_damaged(row: &Damaged) -> String {
    format!("{}: {}", row.words(), row.what_to_do)
}

/// How a device is; of a lost one also what is open in it, and how it is told to be found.
fn of_device<'a>(device: &DeviceView, vaults: impl Iterator<Item = &'a VaultView>) -> String {
    let DeviceView { name, condition, .. } = device;
    if device.condition_kind != Condition::Lost {
        return format!("device {name}: {condition}");
    }
    let is_open =
        |vault: &&VaultView| matches!(vault.last_state, Some(State::Unlocked | State::LockIncomplete));
    let open: Vec<_> = vaults.filter(is_open).map(|vault| vault.name.to_string()).collect();
    let open = if open.is_empty() { "no vault".to_owned() } else { open.join(", ") };
    format!(
        "device {name}: {condition}; open on it by its last report: {open}; if it is in good hands again: `evc device found {name:#}`"
    )
}

fn of_vault(vault: &VaultView, device: &DeviceView) -> String {
    let key = vault.key.iter().filter(|_| vault.withheld);
    let words: Vec<_> = vault.notes.iter().chain(&vault.state_now).chain(key).map(String::as_str).collect();
    let words = if words.is_empty() { "not reported yet".to_owned() } else { words.join("; ") };
    format!("vault {} of {}: {words}", vault.name, device.name)
}

/// A device that puts nothing more into escrow before some of its vaults were opened.
fn of_escrow(device: &DeviceView, listed: &[VaultView]) -> Option<String> {
    let told = device.report.iter().flat_map(|report| &report.vaults);
    let told = told.chain(listed.iter().filter_map(|vault| vault.report.as_ref()));
    let told = told.filter(|_| device.is_there());
    let names: Vec<_> =
        told.filter(|vault| vault.holds_escrow_up).map(|vault| vault.name.to_string()).collect();
    let (first, more) = (names.first()?, names.len() - 1);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let device = &device.name;
    Some(format!(
        "device {device}: its escrow waits for vault {first}{more}: no key has opened its key files since the boot, and no other bundle is made before it opens; see `evc describe device {device:#}`"
    ))
}

/// A device whose escrow stands still, by its own word; where it says of no vault what that waits for.
fn of_behind(device: &DeviceView, behind: &[&VaultRow]) -> Option<String> {
    let held_up = |row: &&VaultRow| row.report.get().is_some_and(|report| report.holds_escrow_up);
    let first = behind.first().filter(|_| device.is_there() && !behind.iter().any(held_up))?;
    let more = if behind.len() > 1 { format!(" and {} more", behind.len() - 1) } else { String::new() };
    let (device, first) = (&device.name, &first.name);
    Some(format!(
        "device {device}: it says of vault {first}{more} that what is in escrow is not what it has: no bundle of it came since, and what is sealed to the boot of now may not open after an update; see `evc describe device {device:#}`"
    ))
}

fn of_reference(row: &Reference) -> String {
    let device = row.device_name.as_ref().map_or_else(|| row.device.to_string(), ToString::to_string);
    format!("reference {} of {device} waits: `evc reference approve {}`", row.id, row.id)
}

fn of_knock(row: &Knock) -> String {
    let serial = vault::text::quoted(&row.serial);
    format!("serial {serial} at {} may not onboard: `evc get pending`", row.from)
}
