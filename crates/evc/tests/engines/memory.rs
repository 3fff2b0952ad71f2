//! An engine in memory, for tests alone. Each transaction works on a copy; of two that write at the same time the second one is told to
//! run again, as databases with several writers do. What is written beside a transaction's scope is refused: another engine locks no more
//! than that.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use evc::store::*;
use vault::decide::TpmPin;
use vault::escrow::BundleId;
use vault::escrow::drill::Drills;
use vault::escrow::history::Contents;
use vault::ids::{DeviceId, Epoch, Generation, Name, Project, SectionDigest, VaultId};
use vault::labels::Labels;
use vault::ledger::{Ledger, Mark, Older};
use vault::life::Phase;
use vault::policy::VaultRule;

/// All rows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct World {
    meta: BTreeMap<String, Vec<u8>>,
    keys: BTreeMap<String, KeyRow>,
    tokens: BTreeMap<[u8; 32], TokenRow>,
    periods: BTreeMap<String, Vec<u8>>,
    onboarding: BTreeMap<([u8; 32], String), OnboardRow>,
    devices: BTreeMap<DeviceId, DeviceRow>,
    removed: BTreeMap<[u8; 32], RemovedRow>,
    sent_before: BTreeMap<DeviceId, Vec<SectionDigest>>,
    past_vaults: BTreeMap<DeviceId, Vec<(VaultId, Name)>>,
    certs_before: BTreeMap<DeviceId, Vec<[u8; 32]>>,
    certs: BTreeMap<(DeviceId, i32), CertRow>,
    sessions: BTreeMap<(DeviceId, [u8; 32]), PastSession>,
    standings: BTreeMap<DeviceId, StandingRow>,
    numbered: i64,
    references: BTreeMap<i64, ReferenceRow>,
    policies: BTreeMap<(Project, Name), PolicyRow>,
    rules: BTreeMap<(Project, Name), RuleRow>,
    vaults: BTreeMap<(DeviceId, VaultId), VaultRow>,
    epochs: BTreeMap<(DeviceId, VaultId, Epoch), EpochRow>,
    releases: BTreeMap<(DeviceId, VaultId, Epoch, String), ReleaseRow>,
    /// In the order in which they came.
    bundles: Vec<(BundleRow, bool)>,
    /// In the order in which they were deleted.
    deleted: Vec<KeptDevice>,
}

/// A device that was deleted, and all that is kept of it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct KeptDevice {
    row: DeletedRow,
    of: OfDeleted,
    was: DeviceRow,
    sent_before: Vec<SectionDigest>,
    past_vaults: Vec<(VaultId, Name)>,
    sessions: Vec<PastSession>,
    certs: Vec<CertRow>,
}

impl World {
    fn kept(&mut self, id: DeviceId) -> Stored<&mut KeptDevice> {
        there(self.deleted.iter_mut().find(|kept| kept.row.id == id))
    }

    /// What no act may leave behind: a vault without the key of an epoch that it is to open by, and keys of one that is gone.
    pub(crate) fn between(&self) -> Vec<String> {
        let key = |row: &VaultRow, epoch| self.epochs.contains_key(&(row.device, row.id, epoch));
        let half = |row: &&VaultRow| match row.standing {
            VaultStanding::Gone => self.epochs.keys().any(|(of, id, _)| (*of, *id) == (row.device, row.id)),
            _ => !key(row, row.current_epoch) || !key(row, row.last_epoch),
        };
        self.vaults.values().filter(half).map(|row| format!("{} {:?}", row.name, row.standing)).collect()
    }

    /// The same, with the names of two devices exchanged.
    pub(crate) fn with_names_exchanged(mut self, [one, other]: [DeviceId; 2]) -> Self {
        let name = |world: &Self, id: DeviceId| world.devices[&id].name.clone();
        let names = [(one, name(&self, other)), (other, name(&self, one))];
        for (id, name) in names {
            self.devices.get_mut(&id).expect("there").name = name;
        }
        self
    }

    /// The evidence that stands.
    pub(crate) fn standing(&self, id: DeviceId) -> Option<StandingRow> {
        self.standings.get(&id).cloned()
    }

    /// All that is kept of a device, as text.
    pub(crate) fn of(&self, id: DeviceId) -> String {
        let Self { devices, standings, references, vaults, epochs, .. } = self;
        let vaults: Vec<_> = vaults.iter().filter(|((of, _), _)| *of == id).collect();
        let epochs: Vec<_> = epochs.iter().filter(|((of, ..), _)| *of == id).collect();
        let references: Vec<_> = references.values().filter(|row| row.device == id).collect();
        format!("{:?} {:?} {references:?} {vaults:?} {epochs:?}", devices.get(&id), standings.get(&id))
    }

    /// All but what a scope has to itself, or may add. (A period's key is whoever's is the first.)
    fn outside(mut self, scope: Scope) -> Self {
        self.periods.clear();
        match scope {
            Scope::Device(id) => {
                self.devices.remove(&id);
                self.sent_before.remove(&id);
                self.past_vaults.remove(&id);
                self.certs_before.remove(&id);
                self.standings.remove(&id);
                self.sessions.retain(|(of, _), _| *of != id);
                self.numbered = 0;
                self.certs.retain(|(of, _), _| *of != id);
                self.references.retain(|_, row| row.device != id);
                self.vaults.retain(|(of, _), _| *of != id);
                self.epochs.retain(|(of, ..), _| *of != id);
                self.releases.retain(|(of, ..), _| *of != id);
                self.bundles.retain(|(row, _)| row.device != id);
            }
            Scope::Onboarding => {
                self.onboarding.clear();
                self.devices.clear();
            }
            Scope::Operators => self.tokens.clear(),
            Scope::Clock => self.meta.clear(),
            Scope::Heard => self.devices.values_mut().for_each(|row| row.last_seen = None),
            Scope::Fleet => self = Self::default(),
        }
        self
    }
}

/// What is committed, and how many commits made it; and what of it a power cut would leave: a commit ahead is durable with the next that is.
#[derive(Clone, Default)]
pub(crate) struct Memory(Arc<Mutex<(u64, World)>>, Arc<Mutex<World>>);

impl Memory {
    pub(crate) fn world(&self) -> World {
        self.0.lock().expect("never poisoned").1.clone()
    }

    /// What a power cut would leave now.
    pub(crate) fn durable(&self) -> World {
        self.1.lock().expect("never poisoned").clone()
    }

    pub(crate) fn restore(&self, world: &World) {
        *self.1.lock().expect("never poisoned") = world.clone();
        let mut now = self.0.lock().expect("never poisoned");
        *now = (now.0 + 1, world.clone());
    }

    fn begin(&self, scope: Scope, ahead: bool) -> Box<dyn Open> {
        let (version, world) = self.0.lock().expect("never poisoned").clone();
        Box::new(MemoryTx { home: self.clone(), scope, ahead, version, world, wrote: false })
    }
}

#[async_trait]
impl Engine for Memory {
    async fn read(&self) -> Stored<Box<dyn Open>> {
        Ok(self.begin(Scope::Fleet, false))
    }
    async fn write(&self, scope: Scope) -> Stored<Box<dyn Open>> {
        Ok(self.begin(scope, false))
    }
    async fn write_ahead(&self, scope: Scope) -> Stored<Box<dyn Open>> {
        Ok(self.begin(scope, true))
    }
    async fn close(&self) {}
    fn is_alone(&self) -> bool {
        true
    }
}

