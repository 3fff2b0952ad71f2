//! The steps of a recovery key, and root's order to open a vault by one.

use vault::condition::{OpenedBy, RecoveryHint};
use vault::custody::Wrapping;
use vault::ids::VaultId;
use vault::report::VaultReport;
use vault::secret::RecoveryKey;
use vault::wanted::Wish;

use crate::agents::vaultmgr::belief::orders::Between;
use crate::agents::vaultmgr::hands::crypt::{Crypt, KeyId};
use crate::agents::vaultmgr::manager::Manager;
use crate::agents::vaultmgr::vault::execute::StepError;
use crate::bus::messages::OrderError;

impl<C: Crypt> Manager<C> {
    /// For the recipients that the policy names now: the step was planned for these.
    pub(super) fn make_recovery(&mut self, id: VaultId, hint: RecoveryHint) -> Result<(), StepError> {
        let Wish::Keep(want) = self.ask(id).0 else { return Err(StepError::KeyGone) };
        let recipients = want.policy.recovery;
        let held = self.slots.get(&id).and_then(|slot| slot.held.as_ref());
        let (protector, _) =
            held.filter(|_| recipients.digest() == Some(hint.recipients)).ok_or(StepError::KeyGone)?;
        Ok(self.crypt.make_recovery(id, protector, &recipients, hint)?)
    }

    pub(super) fn new_protector(&mut self, id: VaultId, wrapping: Wrapping) -> Result<(), StepError> {
        let secret = self.secret(id, wrapping)?;
        let slot = self.slots.get(&id).ok_or(StepError::KeyGone)?;
        let (by, _) = slot.recovered.as_ref().ok_or(StepError::KeyGone)?;
        let protector = self.crypt.new_protector(id, by, self.name_of(id, wrapping), &secret)?;
        self.hold(id, protector, OpenedBy { first: Some(wrapping), second: Some(wrapping) });
        Ok(())
    }

    /// Opens a vault by its recovery key, whatever of TPM and controller is there; whoever wants it locked is obeyed, but for a lease.
    pub(crate) fn recover_pausing(
        &mut self,
        id: VaultId,
        key: &RecoveryKey,
        between: Between<'_, C>,
    ) -> Result<VaultReport, OrderError> {
        self.known_here(id)?;
        let locked = self.belief.desired().held.contains_key(&id);
        self.belief.orders().release(id);
        let opened = self.unless_locked_by_controller(id).and_then(|()| self.opened_by_recovery(id, key));
        // A wrong key changes nothing: root's own lock, which is on the disk still, stays.
        if opened.is_err() && locked {
            self.belief.orders().lock(id);
        }
        let (protector, of) = opened?;
        let kept = self.keep_locks();
        self.look_again(id);
        self.slots.entry(id).or_default().recover(protector, of);
        // One that no list speaks of stays an orphan, and is open.
        let report = self.open_now(id, between)?;
        kept.map(|()| report)
    }

    fn opened_by_recovery(
        &mut self,
        id: VaultId,
        key: &RecoveryKey,
    ) -> Result<(C::Protector, KeyId), OrderError> {
        let name = self.belief.desired().name(id);
        let opened = self.crypt.recover(id, key).map_err(|error| OrderError::NotRecovered {
            name: name.clone(),
            why: crate::agents::vaultmgr::chain(&error),
        })?;
        opened.ok_or(OrderError::NotItsRecoveryKey(name))
    }
}
