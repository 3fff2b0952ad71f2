//! What a sealed row is: bound to its ciphertext as associated data, so that no row opens in another's place, or in another project.

use std::fmt;

use vault::escrow::BundleId;
use vault::ids::{DeviceId, Epoch, Project, VaultId};

/// A sealed row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Identity<'a> {
    /// One of the controller's own keys: of no project.
    Key(&'a str),
    /// A period's key: the controller's own too. It seals epochs of all projects.
    Period(&'a str),
    /// A vault's key of one epoch, of the project that the vault's device is of.
    Epoch(&'a Project, DeviceId, VaultId, Epoch),
    /// The same as it was sealed before there were projects. Nothing is sealed so any more.
    EpochBeforeProjects(DeviceId, VaultId, Epoch),
    /// A device's escrow bundle, of the project that the device is of.
    Bundle(&'a Project, DeviceId, BundleId),
}

impl fmt::Display for Identity<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(name) => write!(f, "key/{name}"),
            Self::Period(period) => write!(f, "period/{period}"),
            Self::Epoch(project, device, vault, epoch) => {
                write!(f, "epoch/{project}/{device}/{vault}/{epoch}")
            }
            Self::EpochBeforeProjects(device, vault, epoch) => write!(f, "epoch/{device}/{vault}/{epoch}"),
            Self::Bundle(project, device, BundleId { generation, digest }) => {
                write!(f, "bundle/{project}/{device}/{}/{}", generation.0, hex::encode(digest))
            }
        }
    }
}

/// Which sealed row an error is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SealedRow {
    /// One of the controller's own keys.
    Key(String),
    /// A period's key.
    Period(String),
    /// A vault's key of one epoch.
    Epoch(Project, DeviceId, VaultId, Epoch),
    /// The same as it was sealed before there were projects.
    EpochBeforeProjects(DeviceId, VaultId, Epoch),
    /// A device's escrow bundle.
    Bundle(Project, DeviceId, BundleId),
}

impl From<Identity<'_>> for SealedRow {
    fn from(row: Identity<'_>) -> Self {
        match row {
            Identity::Key(name) => Self::Key(name.to_owned()),
            Identity::Period(period) => Self::Period(period.to_owned()),
            Identity::Epoch(project, device, vault, epoch) => {
                Self::Epoch(project.clone(), device, vault, epoch)
            }
            Identity::EpochBeforeProjects(device, vault, epoch) => {
                Self::EpochBeforeProjects(device, vault, epoch)
            }
            Identity::Bundle(project, device, bundle) => Self::Bundle(project.clone(), device, bundle),
        }
    }
}

impl fmt::Display for SealedRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(name) => Identity::Key(name),
            Self::Period(period) => Identity::Period(period),
            Self::Epoch(project, device, vault, epoch) => Identity::Epoch(project, *device, *vault, *epoch),
            Self::EpochBeforeProjects(device, vault, epoch) => {
                Identity::EpochBeforeProjects(*device, *vault, *epoch)
            }
            Self::Bundle(project, device, bundle) => Identity::Bundle(project, *device, *bundle),
        }
        .fmt(f)
    }
}

impl Identity<'_> {
    /// The associated data: "eve-vault controller row v1 " and the row's name; of what names a project "v2".
    pub(super) fn aad(&self) -> Vec<u8> {
        let version = match self {
            Self::Key(_) | Self::Period(_) | Self::EpochBeforeProjects(..) => 1,
            Self::Epoch(..) | Self::Bundle(..) => 2,
        };
        format!("eve-vault controller row v{version} {self}").into_bytes()
    }
}