struct MemoryTx {
    home: Memory,
    scope: Scope,
    ahead: bool,
    version: u64,
    world: World,
    wrote: bool,
}

#[async_trait]
impl Open for MemoryTx {
    async fn commit(self: Box<Self>) -> Stored<()> {
        let mut now = self.home.0.lock().expect("never poisoned");
        if !self.wrote {
            return Ok(());
        }
        if now.0 != self.version {
            return Err(StoreError::Again);
        }
        let [before, after] = [&now.1, &self.world].map(|world| world.clone().outside(self.scope));
        if before != after {
            return Err(StoreError::Damaged(format!("{:?} wrote what is not its own", self.scope)));
        }
        // What wrote nothing syncs nothing, and what did takes with it all that was before.
        if !self.ahead {
            *self.home.1.lock().expect("never poisoned") = self.world.clone();
        }
        *now = (self.version + 1, self.world);
        Ok(())
    }
}

/// Adds what is not there.
fn add<K: Ord, V>(map: &mut BTreeMap<K, V>, key: K, value: V) -> Stored<()> {
    if map.contains_key(&key) {
        return Err(StoreError::Taken);
    }
    map.insert(key, value);
    Ok(())
}

fn there<V>(row: Option<&mut V>) -> Stored<&mut V> {
    row.ok_or_else(|| StoreError::Damaged("a row that was read is not there".into()))
}

impl MemoryTx {
    /// For a write.
    fn w(&mut self) -> &mut World {
        self.wrote = true;
        &mut self.world
    }

    fn change_device(&mut self, id: DeviceId, change: impl FnOnce(&mut DeviceRow)) -> Stored<()> {
        there(self.w().devices.get_mut(&id)).map(change)
    }

    fn change_vault(
        &mut self,
        device: DeviceId,
        id: VaultId,
        change: impl FnOnce(&mut VaultRow),
    ) -> Stored<()> {
        there(self.w().vaults.get_mut(&(device, id))).map(change)
    }

    /// What hangs on a device is of its project.
    fn is_of_its_devices_project(&self, device: DeviceId, project: &Project) -> Stored<()> {
        let own = self.world.devices.get(&device).is_some_and(|row| row.project == *project);
        if own { Ok(()) } else { Err(StoreError::Failed("a row of another project than its device".into())) }
    }

    /// A vault is under a policy of its project, or under none.
    fn policy_is_there(&self, project: &Project, policy: Option<&Name>) -> Stored<()> {
        let key = |policy: &Name| (project.clone(), policy.clone());
        let there = policy.is_none_or(|policy| self.world.policies.contains_key(&key(policy)));
        if there { Ok(()) } else { Err(StoreError::Failed("a vault of a policy that is not there".into())) }
    }

    fn find_device(&self, is: impl Fn(&DeviceRow) -> bool) -> Option<DeviceRow> {
        self.world.devices.values().find(|row| is(row)).cloned()
    }
}

/// Those that are wanted, in the order of the map, at most so many.
fn some<'a, V: Clone + 'a>(
    rows: impl Iterator<Item = &'a V>,
    limit: u32,
    wanted: impl Fn(&V) -> bool,
) -> Vec<V> {
    rows.filter(|row| wanted(row)).take(limit as usize).cloned().collect()
}

/// The same for a list. Nothing is damaged here.
fn listed<'a, V: Clone + 'a>(
    rows: impl Iterator<Item = &'a V>,
    limit: u32,
    wanted: impl Fn(&V) -> bool,
) -> Vec<OrDamaged<V>> {
    some(rows, limit, wanted).into_iter().map(OrDamaged::Whole).collect()
}

fn names(row: &VaultRow, project: &Project, policy: &str) -> bool {
    row.project == *project && row.policy.as_ref().is_some_and(|name| name.as_str() == policy)
}

#[async_trait]
impl Tx for MemoryTx {
    async fn around(&mut self, device: DeviceId) -> Stored<Around> {
        let vaults = self.vaults(device).await?;
        let names = |vault: &VaultRow, row: &PolicyRow| {
            vault.project == row.project && vault.policy.as_ref() == Some(&row.policy.name)
        };
        let named = |row: &PolicyRow| vaults.iter().any(|vault| names(vault, row));
        Ok(Around {
            policies: some(self.world.policies.values(), u32::MAX, named),
            vaults,
            damaged: Vec::new(),
            standing: self.standing(device).await?,
            certs: self.certs(device).await?,
            references: self.references_of(device).await?,
        })
    }
}

#[async_trait]
impl Rules for MemoryTx {
    async fn put_labels(&mut self, id: DeviceId, labels: &Labels) -> Stored<()> {
        self.change_device(id, |row| row.labels = labels.clone())
    }
    async fn devices_named_by(
        &mut self,
        project: &Project,
        selector: &Labels,
        page: &Page,
    ) -> Stored<Vec<OrDamaged<DeviceRow>>> {
        let mut rows = self.devices(project, &Page { limit: u32::MAX, ..page.clone() }).await?;
        rows.retain(|row| matches!(row, OrDamaged::Whole(row) if row.labels.are_named_by(selector)));
        rows.truncate(page.limit as usize);
        Ok(rows)
    }
    async fn rule(&mut self, project: &Project, name: &Name) -> Stored<Option<RuleRow>> {
        Ok(self.world.rules.get(&(project.clone(), name.clone())).cloned())
    }
    async fn rules(&mut self, project: &Project, page: &Page) -> Stored<Vec<OrDamaged<RuleRow>>> {
        let wanted = |row: &RuleRow| row.project == *project && row.rule.name.as_str() > page.after.as_str();
        Ok(listed(self.world.rules.values(), page.limit, wanted))
    }
    async fn rule_with_policy(&mut self, project: &Project, policy: &Name) -> Stored<Option<RuleRow>> {
        let names = |row: &&RuleRow| row.project == *project && row.rule.policy == *policy;
        Ok(self.world.rules.values().find(names).cloned())
    }
    async fn put_rule(&mut self, project: &Project, rule: &VaultRule, at: UnixSeconds) -> Stored<()> {
        if !self.world.policies.contains_key(&(project.clone(), rule.policy.clone())) {
            return Err(StoreError::Failed("a rule under no policy".into()));
        }
        let row = RuleRow { project: project.clone(), rule: rule.clone(), changed_at: at };
        self.w().rules.insert((project.clone(), rule.name.clone()), row);
        Ok(())
    }
    async fn drop_rule(&mut self, project: &Project, name: &Name) -> Stored<bool> {
        Ok(self.w().rules.remove(&(project.clone(), name.clone())).is_some())
    }
}

