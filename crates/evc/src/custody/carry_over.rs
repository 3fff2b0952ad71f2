//! Epochs of builds of before: sealed anew at start, in the transaction that brings the controller up. Cut short, none of them is; said again, it
//! is done. A row that does not open stays as it is, opens for nobody, and is tried again at the next start: it may be mended from a backup.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use vault::ids::Project;

use super::epochs::{period_key_of, sealed_as};
use super::period_key::PeriodKey;
use super::{CustodyError, Identity, Kek, SealedRow};
use crate::store::{EpochRow, Tx};

/// Rows that are read at once.
const BATCH: u32 = 500;

/// What became of them.
#[derive(Debug, Default)]
pub(crate) struct CarriedOver {
    /// How many were sealed anew.
    pub(crate) done: usize,
    /// Those that do not open.
    pub(crate) left: Vec<SealedRow>,
}

/// Seals each epoch that was sealed before there were projects as the default project's: there was no other.
///
/// # Errors
/// [`CustodyError`]: nothing is kept.
pub(crate) async fn carry_over(tx: &mut dyn Tx, kek: &Kek) -> Result<CarriedOver, CustodyError> {
    let (mut carried, mut periods, mut after) = (CarriedOver::default(), Periods::default(), None);
    loop {
        let rows = tx.epochs_before_projects(after, BATCH).await?;
        let Some(last) = rows.last() else { return Ok(carried) };
        after = Some((last.device, last.vault, last.epoch));
        for row in rows {
            match periods.bound(tx, kek, &row).await {
                Ok(bound) => {
                    tx.bind_epoch(&bound).await?;
                    carried.done += 1;
                }
                Err(CustodyError::Unsealed(row) | CustodyError::Absent(row)) => carried.left.push(row),
                Err(other) => return Err(other),
            }
        }
    }
}

/// The periods' keys, opened once each.
#[derive(Default)]
struct Periods(HashMap<String, PeriodKey>);

impl Periods {
    /// The row as it is to be.
    async fn bound(&mut self, tx: &mut dyn Tx, kek: &Kek, row: &EpochRow) -> Result<EpochRow, CustodyError> {
        let period_key = match self.0.entry(row.period.clone()) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => new.insert(period_key_of(tx, kek, &row.period).await?),
        };
        let before = Identity::EpochBeforeProjects(row.device, row.vault, row.epoch);
        let plain = period_key.open(before, &row.sealed)?;
        sealed_as(period_key, &Project::default(), row, &plain)
    }
}
