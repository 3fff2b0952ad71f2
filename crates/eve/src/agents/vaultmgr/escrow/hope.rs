//! What may yet come back from escrow, as it is asked and told here; what follows of it is decided in [`vault::escrow::hope`].

use vault::cause::Cause;
use vault::escrow::hope::KeyFilesSeen;
use vault::ids::VaultId;
use vault::plan::Known;

use crate::agents::vaultmgr::hands::crypt::Crypt;
use crate::agents::vaultmgr::manager::Manager;
use crate::agents::vaultmgr::vault::slot::VaultMemory;
use crate::bus::messages::{Hope, OrderError};

/// What is said of a bundle that was asked back and did not come.
pub(super) fn not_given_back(why: &Cause) -> String {
    if why.waits_for_evidence() {
        return format!(
            "the controller has not decided yet on the bundle that this node asks back from escrow ({why}): it is asked again by itself once evidence of this boot was taken; see `eve status` for how that goes"
        );
    }
    format!(
        "what this node needs of its bundle is not given back from escrow: {why}; an operator looks at `evc describe device`, and if this boot is good takes `evc reference learn` and `evc reference approve`"
    )
}

impl<C: Crypt> Manager<C> {
    /// A vault that was never looked at is hoped for by nothing but the table.
    fn glance(&self, id: VaultId) -> KeyFilesSeen {
        let unknown = KeyFilesSeen { has_files: true, none_fits: false, discarded: false };
        self.slots.get(&id).map_or(unknown, VaultMemory::glance)
    }

    /// Whether no order of the controller's makes it anew.
    pub(in crate::agents::vaultmgr) fn is_hoped(&self, id: VaultId, known: &Known) -> bool {
        self.hopes(&self.node()).is_hoped(id, self.glance(id), known)
    }

    /// # Errors
    /// [`OrderError::OtherTpm`]: root orders a vault anew while the disk, or a bundle of this TPM's, says that they may not belong together.
    pub(in crate::agents::vaultmgr) fn unless_anothers(&self, id: VaultId) -> Result<(), OrderError> {
        let lost = self.shares.as_ref().filter(|shares| !shares.is_open());
        if lost.is_some_and(|shares| self.escrow.elsewhere || shares.may_be_anothers(&self.paths)) {
            return Err(OrderError::OtherTpm(self.belief.desired().name(id)));
        }
        Ok(())
    }

    /// # Errors
    /// [`OrderError::InEscrow`]: root orders a vault anew that may come back by itself.
    pub(in crate::agents::vaultmgr) fn unless_in_escrow(&self, id: VaultId) -> Result<(), OrderError> {
        if self.is_in_escrow(id) {
            return Err(OrderError::InEscrow(self.belief.desired().name(id)));
        }
        Ok(())
    }

    /// # Errors
    /// [`OrderError::ShutInEscrow`]: root gives up what no key at hand opens, and not that key files which open may come back.
    pub(in crate::agents::vaultmgr) fn unless_shut_in_escrow(
        &self,
        id: VaultId,
        hope: Hope,
    ) -> Result<(), OrderError> {
        if hope != Hope::AllGivenUp && self.is_in_escrow(id) {
            return Err(OrderError::ShutInEscrow(self.belief.desired().name(id)));
        }
        Ok(())
    }

    fn is_in_escrow(&self, id: VaultId) -> bool {
        self.hopes(&self.node()).is_in_escrow(id, self.glance(id), &self.known(id))
    }
}

#[cfg(test)]
mod tests {
    use vault::decide::Withheld;
    use vault::policy::Check;

    use super::*;

    /// UC-D: a controller that has no evidence yet refuses nothing; one that will not give it says so.
    #[test]
    fn what_only_waits_for_evidence_is_told_as_no_refusal() {
        for (why, says) in [
            (Withheld::NoEvidence.coarse(), "has not decided yet"),
            (Withheld::MustQuote.coarse(), "has not decided yet"),
            (Withheld::FromTheFuture.coarse(), "has not decided yet"),
            (Withheld::Failed { check: Check::Pcrs, why: String::new() }.coarse(), "is not given back"),
            (Withheld::DeviceLost.coarse(), "is not given back"),
            (Cause::NoBundle, "is not given back"),
            // Of a controller that has words alone, and of one whose cause came later.
            (
                Cause::Other { code: 0, words: "boot not approved".to_owned() },
                "is not given back from escrow: boot not approved",
            ),
            (
                Cause::Other { code: 99, words: "out of office".to_owned() },
                "is not given back from escrow: out of office",
            ),
        ] {
            let words = not_given_back(&why);
            assert!(words.contains(says) && words.contains(&why.to_string()), "{words}");
        }
    }
}
