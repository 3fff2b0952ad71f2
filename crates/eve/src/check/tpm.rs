//! The TPM that the node would have: whether it works, has room, and whether firmware measured this boot into it.

use std::path::Path;

use tpm::{Health, NvRoom, Tpm};

use super::finding::{Code, Finding};
use crate::agents::tpmmgr::{Measured, TpmFailure, failing, preflight};

pub(super) fn in_use() -> Vec<Finding> {
    vec![Finding::of(Code::TpmInUse, "a node runs here and has its TPM to itself")]
}

pub(super) fn look(root: &Path) -> Vec<Finding> {
    let unusable = |why: String| vec![Finding::of(Code::TpmUnusable, why)];
    match preflight::tpm(root) {
        Err(why) => unusable(why.words()),
        Ok(None) => vec![Finding::of(Code::TpmAbsent, "this machine has no TPM")],
        Ok(Some(mut tpm)) => of(&mut tpm).unwrap_or_else(|failure| unusable(failing(&failure))),
    }
}

fn of(tpm: &mut Tpm) -> Result<Vec<Finding>, TpmFailure> {
    let (health, measured) = (tpm.health()?, Measured::by(tpm)?);
    let certificate = tpm.has_ek_certificate()?;
    let found = [
        lockout(health),
        (!measured.boot).then(|| {
            Finding::of(
                Code::BootUnmeasured,
                "no firmware measured this boot: PCR 0 or 4 stands at its reset value",
            )
        }),
        (!certificate).then(|| {
            Finding::of(
                Code::TpmEkCertificate,
                "no certificate of its maker lies in the TPM where it can be read",
            )
        }),
        room(tpm.nv_room()?),
    ];
    let found: Vec<_> = found.into_iter().flatten().collect();
    let good = || {
        vec![Finding::of(
            Code::Tpm,
            format!("the TPM works, measured this boot, and has room for {}", budget()),
        )]
    };
    Ok(if found.is_empty() { good() } else { found })
}

fn lockout(health: Health) -> Option<Finding> {
    health.in_lockout.then(|| Finding::of(Code::TpmLockout, "the TPM is in dictionary-attack lockout"))
}

/// What a node takes of a TPM's NV.
fn budget() -> String {
    format!(
        "{} NV indices with {} bytes at rest, and {} with {} while its secrets are changed",
        NvRoom::AT_REST,
        NvRoom::BYTES_AT_REST,
        NvRoom::IN_A_CHANGE,
        NvRoom::BYTES_IN_A_CHANGE
    )
}

/// Three indices at rest, and six while a generation ends.
fn room(room: NvRoom) -> Option<Finding> {
    let (all, rest, change) = (room.all(), NvRoom::AT_REST, NvRoom::IN_A_CHANGE);
    let fits = format!(
        "the TPM's NV has room for {all} of the {change} indices of this node, which takes {}",
        budget()
    );
    match room.foreign {
        0 if all >= change => None,
        0 if all >= rest => Some(Finding::of(Code::TpmNvTight, fits)),
        0 => Some(Finding::of(Code::TpmNvFull, fits)),
        taken => Some(Finding::of(
            Code::TpmNvForeign,
            format!("{taken} indices in the TPM's NV are somebody else's, at 0x01805640 to 0x01805646"),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whoever plans the NV of a machine reads the figures that the code has.
    #[test]
    fn the_documents_figures_are_those_of_the_code() {
        let document = include_str!("../../../../docs/checks.md");
        assert!(document.contains(&budget()), "{}", budget());
    }

    /// Issue 9, 11: a full TPM is told before anything is begun; one that is full for a change of generation alone, as that.
    #[test]
    fn room_is_told_by_what_it_is_enough_for() {
        let code = |there, fit, foreign| room(NvRoom { there, fit, foreign }).map(|found| found.code);
        assert_eq!(code(0, 6, 0), None);
        assert_eq!(code(3, 3, 0), None);
        assert_eq!(code(3, 2, 0), Some(Code::TpmNvTight));
        assert_eq!(code(0, 3, 0), Some(Code::TpmNvTight));
        assert_eq!(code(0, 2, 0), Some(Code::TpmNvFull));
        assert_eq!(code(0, 5, 1), Some(Code::TpmNvForeign));
    }
}
