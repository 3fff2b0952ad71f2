//! What a reference value says beside the one that an operator approved before: so that he sees what he approves. Pure.

use std::collections::BTreeSet;

use crate::store::{Pcrs, ReferenceRow, ReferenceState};

/// What a reference value is to be held against: the device's newest approved one beside it.
pub(crate) fn approved_before<'a>(
    row: &ReferenceRow,
    of_device: &'a [ReferenceRow],
) -> Option<&'a ReferenceRow> {
    let approved =
        of_device.iter().filter(|other| other.state == ReferenceState::Approved && other.id != row.id);
    approved.max_by_key(|other| (other.decided_at, other.id))
}

/// In a few words, for a list.
pub(crate) fn in_short(row: &ReferenceRow, of_device: &[ReferenceRow]) -> String {
    let Some(before) = approved_before(row, of_device) else { return "nothing was approved before".into() };
    let moved: Vec<String> = moved(&before.pcrs, &row.pcrs).iter().map(u8::to_string).collect();
    match moved.as_slice() {
        [] => format!("as approved with {}", before.id),
        moved => format!("PCR {} differ from {}", moved.join(", "), before.id),
    }
}

/// In full, for who approves: each value that was not approved before, with what it was.
pub(crate) fn in_full(row: &ReferenceRow, of_device: &[ReferenceRow]) -> Vec<String> {
    let is = &row.pcrs;
    let was = approved_before(row, of_device).map(|row| row.pcrs.clone()).unwrap_or_default();
    let value = |pcrs: &Pcrs, pcr: u8| pcrs.0.get(&pcr).map_or_else(|| "not there".into(), hex::encode);
    let line = |pcr: u8| match was.0.is_empty() {
        true => format!("PCR {pcr}: {}", value(is, pcr)),
        false => format!("PCR {pcr}: {}, was {}", value(is, pcr), value(&was, pcr)),
    };
    moved(&was, is).into_iter().map(line).collect()
}

fn moved(was: &Pcrs, is: &Pcrs) -> BTreeSet<u8> {
    was.0.keys().chain(is.0.keys()).copied().filter(|pcr| was.0.get(pcr) != is.0.get(pcr)).collect()
}
