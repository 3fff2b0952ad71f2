//! Rows that do not read back. Whoever decides by a row takes none of these: its read fails ([`super::StoreError::Damaged`]). A list
//! shows the others all the same, and names the one that is damaged.

use std::fmt;

use serde::{Deserialize, Serialize};
use vault::ids::{DeviceId, Name, Project, VaultId};
use vault::labels::Labels;

use super::{Alarm, Page, StoreError, Stored, UnixSeconds, VaultRow};

/// A row of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OrDamaged<T> {
    /// It reads back.
    Whole(T),
    /// It does not.
    Damaged(DamagedRow),
}

/// What can be told of a row that does not read back: the columns by which it is known, as they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DamagedRow {
    /// What it is of.
    pub kind: RowKind,
    /// Its device's identity, where it is of one.
    pub device: Option<String>,
    /// Its identity, number or digest.
    pub id: Option<String>,
    /// Its name, or serial.
    pub name: Option<String>,
    /// The first column that does not read.
    pub column: String,
    /// Of all its columns: another damage is another one.
    pub content: u64,
}

/// A vault's row that does not read, and what is certain of the vault all the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VaultRemains {
    /// The row.
    pub row: DamagedRow,
    /// Its identity; none: it may be any vault of its device.
    pub id: Option<VaultId>,
    /// It is one of the default vaults, or may be.
    pub may_be_default: bool,
    /// Its standing reads, and says that it is gone: it is open nowhere.
    pub is_gone: bool,
    /// As it is to be listed, where its name, its policy and its standing read. The rest of it is such that nothing is made, ordered or ended by it.
    pub listed: Option<VaultRow>,
}

/// What rows of lists are of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RowKind {
    /// A device.
    Device,
    /// A vault.
    Vault,
    /// A policy.
    Policy,
    /// A rule.
    Rule,
    /// A reference value.
    Reference,
    /// An allowance.
    Allowance,
    /// What is kept of a deleted device.
    DeletedDevice,
    /// A key of a vault's, or that it went out.
    Key,
    /// A bundle.
    Bundle,
    /// Anything else.
    #[serde(other)]
    Other,
}

impl RowKind {
    /// In words.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Device => "device",
            Self::Vault => "vault",
            Self::Policy => "policy",
            Self::Rule => "rule",
            Self::Reference => "reference",
            Self::Allowance => "allowance",
            Self::DeletedDevice => "deleted device",
            Self::Key => "key of vault",
            Self::Bundle => "bundle",
            Self::Other => "row",
        }
    }
}

impl fmt::Display for DamagedRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.word())?;
        let Self { name, id, device, .. } = &self.clone().quoted();
        for part in name.iter().map(|name| format!("`{name}`")).chain(id.clone()) {
            write!(f, " {part}")?;
        }
        if let Some(device) = device {
            write!(f, " of device {device}")?;
        }
        write!(f, ": column {} has an impossible value", self.column)
    }
}

impl DamagedRow {
    /// What it is of, as far as that reads.
    #[must_use]
    pub fn called(&self) -> String {
        let Self { name, id, kind, .. } = self.clone().quoted();
        let which = name.map(|name| format!(" `{name}`"));
        let which = which.or_else(|| id.map(|id| format!(" {id}"))).unwrap_or_default();
        format!("{}{which}", kind.word())
    }

    /// As it is shown: the columns are whatever stands there.
    #[must_use]
    pub fn quoted(self) -> Self {
        let shown = |text: Option<String>| text.map(|text| vault::text::quoted(&text));
        Self { device: shown(self.device), id: shown(self.id), name: shown(self.name), ..self }
    }
}

impl From<DamagedRow> for StoreError {
    fn from(row: DamagedRow) -> Self {
        Self::Damaged(row.to_string())
    }
}

impl<T> OrDamaged<T> {
    /// The row, for whoever decides by it.
    ///
    /// # Errors
    /// [`StoreError::Damaged`].
    pub fn whole(self) -> Stored<T> {
        match self {
            Self::Whole(row) => Ok(row),
            Self::Damaged(row) => Err(row.into()),
        }
    }

    /// The same row as another type.
    pub fn map<U>(self, as_other: impl FnOnce(T) -> U) -> OrDamaged<U> {
        match self {
            Self::Whole(row) => OrDamaged::Whole(as_other(row)),
            Self::Damaged(row) => OrDamaged::Damaged(row),
        }
    }
}

/// The page after one that was read; none after the last.
pub fn next_page<T>(page: Page, rows: &[OrDamaged<T>], name: impl Fn(&T) -> &Name) -> Option<Page> {
    let last = rows.iter().rev().find_map(|row| match row {
        OrDamaged::Whole(row) => Some(name(row).to_string()),
        OrDamaged::Damaged(row) => row.name.clone(),
    });
    // A name that is no text does not say its own place: it comes again, and is the last.
    let is_full = rows.len() >= page.limit as usize;
    last.filter(|last| is_full && *last != page.after).map(|after| Page { after, ..page })
}

/// All rows of a list, for whoever decides by them.
///
/// # Errors
/// [`StoreError::Damaged`]: one of them.
pub fn all_whole<T>(rows: Vec<OrDamaged<T>>) -> Stored<Vec<T>> {
    rows.into_iter().map(OrDamaged::whole).collect()
}

/// The rows of a list that read, where one that does not is as good as none.
#[must_use]
pub fn readable<T>(rows: Vec<OrDamaged<T>>) -> Vec<T> {
    rows.into_iter().filter_map(|row| row.whole().ok()).collect()
}

/// What reads of a device's row, each column for itself: enough to bar the device, and to keep what there is of it when it is deleted.
/// Nothing is released by it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceRemains {
    /// Its identity.
    pub id: DeviceId,
    /// Its project.
    pub project: Option<Project>,
    /// Its name.
    pub name: Option<Name>,
    /// What an operator sorts it by.
    pub labels: Option<Labels>,
    /// SHA-256 of its certificate's DER.
    pub cert_digest: Option<[u8; 32]>,
    /// Its certificate.
    pub cert_der: Option<Vec<u8>>,
    /// SHA-256 of its key's SubjectPublicKeyInfo.
    pub key: Option<[u8; 32]>,
    /// The serial it registered with.
    pub serial: Option<String>,
    /// An operator said that it is lost. A mark that does not read counts, as of 1970.
    pub lost_at: Option<UnixSeconds>,
    /// What was seen of it that one device does not do. A mark that does not read counts.
    pub alarm: Option<Alarm>,
    /// It has a bundle in escrow, or may have one.
    pub has_bundle: bool,
    /// The device whose lists its node held to, by the node's last word.
    pub node_of: Option<DeviceId>,
}
