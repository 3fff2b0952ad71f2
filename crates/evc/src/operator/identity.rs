//! A device is let in as the one whose lists its node holds to: registered anew since the copy was made that this database was put back from, it is
//! known here as another one, or was not known. Its node takes the lists of no other, so what is open there can be taken in only once it has that identity.
//! It is one transaction. Nothing is released by it: what its node accepted under that identity is not in this database.

use vault::ids::{DeviceId, Epoch, Incarnation, Name, SectionVersion};
use vault::ledger::{Asker, Ledger, Mark, Older};
use vault::life::{Bearer, LetIn};
use vault::report::State;

use super::Operator;
use super::again::confirmed;
use super::deletion::id_as_name;
use crate::api::{Done, NewIdentity};
use crate::custody::{CustodyError, GoesOver, Identity, Kek, SealedRow, goes_over, restored_bundle};
use crate::fleet::view::View;
use crate::service::{InTheWay, Irrevocable, Refusal, find_device, key_shut};
use crate::store::{
    Accepted, DeviceRow, OrDamaged, Scope, SealedAnew, StoreError, Tx, VaultRow, VaultStanding, all_whole,
};
use crate::words::identity::{LetInAs, of_let_in};

impl Operator {
    /// Lets a device in as the one whose lists its node holds to.
    ///
    /// # Errors
    /// [`Refusal`]: its node has not told so in the session whose evidence stands, it is lost or may be two, somebody else has the identity here, a
    /// key of it does not open; or it was said once.
    pub async fn identify(&self, device: &str, how: &NewIdentity) -> Result<Done, Refusal> {
        let identified = self.store.write(Scope::Fleet, |tx| Box::pin(self.identified(tx, device, how)));
        let done = identified.await?;
        let LetInAs { name, was, is, .. } = &done;
        tracing::info!(device = %is, %was, %name, "a device has another identity by an operator's word");
        self.names.learn(*is, name);
        Ok(of_let_in(&done))
    }

    async fn identified(&self, tx: &mut dyn Tx, device: &str, how: &NewIdentity) -> Result<LetInAs, Refusal> {
        let device = find_device(tx, &self.project, device).await?;
        confirmed(how.confirm.as_deref(), (&device.name, device.id.0), || Irrevocable::Identify)?;
        let bearer = self.bearer(tx, how.id).await?;
        let loaded = View::load(&self.verdicts, tx, device).await?;
        let view = View { put_back: self.put_back, ..loaded };
        let open = open_without_row(&view.device);
        let asked = LetIn {
            own: view.device.id,
            wished: how.id,
            told: told(&view),
            bars: view.bars(),
            bearer: bearer.as_ref().map_or(Bearer::Nobody, Has::as_bearer),
            open: &open,
        };
        let older = asked.decide(self.incarnation, &self.past);
        let device = view.device;
        let refused = |cause| InTheWay::NotLetIn { device: device.name.clone(), wished: how.id, cause };
        let older = older.map_err(refused)?;
        let rows = all_whole(tx.vaults_listed(device.id).await?)?;
        let retained = of_removing(&rows);
        let (sealed, shut) = sealed_anew(tx, &self.kek, (&device, &rows), how.id).await?;
        tx.identify(device.id, how.id, &sealed).await?;
        mark(tx, &device, how.id, older).await?;
        Ok(LetInAs { name: device.name, was: device.id, is: how.id, older, retained, shut })
    }

    /// Who has an identity here, registered or deleted.
    async fn bearer(&self, tx: &mut dyn Tx, id: DeviceId) -> Result<Option<Has>, Refusal> {
        let called = |name: Option<Name>| name.unwrap_or_else(|| id_as_name(id));
        if let Some(there) = tx.remains(&self.project, &id.to_string()).await?.filter(|there| there.id == id)
        {
            let name = there.name.filter(|_| there.project.as_ref() == Some(&self.project));
            return Ok(Some(Has::Registered(called(name))));
        }
        // A device's row may be gone, and what is sealed for it be there: it is nobody's to have.
        if !tx.vaults_listed(id).await?.is_empty() || !tx.bundles(id).await?.is_empty() {
            return Ok(Some(Has::Registered(id_as_name(id))));
        }
        // Of whichever project: it would come back there under an identity that is taken.
        let deleted = tx.deleted_as(id).await?.into_iter().next().map(|row| match row {
            OrDamaged::Whole(row) => Some(row.name).filter(|_| row.project == self.project),
            OrDamaged::Damaged(_) => None,
        });
        Ok(deleted.map(|name| Has::Deleted(called(name))))
    }
}

