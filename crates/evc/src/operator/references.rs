//! Reference values: learned from a device's first good quote, and worth nothing until an operator approves them.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use vault::ids::{DeviceId, Name, Project};

use super::{Operator, differences};
use crate::api::{Done, Reference};
use crate::fleet::evidence::unmeasured;
use crate::service::{InTheWay, Refusal, Unknown, find_device};
use crate::store::{ReferenceRow, ReferenceState, Scope, Tx, UnixSeconds};

impl Reference {
    fn of(row: &ReferenceRow, of_device: &[ReferenceRow]) -> Self {
        Self {
            differs: differences::in_short(row, of_device),
            id: row.id,
            device: row.device,
            state: row.state,
            learned: crate::clock::text(row.learned_at),
            decided: row.decided_at.map(crate::clock::text),
            pcrs: row.pcrs.clone().into(),
        }
    }
}

/// An approval of PCRs that nothing was measured into would approve of any software.
fn measured(row: &ReferenceRow) -> Result<(), InTheWay> {
    match unmeasured(&row.pcrs) {
        None => Ok(()),
        Some(why) => Err(InTheWay::Unmeasured { reference: row.id, device: row.device, why }),
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
    ) -> Result<Vec<Reference>, Refusal> {
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
        let notes = self.store.write(scope, |tx| Box::pin(judged(tx, &self.project, id, state, now))).await?;
        let word = if state == ReferenceState::Approved { "approved" } else { "rejected" };
        Ok(Done { done: format!("reference {id} of device {device} is {word}"), notes })
    }

    /// The device's next good quote is learned, once more.
    ///
    /// # Errors
    /// [`Refusal`].
    pub async fn learn_again(&self, device: &str) -> Result<Done, Refusal> {
        let scope = self.scope_of(device).await?;
        let name = self.store.write(scope, |tx| Box::pin(learns_again(tx, &self.project, device))).await?;
        Ok(Done {
            done: format!("the next good quote of device `{name}` is learned, to be approved"),
            notes: vec![],
        })
    }
}

async fn listed(
    tx: &mut dyn Tx,
    project: &Project,
    device: Option<&str>,
    after: i64,
    limit: u32,
) -> Result<Vec<Reference>, Refusal> {
    let rows = match device {
        Some(which) => {
            let device = find_device(tx, project, which).await?;
            tx.references_of(device.id).await?
        }
        None => tx.references(project, after, limit).await?,
    };
    let mut of_devices: HashMap<DeviceId, Vec<ReferenceRow>> = HashMap::new();
    for row in &rows {
        if let Entry::Vacant(new) = of_devices.entry(row.device) {
            new.insert(tx.references_of(row.device).await?);
        }
    }
    Ok(rows.iter().map(|row| Reference::of(row, &of_devices[&row.device])).collect())
}

/// What it says beside what was approved before, where it is approved.
async fn judged(
    tx: &mut dyn Tx,
    project: &Project,
    id: i64,
    state: ReferenceState,
    now: UnixSeconds,
) -> Result<Vec<String>, Refusal> {
    let row = known(tx, project, id).await?;
    if state == ReferenceState::Approved {
        measured(&row)?;
    }
    let of_device = tx.references_of(row.device).await?;
    tx.judge_reference(id, state, now).await?;
    tx.renew_standing(row.device).await?;
    let approved = state == ReferenceState::Approved;
    Ok(if approved { differences::in_full(&row, &of_device) } else { Vec::new() })
}

async fn learns_again(tx: &mut dyn Tx, project: &Project, device: &str) -> Result<Name, Refusal> {
    let row = find_device(tx, project, device).await?;
    tx.set_learning(row.id, true).await?;
    tx.renew_standing(row.id).await?;
    Ok(row.name)
}

async fn known(tx: &mut dyn Tx, project: &Project, id: i64) -> Result<ReferenceRow, Refusal> {
    Ok(tx.reference(project, id).await?.ok_or(Unknown::Reference { id })?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Pcrs;
    use crate::words::Words;

    fn row(zero: u8) -> ReferenceRow {
        let values = [(0, [0xa5; 32]), (4, [zero; 32]), (8, [0; 32])];
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
        assert!(measured(&row(0xa5)).is_ok(), "PCR 8 is untouched on many machines");
        let Words { problem, advice } = (&Refusal::from(measured(&row(0)).expect_err("approved"))).into();
        assert!(problem.contains("nothing measured: PCR 4 at the reset value"), "{problem}");
        assert!(advice.contains("evc reference learn"), "{advice}");
    }
}