#[async_trait]
impl Devices for MemoryTx {
    async fn add_onboarding(&mut self, row: &OnboardRow) -> Stored<()> {
        add(&mut self.w().onboarding, (row.cert_digest, row.serial.clone()), row.clone())
    }
    async fn onboarding(&mut self, cert_digest: &[u8; 32], serial: &str) -> Stored<Option<OnboardRow>> {
        Ok(self.world.onboarding.get(&(*cert_digest, serial.to_owned())).cloned())
    }
    async fn name_is_kept(&mut self, project: &Project, name: &Name) -> Stored<bool> {
        let keeps = |row: &OnboardRow| {
            row.project == *project && row.name.as_ref() == Some(name) && row.device.is_none()
        };
        Ok(self.world.onboarding.values().any(keeps))
    }
    async fn onboardings(
        &mut self,
        project: &Project,
        after: Option<([u8; 32], &str)>,
        limit: u32,
    ) -> Stored<Vec<OrDamaged<OnboardRow>>> {
        let after = after.map(|(digest, serial)| (digest, serial.to_owned()));
        let wanted = |row: &OnboardRow| {
            row.project == *project
                && after.as_ref().is_none_or(|a| (row.cert_digest, row.serial.clone()) > *a)
        };
        Ok(listed(self.world.onboarding.values(), limit, wanted))
    }
    async fn drop_onboarding(&mut self, cert_digest: &[u8; 32], serial: &str) -> Stored<bool> {
        Ok(self.w().onboarding.remove(&(*cert_digest, serial.to_owned())).is_some())
    }
    async fn use_onboarding(&mut self, cert_digest: &[u8; 32], serial: &str, device: DeviceId) -> Stored<()> {
        let key = (*cert_digest, serial.to_owned());
        there(self.w().onboarding.get_mut(&key)).map(|row| row.device = Some(device))
    }
    async fn add_device(&mut self, row: &DeviceRow) -> Stored<()> {
        let like = |other: &DeviceRow| {
            (&other.project, &other.name) == (&row.project, &row.name)
                || other.cert_digest == row.cert_digest
                || row.key.is_some() && other.key == row.key
        };
        if self.find_device(like).is_some() {
            return Err(StoreError::Taken);
        }
        let fresh = DeviceRow {
            last_seen: None,
            section_digest: None,
            report: NodeWord::nothing(),
            verdict: NodeWord::nothing(),
            ..row.clone()
        };
        add(&mut self.w().devices, row.id, fresh)
    }
    async fn device(&mut self, id: DeviceId) -> Stored<Option<DeviceRow>> {
        Ok(self.world.devices.get(&id).cloned())
    }
    async fn device_by_cert(&mut self, cert_digest: &[u8; 32]) -> Stored<Option<DeviceRow>> {
        let present = self.find_device(|row| row.cert_digest == *cert_digest);
        let had = |(_, digests): &(&DeviceId, &Vec<[u8; 32]>)| digests.contains(cert_digest);
        let before = || self.world.certs_before.iter().find(had).map(|(id, _)| *id);
        Ok(present.or_else(|| self.world.devices.get(&before()?).cloned()))
    }
    async fn device_by_name(&mut self, project: &Project, name: &str) -> Stored<Option<DeviceRow>> {
        Ok(self.find_device(|row| row.project == *project && row.name.as_str() == name))
    }
    async fn device_by_key(&mut self, key: &[u8; 32]) -> Stored<Option<DeviceRow>> {
        Ok(self.find_device(|row| row.key.as_ref() == Some(key)))
    }
    async fn let_in_by(&mut self, cert_digest: &[u8; 32]) -> Stored<u64> {
        let by = |row: &&DeviceRow| row.let_in_by.as_ref() == Some(cert_digest);
        Ok(self.world.devices.values().filter(by).count() as u64)
    }
    async fn devices_before_keys(
        &mut self,
        after: Option<DeviceId>,
        limit: u32,
    ) -> Stored<Vec<OrDamaged<DeviceRow>>> {
        let wanted = |row: &DeviceRow| row.key.is_none() && Some(row.id) > after;
        Ok(listed(self.world.devices.values(), limit, wanted))
    }
    async fn put_device_key(&mut self, id: DeviceId, key: &[u8; 32]) -> Stored<()> {
        if self.find_device(|row| row.key.as_ref() == Some(key)).is_some() {
            return Err(StoreError::Taken);
        }
        self.change_device(id, |row| row.key = Some(*key))
    }
    async fn certify_device(
        &mut self,
        id: DeviceId,
        cert_digest: &[u8; 32],
        cert_der: &[u8],
        keep: u32,
    ) -> Stored<()> {
        if self.find_device(|row| row.id != id && row.cert_digest == *cert_digest).is_some() {
            return Err(StoreError::Taken);
        }
        let (digest, der) = (*cert_digest, cert_der.to_vec());
        let present = there(self.w().devices.get_mut(&id))?.cert_digest;
        let before = self.w().certs_before.entry(id).or_default();
        before.retain(|had| *had != digest);
        before.push(present);
        let over = before.len().saturating_sub(keep as usize);
        before.drain(..over);
        self.change_device(id, |row| (row.cert_digest, row.cert_der) = (digest, der))
    }
    async fn devices(&mut self, project: &Project, page: &Page) -> Stored<Vec<OrDamaged<DeviceRow>>> {
        let own = self.world.devices.values().filter(|row| row.project == *project);
        let by_name: BTreeMap<_, _> = own.map(|row| (row.name.to_string(), row)).collect();
        Ok(listed(by_name.into_values(), page.limit, |row| row.name.as_str() > page.after.as_str()))
    }
    async fn remains(&mut self, project: &Project, which: &str) -> Stored<Option<DeviceRemains>> {
        let by_id = self.find_device(|row| row.id.to_string() == which);
        let named = |row: &DeviceRow| row.project == *project && row.name.as_str() == which;
        let found = by_id.or_else(|| self.find_device(named));
        Ok(found.map(|row| DeviceRemains {
            has_bundle: row.held.is_some() || self.world.bundles.iter().any(|(of, _)| of.device == row.id),
            node_of: row.report.get().and_then(|report| report.accepted_for),
            id: row.id,
            project: Some(row.project),
            name: Some(row.name),
            labels: Some(row.labels),
            cert_digest: Some(row.cert_digest),
            cert_der: Some(row.cert_der),
            key: row.key,
            serial: Some(row.serial),
            lost_at: row.lost_at,
            alarm: row.alarm,
        }))
    }
    async fn saw_device(&mut self, id: DeviceId, at: UnixSeconds) -> Stored<()> {
        self.change_device(id, |row| row.last_seen = Some(at))
    }
    async fn heard_device(&mut self, id: DeviceId, at: UnixSeconds) -> Stored<()> {
        match self.device(id).await? {
            Some(row) if row.last_seen.is_none_or(|seen| seen < at || seen > at + 3600) => {
                self.saw_device(id, at).await
            }
            _ => Ok(()),
        }
    }
    async fn answered(&mut self, id: DeviceId, fared: &Fared, at: UnixSeconds) -> Stored<()> {
        self.change_device(id, |row| {
            row.answered += 1;
            (row.verdict, row.last_seen) = (fared.clone().into(), Some(at));
            row.proved_at = if fared.is_good() { Some(at) } else { row.proved_at };
        })
    }
    async fn proved_device(&mut self, id: DeviceId, at: UnixSeconds) -> Stored<()> {
        self.change_device(id, |row| row.proved_at = Some(at))
    }
    async fn pin_tpm(&mut self, id: DeviceId, tpm: TpmPin) -> Stored<()> {
        self.change_device(id, |row| row.tpm = tpm)
    }
    async fn set_learning(&mut self, id: DeviceId, learn: bool) -> Stored<()> {
        self.change_device(id, |row| row.learn = learn)
    }
    async fn put_report(&mut self, id: DeviceId, report: &DeviceReport, at: UnixSeconds) -> Stored<()> {
        self.change_device(id, |row| (row.report, row.last_seen) = (report.clone().into(), Some(at)))
    }
    async fn set_lost(&mut self, id: DeviceId, at: Option<UnixSeconds>) -> Stored<()> {
        self.change_device(id, |row| row.lost_at = at)
    }
    async fn set_alarm(&mut self, id: DeviceId, alarm: Option<&Alarm>) -> Stored<()> {
        self.change_device(id, |row| row.alarm = alarm.cloned())
    }
    async fn put_report_place(&mut self, id: DeviceId, session: &[u8; 32], number: u64) -> Stored<()> {
        self.change_device(id, |row| row.reported = Some((*session, number)))
    }
    async fn put_upload_place(&mut self, id: DeviceId, session: &[u8; 32], number: u64) -> Stored<()> {
        self.change_device(id, |row| row.uploaded = Some((*session, number)))
    }
    async fn drop_device(&mut self, id: DeviceId, removed: &RemovedRow) -> Stored<()> {
        let gone = there(self.w().devices.get_mut(&id))?.clone();
        let world = self.w();
        world.removed.insert(removed.cert_digest, removed.clone());
        let used = world.onboarding.values().filter(|row| row.device == Some(id)).map(|row| row.cert_digest);
        let came_by: HashSet<_> = used.chain(gone.let_in_by).collect();
        let is_its_open_one = |row: &OnboardRow| {
            row.device.is_none()
                && (&row.project, &row.serial) == (&gone.project, &gone.serial)
                && came_by.contains(&row.cert_digest)
        };
        let stays = |row: &OnboardRow| row.serial == "*" || (row.device != Some(id) && !is_its_open_one(row));
        world.onboarding.retain(|_, row| stays(row));
        world.onboarding.values_mut().for_each(|row| row.device = row.device.filter(|device| *device != id));
        world.certs.retain(|(device, _), _| *device != id);
        world.standings.remove(&id);
        world.sessions.retain(|(device, _), _| *device != id);
        world.references.retain(|_, row| row.device != id);
        world.vaults.retain(|(device, _), _| *device != id);
        world.epochs.retain(|(device, ..), _| *device != id);
        world.releases.retain(|(device, ..), _| *device != id);
        world.bundles.retain(|(row, _)| row.device != id);
        world.sent_before.remove(&id);
        world.past_vaults.remove(&id);
        world.certs_before.remove(&id);
        world.devices.remove(&id);
        Ok(())
    }
    async fn removed_device(&mut self, cert_digest: &[u8; 32], key: &[u8; 32]) -> Stored<Option<RemovedRow>> {
        let by_key = || self.world.removed.values().find(|row| row.key == *key);
        Ok(self.world.removed.get(cert_digest).or_else(by_key).cloned())
    }
    async fn forget_removal(&mut self, key: &[u8; 32]) -> Stored<()> {
        self.w().removed.retain(|_, row| row.key != *key);
        Ok(())
    }
    async fn certs(&mut self, device: DeviceId) -> Stored<Vec<CertRow>> {
        Ok(some(self.world.certs.values(), u32::MAX, |row| row.device == device))
    }
    async fn drop_cert(&mut self, device: DeviceId, kind: i32) -> Stored<()> {
        self.w().certs.remove(&(device, kind));
        Ok(())
    }
    async fn put_cert(&mut self, row: &CertRow) -> Stored<()> {
        self.w().certs.insert((row.device, row.kind), row.clone());
        Ok(())
    }
}

