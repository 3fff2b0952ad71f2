//! The number of the database, which each act of an operator changes ([`super::paired`]), and the log that it lies in until that is folded in.

use std::sync::atomic::Ordering::SeqCst;

use super::connections::Durable;
use super::paired::{Numbers, Pair, number_in};
use super::transaction::SqliteTx;
use super::{SqliteStore, apart, fold, random};
use crate::store::{Open as _, StoreError, Stored};

impl SqliteStore {
    /// Where others wrote into them, the log that stays beside the file is not its own, however this process ends. Written once.
    pub(super) async fn part(&self) -> Stored<()> {
        let (Some(lock), Some((disk, numbers))) = (&self.lock, self.numbers.get()) else { return Ok(()) };
        if !self.moorings.are_overwritten() || self.parted.load(SeqCst) {
            return Ok(());
        }
        // Nobody who counts an act writes others after these.
        let _counted = numbers.lock().await;
        let none = Numbers::of_none()?;
        apart(|| Pair::in_folder(&lock.folder).write(disk, &none, Some(random()?)))?;
        self.parted.store(true, SeqCst);
        Ok(())
    }

    /// Folds the log in, where the file is still the one that it goes into. Whether that was done.
    pub(super) async fn folded(&self) -> Stored<bool> {
        let mut lent = self.writing.lend().await?;
        let folded = self.moorings.hold().and_then(|()| apart(|| fold(lent.connection())));
        lent.note(folded)
    }

    /// Makes room among the numbers, where nobody reads just then.
    pub(super) async fn fold_numbers(&self, numbers: &mut Numbers) -> Stored<()> {
        if numbers.are_many() && matches!(self.folded().await, Ok(true)) {
            numbers.folded(self.writing.lend().await?.connection())?;
        }
        if numbers.are_full() {
            return Err(StoreError::Failed(
                "who reads evc.db has not let its log be folded in for long".into(),
            ));
        }
        Ok(())
    }

    pub(super) async fn number(&self, next: u32) -> Stored<()> {
        let mut tx = SqliteTx::writing(&self.writing, Durable::AtOnce, (&self.others, &self.erased)).await?;
        tx.number(next)?;
        Box::new(tx).commit().await
    }

    /// Which number the database has, after one came to nothing; it may have been committed all the same.
    pub(super) async fn number_now(&self) -> Stored<u32> {
        let lent = self.writing.lend().await?;
        self.moorings.hold()?;
        number_in(lent.connection())
    }
}
