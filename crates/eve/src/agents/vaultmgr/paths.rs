//! Where a node's vaults lie, under its root, and the disk that they lie on. Touches nothing. [`crate::paths`] has the whole tree.

use std::path::{Path, PathBuf};

use disk::Disk;

use vault::ids::{CONFIG_VAULT, Generation, IMAGE_VAULT, VaultId};

/// The paths of one node.
#[derive(Debug, Clone)]
pub(crate) struct Paths {
    root: PathBuf,
    disk: Disk,
}

impl Paths {
    /// For who asks where something lies, and writes nothing.
    pub(crate) fn new(root: &Path) -> Self {
        Self::on(Disk::linux(), root)
    }
    /// With the disk that is written to.
    pub(crate) fn on(disk: Disk, root: &Path) -> Self {
        Self { root: root.to_owned(), disk }
    }
    /// What every durable write goes through.
    pub(crate) fn disk(&self) -> &Disk {
        &self.disk
    }
    /// The mount point of the filesystem that all vaults lie on.
    pub(crate) fn persist(&self) -> PathBuf {
        self.root.join("persist")
    }
    /// The controller's root certificate, as installed.
    pub(crate) fn root_certificate(&self) -> PathBuf {
        self.root.join("config/root-certificate.pem")
    }
    /// The locks that root ordered here, of this boot.
    pub(crate) fn locks(&self) -> PathBuf {
        self.root.join("run/eve/locked")
    }
    /// Until when leases last, of this boot.
    pub(crate) fn leases(&self) -> PathBuf {
        self.root.join("run/eve/leases")
    }
    /// The directory that is the vault (DF-5: the default ones are at their own places).
    pub(crate) fn vault(&self, id: VaultId) -> PathBuf {
        match id {
            CONFIG_VAULT => self.persist().join("config"),
            IMAGE_VAULT => self.persist().join("img"),
            _ => self.vaults().join(id.to_string()),
        }
    }
    /// User vaults, and our own folders, which begin with a dot.
    pub(crate) fn vaults(&self) -> PathBuf {
        self.persist().join("vaults")
    }
    /// Where plain files are moved in from.
    pub(crate) fn staging(&self, id: VaultId) -> PathBuf {
        self.vaults().join(".new").join(id.to_string())
    }
    /// Plain files that are judged to be in the vault whole, and only wait to be wiped.
    pub(crate) fn going(&self, id: VaultId) -> PathBuf {
        self.vaults().join(".new").join(format!("{id}.going"))
    }
    /// What was written while they were moved, on its way into the vault.
    pub(crate) fn arriving(&self, id: VaultId) -> PathBuf {
        self.vaults().join(".new").join(format!("{id}.arriving"))
    }
    /// What the plain files were when they were compared with their copies; no names and no contents.
    pub(crate) fn stamps(&self, id: VaultId) -> PathBuf {
        self.vaults().join(".new").join(format!("{id}.stamps"))
    }
    /// All second copies of metadata.
    pub(crate) fn metas(&self) -> PathBuf {
        self.vaults().join(".meta")
    }
    /// Both places of all recovery keys.
    pub(crate) fn recoveries(&self) -> [PathBuf; 2] {
        [self.vaults().join(".recovery"), self.metas().join(".recovery")]
    }
    /// Both places of all share tables.
    pub(crate) fn tables(&self) -> [PathBuf; 2] {
        [self.vaults().join(".shares"), self.metas().join(".shares")]
    }
    /// The share table of one generation, in both places.
    pub(crate) fn table(&self, generation: Generation) -> [PathBuf; 2] {
        self.tables().map(|folder| folder.join(Self::table_name(generation)))
    }
    /// Its name in the folders of all.
    pub(crate) fn table_name(generation: Generation) -> String {
        format!("shares.{generation}")
    }
    /// Our folder inside the Config Vault.
    pub(crate) fn own_folder(&self) -> PathBuf {
        self.vault(CONFIG_VAULT).join("vaultmgr")
    }
    /// zedagent's folder inside the Config Vault, for its checkpoint.
    pub(crate) fn zedagent_folder(&self) -> PathBuf {
        self.vault(CONFIG_VAULT).join("zedagent")
    }
    /// The newest accepted section and what was listed.
    pub(crate) fn record(&self) -> PathBuf {
        self.own_folder().join("record")
    }
    /// One that was damaged, or another controller's, put aside.
    pub(crate) fn record_aside(&self) -> PathBuf {
        self.own_folder().join("record.aside")
    }
}