#[async_trait]
impl Chains for MemoryTx {
    async fn put_section(&mut self, id: DeviceId, version: u64, digest: &[u8; 32]) -> Stored<()> {
        self.change_device(id, |row| (row.section_version, row.section_digest) = (version, Some(*digest)))
    }
    async fn put_ledger(&mut self, id: DeviceId, ledger: &Ledger) -> Stored<()> {
        self.change_device(id, |row| row.ledger = ledger.clone())
    }
    async fn add_sent_before(&mut self, id: DeviceId, digests: &[SectionDigest]) -> Stored<()> {
        let sent = self.w().sent_before.entry(id).or_default();
        sent.retain(|digest| !digests.contains(digest));
        sent.extend(digests);
        sent.drain(..sent.len().saturating_sub(SENT_BEFORE as usize));
        Ok(())
    }
    async fn was_sent_before(&mut self, id: DeviceId, digest: &SectionDigest) -> Stored<bool> {
        Ok(self.world.sent_before.get(&id).is_some_and(|sent| sent.contains(digest)))
    }
    async fn set_older(&mut self, id: DeviceId, older: Option<Mark>) -> Stored<()> {
        self.change_device(id, |row| row.older = older)
    }
    async fn all_older(&mut self) -> Stored<Vec<Older>> {
        let marks: HashSet<_> =
            self.world.devices.values().filter_map(|row| row.older.map(Mark::older)).collect();
        Ok(marks.into_iter().collect())
    }
    async fn one_older(&mut self) -> Stored<Option<Older>> {
        Ok(self.world.devices.values().find_map(|row| row.older.map(Mark::older)))
    }
    async fn hold_back(&mut self, held: bool) -> Stored<()> {
        let world = self.w();
        let kept = world.deleted.iter_mut().map(|kept| &mut kept.was);
        for row in world.devices.values_mut().chain(kept) {
            row.older = if held { Some(Mark::held(row.older)) } else { row.older.and_then(Mark::checked) };
        }
        Ok(())
    }
    async fn number_anew(&mut self) -> Stored<()> {
        self.w().sent_before.clear();
        let kept = self.world.deleted.iter_mut().map(|kept| &mut kept.was);
        for row in self.world.devices.values_mut().chain(kept) {
            (row.section_version, row.section_digest, row.older) = (0, None, None);
            row.ledger = Ledger::default();
        }
        for kept in &mut self.world.deleted {
            kept.sent_before.clear();
            for row in &mut kept.of.vaults {
                (row.reported_epoch, row.report, row.reported_at) = (None, NodeWord::nothing(), None);
                row.recreate = false;
                begin_anew(row);
            }
        }
        for row in self.world.vaults.values_mut() {
            let gone = row.standing == VaultStanding::Gone;
            (row.reported_epoch, row.report, row.reported_at) = (None, NodeWord::nothing(), None);
            (row.recreate, row.left_version) = (false, gone.then_some(1));
            begin_anew(row);
        }
        Ok(())
    }
    async fn keep_ending(&mut self, now: UnixSeconds) -> Stored<()> {
        let keep = |row: &mut VaultRow| {
            row.recreate = false;
            begin_anew(row);
        };
        let world = self.w();
        world.deleted.iter_mut().flat_map(|kept| &mut kept.of.vaults).for_each(keep);
        world.vaults.values_mut().for_each(keep);
        self.keep_deleted_longer(now).await
    }
    async fn keep_deleted_longer(&mut self, now: UnixSeconds) -> Stored<()> {
        for kept in &mut self.w().deleted {
            let grace = kept.row.until.checked_sub(kept.row.deleted_at).unwrap_or(DELETED_GRACE_S);
            let whole = now.saturating_add(grace);
            kept.row.until = kept.row.until.max(whole.min(i64::MAX as u64));
        }
        Ok(())
    }
    async fn end_section(&mut self, id: DeviceId) -> Stored<()> {
        self.change_device(id, |row| row.section_digest = None)
    }
}

