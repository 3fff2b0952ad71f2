//! What operators send.

use serde::{Deserialize, Serialize};
use vault::ids::{DeviceId, Epoch, Name};
use vault::labels::{Labels, Word};

use super::calls::Query;

/// Which certificate and serial may onboard.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Allow {
    /// The certificate, as PEM.
    pub cert_pem: String,
    /// The serial, or `*`.
    pub serial: String,
    /// The name that the device gets.
    pub name: Option<String>,
    /// The labels that the device gets.
    #[serde(default)]
    pub labels: Labels,
    /// It gets back what is kept of the deleted device that it was.
    #[serde(default)]
    pub give_back: bool,
}

/// Labels of a device: what becomes of them.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Labelling {
    /// Those that it has from now on, beside what it has.
    #[serde(default)]
    pub set: Labels,
    /// Keys that it has no more.
    #[serde(default)]
    pub take: Vec<Word>,
}

/// A token that is to be good from now on.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewToken {
    /// Its SHA-256, in hexadecimal.
    pub sha256: String,
}

/// Under which policy, and whether only to be removed.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Adoption {
    /// Its name.
    pub policy: Name,
    /// It is not opened, and erased by its node after the grace of the policy; also one whose key is another controller's.
    #[serde(default)]
    pub remove: bool,
    /// The vault's name or UUID, said again: needed where that policy has no grace, and it is erased at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirm: Option<String>,
}

/// As which a device is to be known.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewIdentity {
    /// The device whose lists its node holds to.
    pub id: DeviceId,
    /// The device's name or UUID, said again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirm: Option<String>,
}

/// How a key is rotated.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rotation {
    /// Also when the node has not taken the epoch before.
    pub force: bool,
    /// Only from this epoch on: a request that is said twice rotates once.
    pub expect_epoch: Option<Epoch>,
    /// The vault's name or UUID, said again: needed where `force` may shut the node out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confirm: Option<String>,
}

/// From which device, and which one of its vaults, to which.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rehoming {
    /// The device that gets it.
    pub to: String,
    /// The vault's name or UUID, said again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirm: Option<String>,
}

/// The text of a file with policies and vaults: what `vault::policy::read` takes.
pub struct Yaml;

/// How a file is applied.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Applying {
    /// Everything is checked, and nothing kept.
    #[serde(default)]
    pub dry_run: bool,
}

/// What is said of an act that can't be undone, and takes nothing else. To settle needs it where there is something to settle.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Confirmation {
    /// The device's name or UUID, said again.
    pub confirm: Option<String>,
}

/// How a device is deleted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deletion {
    /// Delete it although it has vaults. Their keys go with it, and are kept for the grace of deleted devices.
    #[serde(default)]
    pub force: bool,
    /// The device's name or UUID, said again: needed with `force`.
    pub confirm: Option<String>,
}

/// How a vault is deleted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VaultDeletion {
    /// Its node erases it after so many seconds, whatever `on_removal` of its policy says.
    pub delete_after: Option<u64>,
    /// The vault's name or UUID, said again: needed where it has no grace, and is erased at once.
    pub confirm: Option<String>,
}

/// How a vault is ordered anew.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recreation {
    /// The node's disk was replaced.
    #[serde(default)]
    pub new_disk: bool,
    /// What a bundle in escrow may bring back is given up.
    #[serde(default)]
    pub despite_escrow: bool,
    /// The vault's name or UUID, said again.
    pub confirm: Option<String>,
}

/// Which part of a list.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct List {
    /// What comes after this place; empty for the first.
    #[serde(default)]
    pub after: String,
    /// At most so many.
    pub limit: Option<u32>,
    /// Of this device only, where the list is of devices' things.
    pub device: Option<String>,
    /// With these labels only (`key=value,key=value`), where the list is of devices.
    pub selector: Option<String>,
}

impl Query for () {
    fn pairs(&self) -> Vec<(&'static str, String)> {
        Vec::new()
    }
}

impl Query for Applying {
    fn pairs(&self) -> Vec<(&'static str, String)> {
        vec![("dry_run", self.dry_run.to_string())]
    }
}

/// What is said again, if it is.
fn again(confirm: &Option<String>) -> Option<(&'static str, String)> {
    confirm.clone().map(|said| ("confirm", said))
}

impl Query for Confirmation {
    fn pairs(&self) -> Vec<(&'static str, String)> {
        again(&self.confirm).into_iter().collect()
    }
}

impl Query for Deletion {
    fn pairs(&self) -> Vec<(&'static str, String)> {
        [("force", self.force.to_string())].into_iter().chain(again(&self.confirm)).collect()
    }
}

impl Query for VaultDeletion {
    fn pairs(&self) -> Vec<(&'static str, String)> {
        let after = self.delete_after.map(|seconds| ("delete_after", seconds.to_string()));
        after.into_iter().chain(again(&self.confirm)).collect()
    }
}

impl Query for Recreation {
    fn pairs(&self) -> Vec<(&'static str, String)> {
        let orders =
            [("new_disk", self.new_disk.to_string()), ("despite_escrow", self.despite_escrow.to_string())];
        orders.into_iter().chain(again(&self.confirm)).collect()
    }
}

impl Query for List {
    fn pairs(&self) -> Vec<(&'static str, String)> {
        let after = (!self.after.is_empty()).then(|| self.after.clone());
        let limit = self.limit.map(|limit| limit.to_string());
        let all = [("after", after), ("limit", limit), ("device", self.device.clone())];
        let all = all.into_iter().chain([("selector", self.selector.clone())]);
        all.filter_map(|(name, value)| Some((name, value?))).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Debug;

    use axum::extract::Query as Asked;
    use axum::http::Uri;
    use serde::de::DeserializeOwned;

    use super::*;
    use crate::api::Update;

    fn reads_back<Q: Query + DeserializeOwned + PartialEq + Debug>(query: Q) {
        let uri: Uri = format!("/x{}", query.text()).parse().expect("a URI");
        assert_eq!(Asked::<Q>::try_from_uri(&uri).expect("read").0, query);
    }

    /// What the command line asks for is what the server reads: a force, a dry run or a new disk that got lost would do other than was said.
    #[test]
    fn a_query_reads_back_as_what_was_asked() {
        for said in [false, true] {
            reads_back(Applying { dry_run: said });
            let confirm = said.then(|| "a b&c=d".to_owned());
            reads_back(Confirmation { confirm: confirm.clone() });
            reads_back(Deletion { force: said, confirm: confirm.clone() });
            reads_back(Recreation { new_disk: said, despite_escrow: !said, confirm });
        }
        reads_back(Update { reference: 7 });
        reads_back(VaultDeletion { delete_after: Some(7), confirm: Some("a b&c=d".into()) });
        reads_back(List::default());
        let odd = "a/b&c=d e%20+\u{e9}";
        reads_back(List {
            after: odd.into(),
            limit: Some(7),
            device: Some(odd.into()),
            selector: Some(odd.into()),
        });
    }
}
