//! Reference values: learned from a device's first good quote, or given before the boot that shows them, and worth nothing until an operator
//! approves them.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};

use vault::ids::{DeviceId, Name, Project};
use vault::policy::Check;

use super::show::readable;
use super::{Operator, differences};
use crate::api::{Done, Listed, NewReference, Reference};
use crate::fleet::evidence::unmeasured;
use crate::fleet::view::policy_of;
use crate::service::{
    APPRAISED_PCRS, BadRequest, Fault, InTheWay, Refusal, Unknown, device_by_id, find_device,
};
use crate::store::{
    DeviceRow, OrDamaged, Pcrs, ReferenceRow, ReferenceState, Scope, Strange, Tx, UnixSeconds, VaultStanding,
};
use crate::words::notes;

impl Reference {
    fn of(row: &ReferenceRow, of_device: &[ReferenceRow]) -> Self {
        Self {
            differs: differences::in_short(row, of_device),
            id: row.id,
            device: row.device,
            device_name: None,
            state: row.state,
            learned: crate::clock::text(row.learned_at),
            decided: row.decided_at.map(crate::clock::text),
            bank: row.pcrs.bank().map(|bank| bank.to_string()),
            pcrs: row.pcrs.clone().into(),
        }
    }
}

/// An approval of PCRs that nothing was measured into would approve of any software.
fn measured(row: &ReferenceRow, device: &Name) -> Result<(), InTheWay> {
    match unmeasured(&row.pcrs) {
        None => Ok(()),
        Some(why) => Err(InTheWay::Unmeasured { reference: row.id, device: device.clone(), why }),
    }
}

impl Operator {
    /// Those of one device, or of all after a number.
    ///
    /// # Errors
    /// [`Refusal`].
    pub async fn references(
        &self,
        device: Option<&str>,
        after: i64,
        limit: u32,
    ) -> Result<Vec<Listed<Reference>>, Refusal> {
        self.store.read(|tx| Box::pin(listed(tx, &self.project, device, after, limit))).await
    }

    /// An operator's word on one. The device is challenged anew at its next contact.
    ///
    /// # Errors
    /// [`Refusal`].
    pub async fn judge_reference(
        &self,
        id: i64,
        state: ReferenceState,
        now: UnixSeconds,
    ) -> Result<Done, Refusal> {
        let device = self.store.read(|tx| Box::pin(known(tx, &self.project, id))).await?.device;
        let scope = Scope::Device(device);
        let (device, notes) =
            self.store.write(scope, |tx| Box::pin(judged(tx, &self.project, id, state, now))).await?;
        let word = if state == ReferenceState::Approved { "approved" } else { "rejected" };
        Ok(Done { done: format!("reference {id} of device `{device}` is {word}"), notes })
    }

    /// Adds the values that a boot to come will show, to be approved before it.
    ///
    /// # Errors
    /// [`Refusal`]: they are none that such a boot can show, or are there already.
    pub async fn add_reference(
        &self,
        device: &str,
        new: NewReference,
        now: UnixSeconds,
    ) -> Result<Reference, Refusal> {
        let id = self.meant(device).await?;
        let scope = Scope::Device(id);
        self.store.write(scope, |tx| Box::pin(added(tx, &self.project, id, &new, now))).await
    }

    /// The device's next good quote is learned, once more.
    ///
    /// # Errors
    /// [`Refusal`].
    pub async fn learn_again(&self, device: &str) -> Result<Done, Refusal> {
        let id = self.meant(device).await?;
        let scope = Scope::Device(id);
        let row = self.store.write(scope, |tx| Box::pin(learns_again(tx, &self.project, id))).await?;
        let bare = row.verdict.get().is_some_and(|fared| fared.strange == Some(Strange::Unmeasured));
        Ok(Done {
            done: format!("the next good quote of device `{}` is learned, to be approved", row.name),
            notes: bare.then(|| notes::OF_UNMEASURED.into()).into_iter().collect(),
        })
    }
}

async fn listed(
    tx: &mut dyn Tx,
    project: &Project,
    device: Option<&str>,
    after: i64,
    limit: u32,
) -> Result<Vec<Listed<Reference>>, Refusal> {
    let rows = match device {
        Some(which) => {
            let device = find_device(tx, project, which).await?;
            tx.references_listed(device.id).await?
        }
        None => tx.references(project, after, limit).await?,
    };
    let mut of_devices: HashMap<DeviceId, (Option<Name>, Vec<ReferenceRow>)> = HashMap::new();
    let mut shown = Vec::new();
    for row in rows {
        if let OrDamaged::Whole(row) = &row
            && let Entry::Vacant(new) = of_devices.entry(row.device)
        {
            new.insert(of_device(tx, row.device).await?);
        }
        shown.push(row.map(|row| {
            let (name, of_device) = &of_devices[&row.device];
            Reference { device_name: name.clone(), ..Reference::of(&row, of_device) }
        }));
    }
    Ok(shown.into_iter().map(Into::into).collect())
}

/// A device's name, and its reference values, as far as they read.
async fn of_device(tx: &mut dyn Tx, device: DeviceId) -> Result<(Option<Name>, Vec<ReferenceRow>), Refusal> {
    let row = readable(tx.device(device).await.map_err(Refusal::from))?.flatten();
    let rows = tx.references_listed(device).await?;
    Ok((row.map(|row| row.name), rows.into_iter().filter_map(|row| row.whole().ok()).collect()))
}