#[async_trait]
impl EvidenceRows for MemoryTx {
    async fn past_session(&mut self, device: DeviceId, session: &[u8; 32]) -> Stored<Option<PastSession>> {
        Ok(self.world.sessions.get(&(device, *session)).cloned())
    }
    async fn end_session(&mut self, row: &PastSession, keep: u32) -> Stored<()> {
        let sessions = &mut self.w().sessions;
        sessions.insert((row.device, row.session), row.clone());
        let own = sessions.values().filter(|past| past.device == row.device);
        let mut newest: Vec<_> = own.map(|past| (past.ended_at, past.session)).collect();
        newest.sort_unstable();
        for (_, session) in newest.into_iter().rev().skip(keep as usize) {
            sessions.remove(&(row.device, session));
        }
        Ok(())
    }
    async fn resume_session(&mut self, device: DeviceId, session: &[u8; 32]) -> Stored<()> {
        self.w().sessions.remove(&(device, *session));
        Ok(())
    }
    async fn sessions_since(&mut self, device: DeviceId, after: UnixSeconds) -> Stored<u64> {
        let counts = |past: &&PastSession| {
            past.device == device && past.ended_at > after && !past.settled && !past.booted
        };
        Ok(self.world.sessions.values().filter(counts).count() as u64)
    }
    async fn settle_sessions(&mut self, device: DeviceId) -> Stored<()> {
        let own = self.w().sessions.values_mut().filter(|past| past.device == device);
        own.for_each(|past| past.settled = true);
        Ok(())
    }
    async fn standing(&mut self, device: DeviceId) -> Stored<Option<StandingRow>> {
        Ok(self.world.standings.get(&device).cloned())
    }
    async fn put_standing(&mut self, row: &StandingRow) -> Stored<()> {
        self.w().standings.insert(row.device, row.clone());
        Ok(())
    }
    async fn drop_standing(&mut self, device: DeviceId) -> Stored<()> {
        self.w().standings.remove(&device);
        Ok(())
    }
    async fn renew_standing(&mut self, device: DeviceId) -> Stored<()> {
        if let Some(row) = self.w().standings.get_mut(&device) {
            row.renew = true;
        }
        Ok(())
    }
    async fn add_reference(&mut self, row: &ReferenceRow) -> Stored<i64> {
        self.is_of_its_devices_project(row.device, &row.project)?;
        let id = self.world.numbered + 1;
        self.w().numbered = id;
        self.w().references.insert(id, ReferenceRow { id, ..row.clone() });
        Ok(id)
    }
    async fn reference(&mut self, project: &Project, id: i64) -> Stored<Option<ReferenceRow>> {
        Ok(self.world.references.get(&id).filter(|row| row.project == *project).cloned())
    }
    async fn references_of(&mut self, device: DeviceId) -> Stored<Vec<ReferenceRow>> {
        Ok(some(self.world.references.values(), u32::MAX, |row| row.device == device))
    }
    async fn references_listed(&mut self, device: DeviceId) -> Stored<Vec<OrDamaged<ReferenceRow>>> {
        Ok(listed(self.world.references.values(), u32::MAX, |row| row.device == device))
    }
    async fn references(
        &mut self,
        project: &Project,
        after: i64,
        limit: u32,
    ) -> Stored<Vec<OrDamaged<ReferenceRow>>> {
        let wanted = |row: &ReferenceRow| row.project == *project && row.id > after;
        Ok(listed(self.world.references.values(), limit, wanted))
    }
    async fn judge_reference(&mut self, id: i64, state: ReferenceState, at: UnixSeconds) -> Stored<()> {
        let judge = |row: &mut ReferenceRow| (row.state, row.decided_at) = (state, Some(at));
        there(self.w().references.get_mut(&id)).map(judge)
    }
}

