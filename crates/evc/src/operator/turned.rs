//! Which vaults a changed policy opens or shuts, told before it counts: each is judged by the policy that was and by the one that is to be, on what
//! its node showed last. Nothing is changed by it.

use std::collections::HashSet;

use vault::decide::Ruling;
use vault::ids::{DeviceId, Project, VaultId};
use vault::policy::{Door, VaultPolicy};

use super::key_words::decided;
use super::show::readable;
use crate::fleet::at_stake::at_stake;
use crate::fleet::view::View;
use crate::service::{Controller, Fault, Refusal};
use crate::store::{Tx, UnixSeconds};
use crate::words::turned::{Named, Turned};

/// Most vaults of a policy that are looked at: of more, these are told of.
const MOST: usize = 500;

/// How many vaults may still be read for one file, whatever its policies are: a device is read with all that it has, and once for each policy that
/// it has a vault of. Meanwhile nobody else writes.
pub(super) struct Budget(usize);

impl Budget {
    pub(super) fn of_a_file() -> Self {
        Self(2000)
    }

    fn spend(&mut self, read: usize) {
        self.0 = self.0.saturating_sub(read);
    }
}

/// Under a policy of which `was` is what stood before the transaction, and `is` what stands in it. None where it has no vaults.
pub(super) async fn turned(
    of: &Controller,
    tx: &mut dyn Tx,
    project: &Project,
    (was, is): (&VaultPolicy, &VaultPolicy),
    budget: &mut Budget,
    now: UnixSeconds,
) -> Result<Option<Turned>, Refusal> {
    let mut turned = Turned { locks: is.operation == Door::Lock, ..Turned::default() };
    let most = MOST.min(budget.0);
    let limit = u32::try_from(most + 1).expect("it is small");
    let under = readable(tx.vaults_under(project, &is.name, limit).await.map_err(Refusal::from))?;
    let mut rows = under.unwrap_or_else(|| {
        turned.unseen = true;
        Vec::new()
    });
    turned.unseen |= rows.len() > most;
    rows.truncate(most);
    let has_some = turned.unseen || !rows.is_empty();
    for of_device in rows.chunk_by(|one, next| one.device == next.device) {
        let under: HashSet<VaultId> = of_device.iter().map(|row| row.id).collect();
        let seen = if budget.0 == 0 { None } else { readable(view(of, tx, of_device[0].device).await)? };
        match seen {
            Some(view) => {
                budget.spend(view.vaults.len());
                turned.looked += under.len();
                judge(view, &under, (was, is), now, &mut turned);
            }
            None => turned.unseen = true,
        }
    }
    Ok(has_some.then_some(turned))
}

async fn view(of: &Controller, tx: &mut dyn Tx, device: DeviceId) -> Result<View, Refusal> {
    let device = tx.device(device).await?.ok_or(Fault::VaultWithoutDevice)?;
    let loaded = View::load(&of.verdicts, tx, device).await?;
    Ok(View { put_back: of.put_back, ..loaded })
}

fn judge(
    mut view: View,
    under: &HashSet<VaultId>,
    (was, is): (&VaultPolicy, &VaultPolicy),
    now: UnixSeconds,
    turned: &mut Turned,
) {
    let after = open(&view, now);
    view.vaults
        .iter_mut()
        .filter(|held| under.contains(&held.row.id))
        .for_each(|held| held.policy = was.clone());
    let before = open(&view, now);
    for held in view.vaults.iter().filter(|held| under.contains(&held.row.id)) {
        if is.operation == Door::Lock && at_stake(&held.row, &view.device, Some(is)).is_some() {
            turned.for_good.push(Named { vault: held.row.name.clone(), device: view.device.name.clone() });
            continue;
        }
        let named = || Named { vault: held.row.name.clone(), device: view.device.name.clone() };
        match (before.contains(&held.row.id), after.contains(&held.row.id)) {
            (false, true) => turned.opens.push(named()),
            (true, false) => turned.shuts.push(named()),
            _ => {}
        }
    }
}

/// Those that nothing at the controller keeps closed.
fn open(view: &View, now: UnixSeconds) -> HashSet<VaultId> {
    let wanted = view.vaults.iter().filter(|held| held.policy.operation == Door::Unlock);
    let open = wanted
        .filter(|held| matches!(decided(view, held, now).ruling, Ruling::Release(_) | Ruling::NotNeeded));
    open.map(|held| held.row.id).collect()
}
