//! What differs: a reference value from the one that an operator approved before, a document from what is there. So that he sees what he
//! approves and what he applies. Pure.

use std::collections::BTreeSet;

use ::attest::at_reset;
use vault::policy::{VaultPolicy, VaultRule, VaultSpec};

use crate::api::Change;
use crate::store::{Pcrs, ReferenceRow, ReferenceState, VaultRow, VaultStanding};

/// What a reference value is to be held against: the device's newest approved one beside it.
pub(crate) fn approved_before<'a>(
    row: &ReferenceRow,
    of_device: &'a [ReferenceRow],
) -> Option<&'a ReferenceRow> {
    newest(of_device.iter().filter(|other| other.id != row.id))
}

/// The one that was approved last.
pub(crate) fn newest_approved(of_device: &[ReferenceRow]) -> Option<&ReferenceRow> {
    newest(of_device.iter())
}

fn newest<'a>(rows: impl Iterator<Item = &'a ReferenceRow>) -> Option<&'a ReferenceRow> {
    let approved = rows.filter(|other| other.state == ReferenceState::Approved);
    approved.max_by_key(|other| (other.decided_at, other.id))
}

/// In a few words, for a list.
pub(crate) fn in_short(row: &ReferenceRow, of_device: &[ReferenceRow]) -> String {
    let Some(before) = approved_before(row, of_device) else {
        return match row.state {
            ReferenceState::Approved => "the first that was approved".into(),
            ReferenceState::Pending | ReferenceState::Rejected => "nothing was approved before".into(),
        };
    };
    let moved: Vec<String> = moved(&before.pcrs, &row.pcrs).iter().map(u8::to_string).collect();
    match moved.as_slice() {
        [] => format!("as approved with {}", before.id),
        _ if before.pcrs.bank() != row.pcrs.bank() => format!("another bank than {}", before.id),
        [one] => format!("PCR {one} differs from {}", before.id),
        moved => format!("PCRs {} differ from {}", moved.join(", "), before.id),
    }
}

/// In full, for who approves: each value that was not approved before, with what it was. What nothing was measured into, then and now, is
/// one line.
pub(crate) fn in_full(row: &ReferenceRow, of_device: &[ReferenceRow]) -> Vec<String> {
    let is = &row.pcrs;
    let was = approved_before(row, of_device).map(|row| row.pcrs.clone()).unwrap_or_default();
    let value = |pcrs: &Pcrs, pcr: u8| {
        pcrs.0.get(&pcr).map_or_else(|| "not there".into(), |value| hex::encode(value.as_bytes()))
    };
    let line = |pcr: &u8| {
        if was.0.is_empty() {
            format!("PCR {pcr}: {}", value(is, *pcr))
        } else {
            format!("PCR {pcr}: {}, was {}", value(is, *pcr), value(&was, *pcr))
        }
    };
    let untouched = |pcr: &u8| is.0.get(pcr).is_some_and(|value| at_reset(*pcr, value.as_bytes()));
    let (folded, told): (Vec<u8>, Vec<u8>) =
        moved(&was, is).into_iter().partition(|pcr| !was.0.contains_key(pcr) && untouched(pcr));
    let several = if folded.len() > 1 { "s" } else { "" };
    let folded =
        (!folded.is_empty()).then(|| format!("PCR{several} {}: at reset, nothing measured", runs(&folded)));
    told.iter().map(line).chain(folded).collect()
}

/// Numbers that rise, with runs of them as one: `5, 10-14`.
fn runs(of: &[u8]) -> String {
    let run = |run: &[u8]| match run {
        [first, .., last] => format!("{first}-{last}"),
        _ => run.iter().map(u8::to_string).collect(),
    };
    of.chunk_by(|one, next| one + 1 == *next).map(run).collect::<Vec<_>>().join(", ")
}

fn moved(was: &Pcrs, is: &Pcrs) -> BTreeSet<u8> {
    was.0.keys().chain(is.0.keys()).copied().filter(|pcr| was.0.get(pcr) != is.0.get(pcr)).collect()
}