#[async_trait]
impl Vaults for MemoryTx {
    async fn policy(&mut self, project: &Project, name: &str) -> Stored<Option<PolicyRow>> {
        let is = |row: &&PolicyRow| row.project == *project && row.policy.name.as_str() == name;
        Ok(self.world.policies.values().find(is).cloned())
    }
    async fn policies(&mut self, project: &Project, page: &Page) -> Stored<Vec<OrDamaged<PolicyRow>>> {
        let wanted =
            |row: &PolicyRow| row.project == *project && row.policy.name.as_str() > page.after.as_str();
        Ok(listed(self.world.policies.values(), page.limit, wanted))
    }
    async fn put_policy(&mut self, row: &PolicyRow) -> Stored<()> {
        self.w().policies.insert((row.project.clone(), row.policy.name.clone()), row.clone());
        Ok(())
    }
    async fn drop_policy(&mut self, project: &Project, name: &str) -> Stored<()> {
        self.w().policies.retain(|_, row| row.project != *project || row.policy.name.as_str() != name);
        Ok(())
    }
    async fn vault_with_policy(&mut self, project: &Project, policy: &str) -> Stored<Option<VaultRow>> {
        Ok(some(self.world.vaults.values(), 1, |row| names(row, project, policy)).pop())
    }
    async fn vault_with_policy_and_tpm(
        &mut self,
        project: &Project,
        policy: &str,
        tpm: TpmPin,
    ) -> Stored<Option<VaultRow>> {
        let wanted = |row: &VaultRow| {
            names(row, project, policy)
                && row.standing == VaultStanding::Active
                && self.world.devices.get(&row.device).is_some_and(|device| device.tpm == tpm)
        };
        Ok(some(self.world.vaults.values(), 1, wanted).pop())
    }
    async fn vaults(&mut self, device: DeviceId) -> Stored<Vec<VaultRow>> {
        Ok(some(self.world.vaults.values(), u32::MAX, |row| row.device == device))
    }
    async fn vaults_listed(&mut self, device: DeviceId) -> Stored<Vec<OrDamaged<VaultRow>>> {
        Ok(listed(self.world.vaults.values(), u32::MAX, |row| row.device == device))
    }
    async fn vaults_of_identity(
        &mut self,
        project: &Project,
        id: VaultId,
        limit: u32,
    ) -> Stored<Vec<OrDamaged<VaultRow>>> {
        Ok(listed(self.world.vaults.values(), limit, |row| row.id == id && row.project == *project))
    }
    async fn defaults_under(&mut self, project: &Project, policy: &Name) -> Stored<Vec<VaultRow>> {
        let under = |row: &VaultRow| names(row, project, policy.as_str()) && row.id.is_default();
        Ok(some(self.world.vaults.values(), u32::MAX, under))
    }
    async fn vaults_under(&mut self, project: &Project, policy: &Name, limit: u32) -> Stored<Vec<VaultRow>> {
        let under =
            |row: &VaultRow| names(row, project, policy.as_str()) && row.standing == VaultStanding::Active;
        Ok(some(self.world.vaults.values(), limit, under))
    }
    async fn vault(&mut self, device: DeviceId, id: VaultId) -> Stored<Option<VaultRow>> {
        Ok(self.world.vaults.get(&(device, id)).cloned())
    }
    async fn vault_by_name(&mut self, device: DeviceId, name: &Name) -> Stored<Option<VaultRow>> {
        let wanted =
            |row: &VaultRow| row.device == device && row.name == *name && row.standing != VaultStanding::Gone;
        Ok(some(self.world.vaults.values(), 1, wanted).pop())
    }
    async fn all_vaults(
        &mut self,
        project: &Project,
        after: Option<(DeviceId, VaultId)>,
        limit: u32,
    ) -> Stored<Vec<OrDamaged<VaultRow>>> {
        let own = |row: &VaultRow| row.project == *project;
        let wanted = |row: &VaultRow| own(row) && after.is_none_or(|after| (row.device, row.id) > after);
        Ok(listed(self.world.vaults.values(), limit, wanted))
    }
    async fn add_vault(&mut self, row: &VaultRow) -> Stored<()> {
        if self.vault_by_name(row.device, &row.name).await?.is_some() {
            return Err(StoreError::Taken);
        }
        self.is_of_its_devices_project(row.device, &row.project)?;
        self.policy_is_there(&row.project, row.policy.as_ref())?;
        add(&mut self.w().vaults, (row.device, row.id), row.clone())
    }
    async fn rename_vault(&mut self, device: DeviceId, id: VaultId, name: &Name) -> Stored<()> {
        if self.vault_by_name(device, name).await?.is_some() {
            return Err(StoreError::Taken);
        }
        self.change_vault(device, id, |row| row.name = name.clone())
    }
    async fn want_vault(&mut self, device: DeviceId, id: VaultId, policy: Option<&Name>) -> Stored<()> {
        let project = there(self.w().vaults.get_mut(&(device, id)))?.project.clone();
        self.policy_is_there(&project, policy)?;
        let wanted = (policy.cloned(), VaultStanding::Active, None);
        self.change_vault(device, id, |row| {
            (row.policy, row.standing, row.delete_at) = wanted;
            row.recreate = false;
        })
    }
    async fn begin_grace(&mut self, device: DeviceId, id: VaultId, until: UnixSeconds) -> Stored<()> {
        let removing = (VaultStanding::Removing, Some(until));
        self.change_vault(device, id, |row| {
            (row.standing, row.delete_at) = removing;
            row.recreate = false;
        })
    }
    async fn retain_vault(&mut self, device: DeviceId, id: VaultId) -> Stored<()> {
        self.change_vault(device, id, |row| {
            (row.standing, row.delete_at, row.recreate) = (VaultStanding::Retained, None, false);
        })
    }
    async fn end_grace(&mut self, device: DeviceId, id: VaultId, left_version: u64) -> Stored<()> {
        let gone = (VaultStanding::Gone, None, Some(left_version));
        self.change_vault(device, id, |row| (row.standing, row.policy, row.left_version) = gone)
    }
    async fn set_recreate(&mut self, device: DeviceId, id: VaultId, recreate: bool) -> Stored<()> {
        self.change_vault(device, id, |row| row.recreate = recreate)
    }
    async fn put_epochs(&mut self, device: DeviceId, id: VaultId, current: Epoch, last: Epoch) -> Stored<()> {
        self.change_vault(device, id, |row| (row.current_epoch, row.last_epoch) = (current, last))
    }
    async fn report_vault(&mut self, device: DeviceId, id: VaultId, said: &VaultSaid) -> Stored<()> {
        self.change_vault(device, id, |row| {
            (row.created, row.recreate) = (said.created, said.recreate);
            (row.reported_epoch, row.report, row.reported_at) =
                (said.epoch, said.report.clone().into(), Some(said.at));
        })
    }
    async fn drop_vault(&mut self, device: DeviceId, id: VaultId) -> Stored<()> {
        self.drop_epochs(device, id).await?;
        let name = there(self.w().vaults.get_mut(&(device, id)))?.name.clone();
        self.w().vaults.remove(&(device, id));
        let past = self.w().past_vaults.entry(device).or_default();
        past.retain(|(of, _)| *of != id);
        past.push((id, name));
        past.drain(..past.len().saturating_sub(PAST_VAULTS as usize));
        Ok(())
    }
    async fn was_vault(&mut self, device: DeviceId, which: &Name) -> Stored<bool> {
        let mut past = self.world.past_vaults.get(&device).into_iter().flatten();
        let (id, name) = (which.as_str().parse::<VaultId>().ok(), which);
        Ok(past.any(|(of, called)| Some(*of) == id || called == name))
    }
    async fn move_graces(&mut self, by_s: i64) -> Stored<()> {
        const LAST: u64 = i64::MAX as u64;
        let moved = |until: u64| match until {
            LAST => LAST,
            until => until.saturating_add_signed(by_s).min(LAST),
        };
        for row in self.w().vaults.values_mut().filter(|row| row.standing == VaultStanding::Removing) {
            row.delete_at = row.delete_at.map(moved);
        }
        for KeptDevice { row, .. } in &mut self.w().deleted {
            row.until = moved(row.until);
        }
        Ok(())
    }
    async fn graces_over(
        &mut self,
        now: UnixSeconds,
        after: Option<Grace>,
        limit: u32,
    ) -> Stored<Vec<Grace>> {
        let removing = self.world.vaults.values().filter(|row| row.standing == VaultStanding::Removing);
        let graces = removing
            .filter_map(|row| Some(Grace { until: row.delete_at?, device: row.device, vault: row.id }));
        let older = self.world.devices.values().any(|device| device.older.is_some());
        let all: BTreeSet<Grace> = graces.filter(|_| !older).collect();
        let due = |grace: &Grace| grace.until <= now && after.is_none_or(|after| *grace > after);
        Ok(some(all.iter(), limit, due))
    }
}

#[async_trait]
impl Bundles for MemoryTx {
    async fn put_bundle(&mut self, row: &BundleRow) -> Stored<()> {
        let world = self.w();
        there(world.devices.get_mut(&row.device))?.held = Some(row.held);
        world
            .bundles
            .retain(|(other, _)| (other.device, other.held.id.digest) != (row.device, row.held.id.digest));
        world.bundles.push((row.clone(), false));
        Ok(())
    }
    async fn bundles(&mut self, device: DeviceId) -> Stored<Vec<ListedBundle>> {
        let own = self.world.bundles.iter().rev().filter(|(row, _)| row.device == device);
        Ok(own
            .map(|(row, offered)| ListedBundle { held: row.held, has: row.has.clone(), offered: *offered })
            .collect())
    }
    async fn bundles_listed(&mut self, device: DeviceId) -> Stored<Vec<OrDamaged<ListedBundle>>> {
        Ok(self.bundles(device).await?.into_iter().map(OrDamaged::Whole).collect())
    }
    async fn note_contents(&mut self, device: DeviceId, digest: &[u8; 32], has: &Contents) -> Stored<()> {
        let is_it = |(row, _): &&mut (BundleRow, bool)| (row.device, &row.held.id.digest) == (device, digest);
        there(self.w().bundles.iter_mut().find(is_it))?.0.has = Some(has.clone());
        Ok(())
    }
    async fn offer_bundle(&mut self, device: DeviceId, digest: Option<&[u8; 32]>) -> Stored<()> {
        for (row, offered) in self.w().bundles.iter_mut().filter(|(row, _)| row.device == device) {
            *offered = Some(&row.held.id.digest) == digest;
        }
        Ok(())
    }
    async fn drop_bundle(&mut self, device: DeviceId, digest: &[u8; 32]) -> Stored<()> {
        let world = self.w();
        let newest = world.devices.get(&device).and_then(|row| row.held).map(|held| held.id.digest);
        let before = world.bundles.len();
        let goes = |row: &BundleRow| (row.device, &row.held.id.digest) == (device, digest);
        world.bundles.retain(|(row, _)| !goes(row) || newest.as_ref() == Some(digest));
        let gone = before - world.bundles.len();
        there((gone > 0).then_some(&mut ())).map(drop)
    }
    async fn put_drills(&mut self, device: DeviceId, drills: &Drills) -> Stored<()> {
        self.change_device(device, |row| row.drills = drills.clone().into())
    }
    async fn set_no_room(&mut self, device: DeviceId, since: Option<UnixSeconds>) -> Stored<()> {
        self.change_device(device, |row| row.no_room_at = since)
    }
    async fn bundle(&mut self, device: DeviceId, digest: &[u8; 32]) -> Stored<Option<BundleRow>> {
        let is_it = |(row, _): &&(BundleRow, bool)| (row.device, &row.held.id.digest) == (device, digest);
        Ok(self.world.bundles.iter().find(is_it).map(|(row, _)| row.clone()))
    }
    async fn bundle_of(&mut self, device: DeviceId, generation: Generation) -> Stored<Option<BundleRow>> {
        let is_it =
            |(row, _): &&(BundleRow, bool)| (row.device, row.held.id.generation) == (device, generation);
        let of = || self.world.bundles.iter().rev().filter(is_it);
        Ok(of().find(|(_, offered)| *offered).or_else(|| of().next()).map(|(row, _)| row.clone()))
    }
}

