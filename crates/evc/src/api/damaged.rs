//! Rows of lists that do not read back from the controller's database: they are named, and keep none of the others back.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};

use vault::ids::{DeviceId, Name, VaultId};

use crate::store::RowKind;

/// A row of a list.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub enum Listed<T> {
    /// As it is.
    Row(T),
    /// One that does not read. A program knows it by its field `damaged`, which no row has.
    Damaged(Damaged),
}

/// By its field `damaged`. Left to serde, an untagged enum would take no row whose map has numbers for keys.
impl<'de, T: DeserializeOwned> Deserialize<'de> for Listed<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let row = serde_json::Value::deserialize(from)?;
        let read = match row.get("damaged") {
            Some(_) => serde_json::from_value(row).map(Self::Damaged),
            None => serde_json::from_value(row).map(Self::Row),
        };
        read.map_err(serde::de::Error::custom)
    }
}

/// A damaged row, by what still tells it from others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Damaged {
    /// What it is of.
    pub kind: RowKind,
    /// Its device's identity, where it is of one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// Its identity, number or digest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Its name, or serial.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What is wrong with it.
    pub damaged: String,
    /// What to do.
    pub what_to_do: String,
}

impl Damaged {
    /// What it goes by: its name, else its identity.
    #[must_use]
    pub fn called(&self) -> &str {
        self.name.as_deref().or(self.id.as_deref()).unwrap_or("without a name")
    }

    /// Whether it is meant by a name or an identity.
    #[must_use]
    pub fn is_called(&self, which: &str) -> bool {
        [&self.name, &self.id].into_iter().any(|own| own.as_deref() == Some(which))
    }

    /// Whether it may be the row of this vault of this device: an identity that does not read may be any.
    #[must_use]
    pub fn may_be(&self, device: DeviceId, vault: VaultId) -> bool {
        let is = |own: &Option<String>, id: uuid::Uuid| {
            own.as_deref().and_then(|own| own.parse().ok()).is_none_or(|own: uuid::Uuid| own == id)
        };
        self.kind == RowKind::Vault && is(&self.device, device.0) && is(&self.id, vault.0)
    }

    /// Where the list goes on after it; none where that can't be said.
    #[must_use]
    pub fn place(&self) -> Option<Vec<String>> {
        let id = || self.id.clone().filter(|id| id.parse::<uuid::Uuid>().is_ok());
        match self.kind {
            RowKind::Vault => {
                let device = self.device.clone().filter(|id| id.parse::<uuid::Uuid>().is_ok())?;
                Some(vec![device, id()?])
            }
            RowKind::Reference => Some(vec![self.id.clone()?]),
            RowKind::Allowance => {
                let digest = self.id.clone().filter(|digest| digest.len() == 64)?;
                Some(vec![digest, self.name.clone()?])
            }
            RowKind::Device | RowKind::Policy | RowKind::Rule => {
                // What is no name is shown quoted, which is another place.
                Some(vec![self.name.clone().filter(|name| name.parse::<Name>().is_ok())?])
            }
            RowKind::DeletedDevice | RowKind::Key | RowKind::Bundle | RowKind::Other => None,
        }
    }

    /// In one line.
    #[must_use]
    pub fn words(&self) -> String {
        let Self { kind, device, damaged, .. } = self;
        let of = device.as_ref().map(|device| format!(" of device {device}")).unwrap_or_default();
        let id = self.id.as_deref().filter(|id| *id != self.called());
        let id = id.map(|id| format!(" ({id})")).unwrap_or_default();
        format!("{} `{}`{id}{of} is damaged: {damaged}", kind.word(), self.called())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Reference;

    /// What the server sends the command line reads, also where keys of a map are numbers; and a damaged row is told by its field.
    #[test]
    fn rows_and_damaged_rows_are_read_back() {
        let reference = serde_json::json!({
            "id": 1, "device": uuid::Uuid::from_u128(7), "state": "pending", "learned": "x", "decided": null,
            "differs": "x", "pcrs": { "0": "aa", "14": "bb" },
        });
        let damaged =
            serde_json::json!({ "kind": "device", "name": "edge-1", "damaged": "x", "what_to_do": "y" });
        let list = serde_json::json!([reference, damaged]);
        let read: Vec<Listed<Reference>> = serde_json::from_value(list).expect("a list");
        let Listed::Row(row) = &read[0] else { panic!("{read:?}") };
        assert_eq!(row.pcrs.keys().copied().collect::<Vec<_>>(), [0, 14]);
        assert!(matches!(&read[1], Listed::Damaged(damaged) if damaged.called() == "edge-1"), "{read:?}");
    }
}