/// Each field of a policy that is not as it was.
pub(crate) fn of_policies(was: Option<&VaultPolicy>, is: &VaultPolicy) -> Vec<Change> {
    let (was, is) = (was.map(VaultPolicy::fields).unwrap_or_default(), is.fields());
    let of = |fields: &[(&'static str, String)], name: &str| {
        fields.iter().find(|(field, _)| *field == name).map(|(_, value)| value.clone())
    };
    let gone = was.iter().filter(|(field, _)| is.iter().all(|(there, _)| there != field));
    let names: Vec<&str> = is.iter().chain(gone).map(|(field, _)| *field).collect();
    let changes = names.into_iter().map(|field| (field, of(&was, field), of(&is, field)));
    let changes = changes.filter(|(_, old, new)| old != new);
    changes.map(|(field, old, new)| Change { field: field.into(), old, new }).collect()
}

/// The same of a rule.
pub(crate) fn of_rules(was: Option<&VaultRule>, is: &VaultRule) -> Vec<Change> {
    let fields =
        |rule: &VaultRule| [("devices", rule.devices.to_string()), ("policy", rule.policy.to_string())];
    let was = was.map(fields);
    let changes = fields(is).into_iter().enumerate().map(|(at, (field, new))| {
        let old = was.as_ref().map(|was| was[at].1.clone());
        Change { field: field.into(), old, new: Some(new) }
    });
    changes.filter(|change| change.old != change.new).collect()
}

/// The same of a vault: its policy, and that it is not removed any more.
pub(crate) fn of_vault(there: Option<&VaultRow>, spec: &VaultSpec) -> Vec<Change> {
    let is = Some(spec.policy.to_string());
    let was = there.map(|row| row.policy.as_ref().map_or_else(|| "(default)".into(), ToString::to_string));
    let policy = (was != is).then(|| Change { field: "policy".into(), old: was, new: is });
    let old = match there.map(|row| row.standing) {
        Some(VaultStanding::Removing) => Some("removing".to_owned()),
        Some(VaultStanding::Retained) => Some("retained".to_owned()),
        Some(VaultStanding::Active | VaultStanding::Gone) | None => None,
    };
    let kept = old.map(|old| Change { field: "standing".into(), old: Some(old), new: Some("active".into()) });
    policy.into_iter().chain(kept).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use vault::policy::Removal;

    use super::*;

    #[test]
    fn pcrs_that_nothing_was_measured_into_are_one_line_for_who_approves() {
        let row = |id: i64, ten: u8, state| ReferenceRow {
            id,
            project: vault::ids::Project::default(),
            device: vault::ids::DeviceId(uuid::Uuid::from_u128(1)),
            pcrs: Pcrs(
                (0..15)
                    .map(|pcr| {
                        (
                            pcr,
                            [match pcr {
                                10 => ten,
                                5 | 11.. => 0,
                                _ => 0xa5,
                            }; 32]
                                .into(),
                        )
                    })
                    .collect(),
            ),
            state,
            learned_at: 0,
            decided_at: Some(0),
        };
        let (first, second) = (row(1, 0, ReferenceState::Approved), row(2, 7, ReferenceState::Pending));
        let told = in_full(&first, &[]);
        assert_eq!(told.len(), 10, "{told:?}");
        assert_eq!(told[9], "PCRs 5, 10-14: at reset, nothing measured");
        let told = in_full(&second, std::slice::from_ref(&first));
        assert_eq!(told, [format!("PCR 10: {}, was {}", "07".repeat(32), "00".repeat(32))]);
        let (now, then) = (row(4, 0, ReferenceState::Pending), row(3, 7, ReferenceState::Approved));
        assert!(
            in_full(&now, &[then])[0].starts_with("PCR 10: 00"),
            "what is measured no more is told in full"
        );
    }

    #[test]
    fn each_field_of_a_policy_is_told_with_what_it_was_and_is() {
        let was = VaultPolicy::of_default_vault(true);
        let mut is = was.clone();
        is.node.custody = vault::section::Custody::Controller;
        is.on_removal = Removal::DeleteAfter(Duration::from_secs(60));
        let told: Vec<_> = of_policies(Some(&was), &is)
            .into_iter()
            .map(|change| (change.field, change.old.unwrap_or_default(), change.new.unwrap_or_default()))
            .collect();
        let text = |a: &str, b: &str, c: &str| (a.to_owned(), b.to_owned(), c.to_owned());
        assert_eq!(
            told,
            [
                text("custody", "tpm", "controller"),
                text("on_removal.delete_after", "72h", "1m"),
                text("seal", "tpm", ""),
            ]
        );
        assert!(of_policies(Some(&was), &was).is_empty());
        assert_eq!(of_policies(None, &was).len(), was.fields().len(), "all of a new one");
    }
}