/// As [`vault::life`] says of one whose grace runs.
fn begin_anew(row: &mut VaultRow) {
    if row.standing == VaultStanding::Removing {
        (row.standing, row.delete_at) = VaultStanding::of(Phase::Grace { until: 0 }.begun_anew());
    }
}

fn deleted_rows(world: &World, wanted: impl Fn(&DeletedRow) -> bool) -> Vec<DeletedRow> {
    world.deleted.iter().map(|kept| &kept.row).filter(|row| wanted(row)).cloned().collect()
}

/// Under other keys.
fn rekeyed<K: Ord, V>(rows: &mut BTreeMap<K, V>, anew: impl Fn(K, V) -> (K, V)) {
    *rows = std::mem::take(rows).into_iter().map(|(key, row)| anew(key, row)).collect();
}

/// A vault of a device that has another identity.
fn of_another(device: DeviceId, row: VaultRow) -> VaultRow {
    let gone = row.standing == VaultStanding::Gone;
    let left_version = if gone { Some(1) } else { row.left_version };
    let mut row = VaultRow { device, recreate: false, left_version, ..row };
    begin_anew(&mut row);
    row
}

fn to_none_of_now(device: DeviceId, row: ReleaseRow) -> ReleaseRow {
    ReleaseRow { device, session: [0; 32], enc: Vec::new(), ciphertext: Vec::new(), ..row }
}

#[async_trait]
impl Identities for MemoryTx {
    async fn identify(&mut self, device: DeviceId, anew: DeviceId, sealed: &SealedAnew) -> Stored<()> {
        if self.world.devices.contains_key(&anew) {
            return Err(StoreError::Taken);
        }
        let world = self.w();
        let was = there(world.devices.get_mut(&device))?.clone();
        let ledger = Ledger::default();
        let is = DeviceRow { id: anew, section_version: 0, section_digest: None, ledger, ..was };
        world.devices.remove(&device);
        world.devices.insert(anew, is);
        world.sent_before.remove(&device);
        let as_now = |of: DeviceId| if of == device { anew } else { of };
        rekeyed(&mut world.past_vaults, |of, rows| (as_now(of), rows));
        rekeyed(&mut world.certs_before, |of, rows| (as_now(of), rows));
        rekeyed(&mut world.standings, |of, row| {
            let renew = row.renew || of == device;
            (as_now(of), StandingRow { device: as_now(of), renew, ..row })
        });
        rekeyed(&mut world.certs, |(of, kind), row| {
            ((as_now(of), kind), CertRow { device: as_now(of), ..row })
        });
        rekeyed(&mut world.sessions, |(of, session), row| {
            ((as_now(of), session), PastSession { device: as_now(of), ..row })
        });
        rekeyed(&mut world.references, |id, row| (id, ReferenceRow { device: as_now(row.device), ..row }));
        rekeyed(&mut world.onboarding, |key, row| {
            (key, OnboardRow { device: row.device.map(as_now), ..row })
        });
        rekeyed(&mut world.vaults, |(of, id), row| {
            let row = if of == device { of_another(anew, row) } else { row };
            ((as_now(of), id), row)
        });
        rekeyed(&mut world.epochs, |(of, id, epoch), row| {
            ((as_now(of), id, epoch), EpochRow { device: as_now(of), ..row })
        });
        rekeyed(&mut world.releases, |(of, id, epoch, custody), row| {
            let row = if of == device { to_none_of_now(anew, row) } else { row };
            ((as_now(of), id, epoch, custody), row)
        });
        world.bundles.iter_mut().for_each(|(row, _)| row.device = as_now(row.device));
        for row in &sealed.epochs {
            let kept = there(world.epochs.get_mut(&(anew, row.vault, row.epoch)))?;
            (kept.project, kept.sealed) = (row.project.clone(), row.sealed.clone());
        }
        for row in &sealed.bundles {
            let is_it = |(of, _): &&mut (BundleRow, bool)| {
                (of.device, of.held.id.digest) == (anew, row.held.id.digest)
            };
            there(world.bundles.iter_mut().find(is_it))?.0.sealed = row.sealed.clone();
        }
        Ok(())
    }
}

#[async_trait]
impl Deleted for MemoryTx {
    async fn keep_deleted(&mut self, row: &DeletedRow) -> Stored<()> {
        let (world, id) = (self.w(), row.device);
        if world.kept(row.id).is_ok() {
            return Err(StoreError::Taken);
        }
        let was = there(world.devices.get_mut(&id))?.clone();
        let vaults = world.vaults.values().filter(|of| of.device == id);
        let epochs = world.epochs.values().filter(|of| of.device == id);
        let went_out = world.releases.values().filter(|of| of.device == id);
        let bundles = world.bundles.iter().filter(|(of, _)| of.device == id);
        let out =
            |row: &ReleaseRow| WentOut { vault: row.vault, epoch: row.epoch, custody: row.custody.clone() };
        let kept = |(row, offered): &(BundleRow, bool)| KeptBundle { row: row.clone(), offered: *offered };
        let of = OfDeleted {
            vaults: vaults.cloned().collect(),
            epochs: epochs.cloned().collect(),
            went_out: went_out.map(out).collect(),
            bundles: bundles.map(kept).collect(),
            drills: was.drills.clone(),
            damaged: Vec::new(),
        };
        let sent_before = world.sent_before.get(&id).cloned().unwrap_or_default();
        let sessions = world.sessions.values().filter(|of| of.device == id).cloned().collect();
        let certs = world.certs.values().filter(|of| of.device == id).cloned().collect();
        let past_vaults = world.past_vaults.get(&id).cloned().unwrap_or_default();
        world.deleted.push(KeptDevice {
            row: row.clone(),
            of,
            was,
            sent_before,
            past_vaults,
            sessions,
            certs,
        });
        Ok(())
    }
    async fn deleted(&mut self, project: &Project) -> Stored<Vec<OrDamaged<DeletedRow>>> {
        let rows = deleted_rows(&self.world, |row| row.project == *project);
        Ok(rows.into_iter().map(OrDamaged::Whole).collect())
    }
    async fn deleted_by_key(&mut self, key: &[u8; 32]) -> Stored<Vec<OrDamaged<DeletedRow>>> {
        let rows = deleted_rows(&self.world, |row| row.key == *key);
        Ok(rows.into_iter().map(OrDamaged::Whole).collect())
    }
    async fn deleted_as(&mut self, id: DeviceId) -> Stored<Vec<OrDamaged<DeletedRow>>> {
        let rows = deleted_rows(&self.world, |row| row.device == id || row.id == id);
        Ok(rows.into_iter().map(OrDamaged::Whole).collect())
    }
    async fn deleted_over(&mut self, now: UnixSeconds) -> Stored<Vec<OrDamaged<DeviceId>>> {
        let mut rows = deleted_rows(&self.world, |row| row.until <= now);
        rows.sort_by_key(|row| (row.until, row.id));
        Ok(rows.into_iter().map(|row| OrDamaged::Whole(row.id)).collect())
    }
    async fn of_deleted(&mut self, id: DeviceId) -> Stored<OfDeleted> {
        let found = self.world.deleted.iter().find(|kept| kept.row.id == id);
        Ok(found.map(|kept| kept.of.clone()).unwrap_or_default())
    }
    async fn go_on(&mut self, id: DeviceId, device: DeviceId) -> Stored<()> {
        let world = self.w();
        let KeptDevice { was, sent_before, past_vaults, sessions, certs, .. } = world.kept(id)?.clone();
        let row = there(world.devices.get_mut(&device))?;
        (row.section_version, row.section_digest, row.ledger) = (was.section_version, None, was.ledger);
        row.tpm = was.tpm;
        (row.older, row.answered) = (was.older, was.answered);
        (row.reported, row.uploaded) = (was.reported, was.uploaded);
        world.certs.extend(certs.into_iter().map(|it| ((device, it.kind), CertRow { device, ..it })));
        if !sent_before.is_empty() {
            world.sent_before.insert(device, sent_before);
        }
        if !past_vaults.is_empty() {
            world.past_vaults.insert(device, past_vaults);
        }
        world
            .sessions
            .extend(sessions.into_iter().map(|it| ((device, it.session), PastSession { device, ..it })));
        Ok(())
    }
    async fn forget_deleted_vault(&mut self, id: DeviceId, vault: VaultId) -> Stored<()> {
        let of = &mut self.w().kept(id)?.of;
        of.went_out.retain(|row| row.vault != vault);
        of.epochs.retain(|row| row.vault != vault);
        of.vaults.retain(|row| row.id != vault);
        Ok(())
    }
    async fn forget_deleted_bundle(&mut self, id: DeviceId, digest: &[u8; 32]) -> Stored<()> {
        self.w().kept(id)?.of.bundles.retain(|kept| kept.row.held.id.digest != *digest);
        Ok(())
    }
    async fn forget_deleted(&mut self, id: DeviceId) -> Stored<()> {
        self.w().kept(id)?;
        self.w().deleted.retain(|kept| kept.row.id != id);
        Ok(())
    }
}

