//! The PCRs that a session's evidence showed. What came back from escrow came to the boot that was approved by it, and is bound to that boot alone:
//! what was extended since nobody approved.

use attest::SessionKey;
use tpm::PcrValues;

/// Of the session that was quoted for last, the first that it showed. Within a boot PCRs only ever move away: while they are still those, all
/// evidence in between showed them.
#[derive(Debug, Default)]
pub(super) struct Shown(Option<(SessionKey, Option<PcrValues>)>);

impl Shown {
    /// A quote was made over these; over none where the TPM has no such bank.
    pub(super) fn quoted(&mut self, session: SessionKey, values: Option<&PcrValues>) {
        if self.0.as_ref().is_none_or(|(of, _)| *of != session) {
            self.0 = Some((session, values.cloned()));
        }
    }

    /// Whether the session showed some of these PCRs, and as they are now.
    pub(super) fn has(&self, session: SessionKey, now: &PcrValues) -> bool {
        let Some((_, Some(shown))) = self.0.as_ref().filter(|(of, _)| *of == session) else { return false };
        let is_same = |(pcr, value): &(u8, Vec<u8>)| shown.get(*pcr).map(|then| then == value.as_slice());
        let mut of_both = now.as_slice().iter().filter_map(is_same).peekable();
        let same_bank = shown.selection().bank() == now.selection().bank();
        same_bank && of_both.peek().is_some() && of_both.all(|same| same)
    }
}

#[cfg(test)]
mod tests {
    use tpm::PcrBank;

    use super::*;

    fn values(bank: PcrBank, pcrs: &[(u8, u8)]) -> PcrValues {
        let filled = |(pcr, fill): &(u8, u8)| (*pcr, vec![*fill; bank.size()]);
        PcrValues::new(bank, pcrs.iter().map(filled).collect()).expect("values")
    }

    /// KO-1: of this session, in this bank, each that both have: else nothing was shown.
    #[test]
    fn what_was_shown_is_the_first_that_a_session_quoted() {
        let (own, other, bank) = (SessionKey([1; 32]), SessionKey([2; 32]), PcrBank::Sha256);
        let boot = values(bank, &[(0, 1), (4, 2), (9, 3)]);
        let extended = values(bank, &[(0, 1), (4, 2), (9, 4)]);
        let mut shown = Shown::default();
        assert!(!shown.has(own, &boot), "nothing was");
        shown.quoted(own, Some(&boot));
        assert!(shown.has(own, &boot) && shown.has(own, &values(bank, &[(4, 2), (13, 9)])));
        assert!(!shown.has(other, &boot), "by another session");
        assert!(!shown.has(own, &extended));
        assert!(!shown.has(own, &values(bank, &[(13, 9)])), "none of these");
        assert!(!shown.has(own, &values(PcrBank::Sha384, &[(0, 1)])), "in another bank");
        shown.quoted(own, Some(&extended));
        assert!(!shown.has(own, &extended), "another boot would not begin with these");
        shown.quoted(other, Some(&extended));
        assert!(shown.has(other, &extended) && !shown.has(own, &boot));
        shown.quoted(own, None);
        assert!(!shown.has(own, &boot), "the TPM has no such bank");
    }
}
