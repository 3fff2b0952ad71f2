//! What is said of rows that do not read back: what follows from it, and what to do.

use vault::ids::Name;
use vault::text::Typed;

use super::Words;
use crate::api::{Damaged, Listed};
use crate::service::{Part, Refusal};
use crate::store::{DamagedRow, OrDamaged, RowKind, StoreError};

/// What mends each of them.
const PUT_BACK: &str = "stop evc, and put back the newest good copy of the database";

impl From<DamagedRow> for Damaged {
    fn from(row: DamagedRow) -> Self {
        let row = row.quoted();
        let what_to_do = what_to_do(&row);
        let DamagedRow { kind, device, id, name, column, content: _ } = row;
        Self {
            kind,
            device,
            id,
            name,
            damaged: format!("column {column} has an impossible value"),
            what_to_do,
        }
    }
}

impl<T> From<OrDamaged<T>> for Listed<T> {
    fn from(row: OrDamaged<T>) -> Self {
        match row {
            OrDamaged::Whole(row) => Self::Row(row),
            OrDamaged::Damaged(row) => Self::Damaged(row.into()),
        }
    }
}

/// As a command takes it: what is no name may be anything to a shell, and the thing goes by its identity then.
fn which(row: &DamagedRow) -> &str {
    let name = row.name.as_deref().filter(|name| name.parse::<Name>().is_ok());
    // What is kept of a deleted device goes by the device's.
    let device = row.device.as_deref().filter(|_| row.kind == RowKind::DeletedDevice);
    name.or(device).or(row.id.as_deref()).unwrap_or("UUID")
}

fn what_to_do(row: &DamagedRow) -> String {
    let which = Typed(which(row));
    match row.kind {
        RowKind::Device => format!(
            "nothing is released to it, and its node keeps what it has; {PUT_BACK}; or give the device up: `evc device lost {which:#}`, `evc delete device {which:#} --force --confirm {which:#}`"
        ),
        RowKind::Vault => format!(
            "no key of it goes out until then, what is in it is kept, and its device's other vaults are as before; where its identity, name, policy or state does not read its device gets no list and no key of any vault, and what is open there stays open; {PUT_BACK}"
        ),
        RowKind::Policy => format!(
            "devices with a vault under it get no list and no key of any vault until then, and what is open there stays open; {PUT_BACK}; or apply the policy's document as it was (`evc apply`): its row is written anew"
        ),
        RowKind::Reference => format!(
            "no boot is good by it until then: vaults that require measured PCRs are withheld from a boot of its values; {PUT_BACK}, or `evc reference learn` of its device, and approve what its next evidence shows"
        ),
        RowKind::Rule => {
            format!(
                "it gives no vault to anybody until then; {PUT_BACK}, or delete the rule (`evc delete rule {which:#}`) and apply it again"
            )
        }
        RowKind::Allowance => format!(
            "nobody registers by it until then; {PUT_BACK}, or withdraw it (`evc onboard remove`) and allow it again"
        ),
        RowKind::DeletedDevice => {
            format!(
                "what is kept of it stays until then; {PUT_BACK}, or forget it: `evc device forget {which:#} --confirm {which:#}`"
            )
        }
        RowKind::Bundle => {
            format!("it is not given back until then, and the others of its device are as before; {PUT_BACK}")
        }
        RowKind::Key | RowKind::Other => PUT_BACK.into(),
    }
}

/// Of a part of the housekeeping that failed.
pub(crate) fn of_unkept(part: Part, refusal: &Refusal) -> String {
    let Words { problem, advice } = match refusal {
        Refusal::Store(StoreError::Damaged(what)) => of(what),
        other => other.into(),
    };
    // What was said stands, whatever a store says of what it was asked.
    let advice = match part {
        Part::Number => "make room on the disk of the data folder, or mend it: it is tried again by itself",
        _ => &*advice,
    };
    format!("housekeeping: {}: {problem}: {advice}", part.words())
}

/// Of a row that something depends on, to whoever asked.
pub(super) fn of_a_row() -> Words {
    of("a row of it does not read")
}

/// The same to an operator, with what row it is.
pub(crate) fn of_row(what: &str) -> Words {
    of(what)
}

/// The same, as one line of what needs somebody.
pub(crate) fn of_row_at(what: &str) -> String {
    let Words { problem, advice } = of(what);
    format!("{problem}: {advice}")
}

fn of(what: &str) -> Words {
    Words::new(
        format!("the controller's database is damaged: {what}"),
        format!(
            "nothing was changed or released; see `evc status`, which names the rows that are damaged; {PUT_BACK}"
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is advised can be typed as it stands, whatever stands in the row.
    #[test]
    fn what_is_no_name_goes_by_its_identity() {
        let row = |kind, name: &str| DamagedRow {
            kind,
            device: Some("the-device".into()),
            id: Some("its-own".into()),
            name: Some(name.into()),
            column: "name".into(),
            content: 0,
        };
        for (kind, name, says) in [
            (RowKind::DeletedDevice, "a b/c", "`evc device forget the-device --confirm the-device`"),
            (RowKind::DeletedDevice, "edge-1", "`evc device forget edge-1 --confirm edge-1`"),
            (RowKind::Device, "a; b", "`evc device lost its-own`"),
            (RowKind::Rule, "", "`evc delete rule its-own`"),
        ] {
            let told = what_to_do(&row(kind, name));
            assert!(told.contains(says), "{told}");
        }
    }
}