/// Of which device, what it says beside what was approved before, where it is approved, and which vaults that opens or keeps closed.
async fn judged(
    tx: &mut dyn Tx,
    project: &Project,
    id: i64,
    state: ReferenceState,
    now: UnixSeconds,
) -> Result<(Name, Vec<String>), Refusal> {
    let row = known(tx, project, id).await?;
    let device = tx.device(row.device).await?.ok_or(Fault::NoDevice)?;
    if state == ReferenceState::Approved {
        measured(&row, &device.name)?;
    }
    let of_device = tx.references_of(row.device).await?;
    // The word is on the values: an earlier `evc` may have learned them more than once.
    let same: Vec<i64> =
        of_device.iter().filter(|other| other.pcrs == row.pcrs).map(|other| other.id).collect();
    for id in &same {
        tx.judge_reference(*id, state, now).await?;
    }
    tx.renew_standing(row.device).await?;
    let approved = state == ReferenceState::Approved;
    let differs = if approved { differences::in_full(&row, &of_device) } else { Vec::new() };
    let concerned = concerned(tx, &device).await?;
    let alike = notes::of_same_values(id, &same);
    Ok((
        device.name,
        differs.into_iter().chain(alike).chain([notes::of_judged(&concerned, approved)]).collect(),
    ))
}

/// The device's vaults whose key is released only to a boot that was approved.
async fn concerned(tx: &mut dyn Tx, device: &DeviceRow) -> Result<Vec<Name>, Refusal> {
    let mut concerned = Vec::new();
    for row in tx.vaults(device.id).await? {
        let listed = row.standing != VaultStanding::Gone;
        if listed && policy_of(tx, device, &row).await?.attest.require.contains(&Check::Pcrs) {
            concerned.push(row.name);
        }
    }
    Ok(concerned)
}

async fn added(
    tx: &mut dyn Tx,
    project: &Project,
    id: DeviceId,
    new: &NewReference,
    now: UnixSeconds,
) -> Result<Reference, Refusal> {
    let device = device_by_id(tx, project, id).await?;
    let mut of_device = tx.references_of(id).await?;
    let pcrs = expected(&device.name, new, &of_device)?;
    if let Some(same) = of_device.iter().find(|row| row.pcrs == pcrs) {
        return Err(InTheWay::SameReference { id: same.id }.into());
    }
    let mut row = ReferenceRow {
        id: 0,
        project: device.project,
        device: id,
        pcrs,
        state: ReferenceState::Pending,
        learned_at: now,
        decided_at: None,
    };
    row.id = tx.add_reference(&row).await?;
    of_device.push(row.clone());
    Ok(Reference { device_name: Some(device.name), ..Reference::of(&row, &of_device) })
}

/// The values that are given, and all others as in another reference value: what a boot is held against has all of them.
fn expected(device: &Name, new: &NewReference, of_device: &[ReferenceRow]) -> Result<Pcrs, Refusal> {
    if new.pcrs.is_empty() {
        return Err(BadRequest::NoPcrs.into());
    }
    let strange = new.pcrs.keys().find(|pcr| **pcr > 23 || APPRAISED_PCRS.0 & (1 << **pcr) == 0);
    if let Some(pcr) = strange {
        return Err(BadRequest::PcrNotAppraised { pcr: *pcr }.into());
    }
    let mut all = match new.like {
        Some(id) => Some(of_device.iter().find(|row| row.id == id).ok_or(Unknown::Reference { id })?),
        None => differences::newest_approved(of_device),
    }
    .map(|row| row.pcrs.clone().into())
    .unwrap_or_default();
    BTreeMap::extend(&mut all, new.pcrs.clone());
    let lacking: Vec<u8> =
        (0..24).filter(|pcr| APPRAISED_PCRS.0 & (1 << pcr) != 0 && !all.contains_key(pcr)).collect();
    if !lacking.is_empty() {
        return Err(InTheWay::NothingAlike { device: device.clone(), lacking }.into());
    }
    Ok(Pcrs::try_from(all).map_err(|_| BadRequest::PcrValues)?)
}

async fn learns_again(tx: &mut dyn Tx, project: &Project, id: DeviceId) -> Result<DeviceRow, Refusal> {
    let row = device_by_id(tx, project, id).await?;
    tx.set_learning(row.id, true).await?;
    tx.renew_standing(row.id).await?;
    Ok(row)
}

async fn known(tx: &mut dyn Tx, project: &Project, id: i64) -> Result<ReferenceRow, Refusal> {
    Ok(tx.reference(project, id).await?.ok_or(Unknown::Reference { id })?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::Words;

    fn row(zero: u8) -> ReferenceRow {
        let values = [(0, [0xa5; 32]), (4, [zero; 32]), (8, [0; 32])].map(|(pcr, value)| (pcr, value.into()));
        ReferenceRow {
            id: 7,
            project: Project::default(),
            device: vault::ids::DeviceId(uuid::Uuid::from_u128(1)),
            pcrs: Pcrs(values.into()),
            state: ReferenceState::Pending,
            learned_at: 0,
            decided_at: None,
        }
    }

    /// Seen-by-users 1.6: zeros that an older version learned are not approved, with words.
    #[test]
    fn an_unmeasured_reference_is_not_approved() {
        let device: Name = "edge-1".parse().expect("a name");
        assert!(measured(&row(0xa5), &device).is_ok(), "PCR 8 is untouched on many machines");
        let refusal = Refusal::from(measured(&row(0), &device).expect_err("approved"));
        let Words { problem, advice } = (&refusal).into();
        assert!(problem.contains("nothing measured: PCR 4 at the reset value"), "{problem}");
        assert!(advice.contains("`evc reference learn edge-1`"), "{advice}");
    }
}