#[async_trait]
impl KeyRows for MemoryTx {
    async fn meta(&mut self, name: &str) -> Stored<Option<Vec<u8>>> {
        Ok(self.world.meta.get(name).cloned())
    }
    async fn put_meta(&mut self, name: &str, value: &[u8]) -> Stored<()> {
        self.w().meta.insert(name.to_owned(), value.to_vec());
        Ok(())
    }
    async fn key(&mut self, name: &str) -> Stored<Option<KeyRow>> {
        Ok(self.world.keys.get(name).cloned())
    }
    async fn put_key(&mut self, row: &KeyRow) -> Stored<()> {
        self.w().keys.insert(row.name.clone(), row.clone());
        Ok(())
    }
    async fn token(&mut self, hash: &[u8; 32]) -> Stored<Option<TokenRow>> {
        Ok(self.world.tokens.get(hash).cloned())
    }
    async fn add_token(&mut self, row: &TokenRow) -> Stored<()> {
        add(&mut self.w().tokens, row.hash, row.clone())
    }
    async fn drop_other_tokens(&mut self, project: &Project, than: &[u8; 32]) -> Stored<u64> {
        let before = self.world.tokens.len();
        self.w().tokens.retain(|hash, row| hash == than || row.project != *project);
        Ok((before - self.world.tokens.len()) as u64)
    }
    async fn period(&mut self, period: &str) -> Stored<Option<Vec<u8>>> {
        Ok(self.world.periods.get(period).cloned())
    }
    async fn add_period(&mut self, period: &str, sealed: &[u8]) -> Stored<()> {
        add(&mut self.w().periods, period.to_owned(), sealed.to_vec())
    }
    async fn epoch(&mut self, device: DeviceId, vault: VaultId, epoch: Epoch) -> Stored<Option<EpochRow>> {
        Ok(self.world.epochs.get(&(device, vault, epoch)).cloned())
    }
    async fn epochs_in_use(&mut self, device: DeviceId) -> Stored<Vec<OrDamaged<EpochRow>>> {
        let of = |row: &EpochRow| self.world.vaults.get(&(row.device, row.vault));
        let is_used = |row: &&EpochRow| {
            row.device == device
                && of(row).is_some_and(|vault| [vault.current_epoch, vault.last_epoch].contains(&row.epoch))
        };
        Ok(self.world.epochs.values().filter(is_used).cloned().map(OrDamaged::Whole).collect())
    }
    async fn epochs_before_projects(
        &mut self,
        after: Option<(DeviceId, VaultId, Epoch)>,
        limit: u32,
    ) -> Stored<Vec<EpochRow>> {
        let at = |row: &EpochRow| (row.device, row.vault, row.epoch);
        let wanted = |row: &EpochRow| row.project.is_none() && after.is_none_or(|after| at(row) > after);
        Ok(some(self.world.epochs.values(), limit, wanted))
    }
    async fn bind_epoch(&mut self, row: &EpochRow) -> Stored<()> {
        let before = self.w().epochs.get_mut(&(row.device, row.vault, row.epoch));
        let before = there(before.filter(|before| before.project.is_none()))?;
        (before.project, before.sealed) = (row.project.clone(), row.sealed.clone());
        Ok(())
    }
    async fn add_epoch(&mut self, row: &EpochRow) -> Stored<()> {
        add(&mut self.w().epochs, (row.device, row.vault, row.epoch), row.clone())
    }
    async fn drop_epochs(&mut self, device: DeviceId, vault: VaultId) -> Stored<()> {
        self.w().epochs.retain(|(of, id, _), _| (*of, *id) != (device, vault));
        self.w().releases.retain(|(of, id, ..), _| (*of, *id) != (device, vault));
        Ok(())
    }
    async fn drop_old_releases(&mut self, device: DeviceId, vault: VaultId, epoch: Epoch) -> Stored<()> {
        let of = |(of, id, ..): &(DeviceId, VaultId, Epoch, String)| (*of, *id) == (device, vault);
        let newest = self.world.releases.keys().filter(|key| of(key)).map(|key| key.2).max();
        self.w().releases.retain(|key, _| !of(key) || key.2 >= epoch || Some(key.2) == newest);
        Ok(())
    }
    async fn drop_releases_before(&mut self, device: DeviceId, vault: VaultId, epoch: Epoch) -> Stored<()> {
        self.w().releases.retain(|(of, id, at, _), _| (*of, *id) != (device, vault) || *at >= epoch);
        Ok(())
    }
    async fn releases(
        &mut self,
        project: &Project,
        device: DeviceId,
        session: &[u8; 32],
    ) -> Stored<Vec<ReleaseRow>> {
        let own = |row: &&ReleaseRow| (&row.project, row.device, &row.session) == (project, device, session);
        Ok(self.world.releases.values().filter(own).cloned().collect())
    }
    async fn releases_of(&mut self, device: DeviceId, vault: VaultId) -> Stored<Vec<ReleaseRow>> {
        let own = |row: &&ReleaseRow| (row.device, row.vault) == (device, vault);
        Ok(self.world.releases.values().filter(own).cloned().collect())
    }
    async fn put_release(&mut self, row: &ReleaseRow) -> Stored<()> {
        self.w().releases.insert((row.device, row.vault, row.epoch, row.custody.clone()), row.clone());
        Ok(())
    }
}