/// As [`Bearer`].
enum Has {
    Registered(Name),
    Deleted(Name),
}

impl Has {
    fn as_bearer(&self) -> Bearer<'_> {
        match self {
            Self::Registered(name) => Bearer::Registered(name),
            Self::Deleted(name) => Bearer::Deleted(name),
        }
    }
}

/// For whom the list was that its node accepted last, and which: by its word in the session whose evidence stands, and of no other.
fn told(view: &View) -> Option<(DeviceId, SectionVersion)> {
    let stands = view.stands()?.row.session;
    view.device.reported.filter(|(session, _)| *session == stands)?;
    let report = view.device.report.get()?;
    let Accepted { incarnation, version } = report.accepted?;
    Some((report.accepted_for?, SectionVersion { incarnation: Incarnation(incarnation), version }))
}

/// What its node has open under a controller's key. Of what has a row here, that row has the report.
fn open_without_row(device: &DeviceRow) -> Vec<Name> {
    let told = device.report.get().into_iter().flat_map(|report| &report.vaults);
    let open = told.filter(|told| told.state == State::Unlocked && told.epoch.is_some());
    open.map(|told| told.name.clone()).collect()
}

fn of_removing(rows: &[VaultRow]) -> Vec<Name> {
    let removing = rows.iter().filter(|row| row.standing == VaultStanding::Removing);
    removing.map(|row| row.name.clone()).collect()
}

/// The keys of all of its vaults, and its bundles, as they are sealed for another identity; and those of them that go over as they are, for they do not
/// open, and no node needs them. A bundle that does not open is of no use under either.
async fn sealed_anew(
    tx: &mut dyn Tx,
    kek: &Kek,
    (device, rows): (&DeviceRow, &[VaultRow]),
    anew: DeviceId,
) -> Result<(SealedAnew, Vec<SealedRow>), Refusal> {
    let (to, mut sealed) = (DeviceRow { id: anew, ..device.clone() }, SealedAnew::default());
    let mut shut = Vec::new();
    for row in rows.iter().filter(|row| row.standing != VaultStanding::Gone) {
        for epoch in (1..=row.current_epoch.0).map(Epoch) {
            let key = match tx.epoch(device.id, row.id, epoch).await {
                Err(StoreError::Damaged(_)) if epoch < row.last_epoch => {
                    shut.push(Identity::Epoch(&device.project, device.id, row.id, epoch).into());
                    continue;
                }
                key => key?,
            };
            let Some(key) = key else { continue };
            let over = goes_over(tx, kek, (row, key), (&device.project, &to)).await;
            let over = over.map_err(|error| key_shut(error, &device.name, &row.name))?;
            let GoesOver { row, shut: left } = over;
            sealed.epochs.push(row);
            shut.extend(left);
        }
    }
    for listed in tx.bundles(device.id).await? {
        let Some(row) = tx.bundle(device.id, &listed.held.id.digest).await? else { continue };
        match restored_bundle(kek, row, &to) {
            Err(CustodyError::Unsealed(row)) => tracing::error!(%row, "it does not open, and stays as it is"),
            restored => sealed.bundles.push(restored?),
        }
    }
    Ok((sealed, shut))
}

/// What it showed as another device is over; that the database was put back is not. And this database is older than what it is now.
async fn mark(
    tx: &mut dyn Tx,
    device: &DeviceRow,
    anew: DeviceId,
    older: Option<Older>,
) -> Result<(), Refusal> {
    let before = device.older.and_then(Mark::settled);
    let Some((session, _)) = device.reported else { return Ok(()) };
    let session = ::attest::SessionKey(session);
    let asker = Asker { session, stands: Some(session) };
    let shown = older.map(|older| Mark::shown(before, older, asker, &Ledger::default()));
    Ok(tx.set_older(anew, shown.or(before)).await?)
}
