//! Every key that was in play on a node and its controller, dug up with all they have: the TPM in the right state, the
//! key-encryption key, the database, the disk. It stops at what it did not expect.

#![allow(clippy::unwrap_used, reason = "what it does not find stops the test")]

use std::convert::Infallible;
use std::path::Path;

use evc::custody::{Identity, Kek};
use evc::store::sqlite::SqliteStore;
use evc::store::{Engine as _, Tx};
use fscrypt::{KeyFiles, MetaDir, ProtectorDescriptor, WrappingKey};
use serde_json::Value;
use tpm::{RootKind, SlotSet, Tpm};
use vault::custody::{Shares, wrapping_secret};
use vault::ids::{DeviceId, Epoch, VaultId};
use vault::roots::{PcrsRoot, TpmRoot, Vsk};
use vault::secret::{ControllerKey, RootSecret, TpmShare};
use vault::section::Custody;
use vault::shares::Table;

use crate::{DEVICE, Scene};

/// By name.
pub type Secrets = Vec<(String, Vec<u8>)>;

/// A vault as the test knows it.
#[derive(Debug, Clone)]
pub struct Known {
    /// Its name.
    pub name: String,
    /// Its identity.
    pub id: VaultId,
    /// Who holds its key.
    pub custody: Custody,
    /// How many epochs its controller's key has had; none of custody `tpm`.
    pub epochs: u64,
}

impl Known {
    /// From `evc describe`, or of a default vault.
    ///
    /// # Panics
    /// It is not known.
    #[must_use]
    pub fn of(scene: &Scene, name: &str, custody: Custody) -> Self {
        let id = scene.node.vault(name).unwrap()["id"].as_str().unwrap().parse().unwrap();
        let epochs = if custody == Custody::Tpm {
            0
        } else {
            scene.evc.vault(DEVICE, name).unwrap()["current_epoch"].as_u64().unwrap()
        };
        Self { name: name.to_owned(), id, custody, epochs }
    }
}

/// Keys of the controller; it is stopped. Returns each vault's key of each epoch too.
pub struct Controller {
    /// All of them.
    pub secrets: Secrets,
    epochs: Vec<(VaultId, Epoch, ControllerKey)>,
}

impl Controller {
    /// Reads them out of its data.
    ///
    /// # Panics
    /// They are not there.
    #[must_use]
    pub fn open(data: &Path, device: &Value, vaults: &[Known]) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(Self::read(data, DeviceId(device["id"].as_str().unwrap().parse().unwrap()), vaults))
    }

    async fn read(data: &Path, device: DeviceId, vaults: &[Known]) -> Self {
        let kek_file = std::fs::read(data.join("kek")).unwrap();
        let kek = Kek::from_file(&data.join("kek"), false).unwrap();
        let store = SqliteStore::join(data).await.unwrap();
        let mut tx = store.read().await.unwrap();
        let token = std::fs::read_to_string(data.join("operator.token")).unwrap();
        let mut all = Self {
            secrets: vec![
                ("key-encryption key".into(), kek_file),
                ("operator token".into(), token.trim().into()),
            ],
            epochs: Vec::new(),
        };
        for name in ["ca", "signing", "ecdh", "tls"] {
            let row = tx.key(name).await.unwrap().unwrap();
            let der = kek.open(Identity::Key(name), &row.sealed).unwrap();
            all.secrets.push((format!("controller's {name} key"), scalar(&der)));
        }
        for vault in vaults {
            for epoch in (1..=vault.epochs).map(Epoch) {
                all.add_epoch(&mut *tx, &kek, device, vault, epoch).await;
            }
        }
        drop(tx);
        store.close().await;
        all
    }

    async fn add_epoch(&mut self, tx: &mut dyn Tx, kek: &Kek, device: DeviceId, vault: &Known, epoch: Epoch) {
        let Some(row) = tx.epoch(device, vault.id, epoch).await.unwrap() else { return };
        let period = tx.period(&row.period).await.unwrap().unwrap();
        let period = kek.open(Identity::Period(&row.period), &period).unwrap();
        self.secrets.push((format!("period key {}", row.period), period.to_vec()));
        let period = as_kek(&period);
        let project = row.project.as_ref().unwrap();
        let key = period.open(Identity::Epoch(project, device, vault.id, epoch), &row.sealed).unwrap();
        self.secrets.push((format!("{} epoch {epoch}", vault.name), key.to_vec()));
        let Ok(key) = ControllerKey::init(copy_of(&key));
        self.epochs.push((vault.id, epoch, key));
    }

    fn of(&self, vault: VaultId) -> impl Iterator<Item = &ControllerKey> {
        self.epochs.iter().filter(move |(of, ..)| *of == vault).map(|(.., key)| key)
    }
}

fn copy_of(key: &[u8]) -> impl FnOnce(&mut [u8; 32]) -> Result<(), Infallible> {
    move |out| {
        out.copy_from_slice(key);
        Ok(())
    }
}

/// A period's key seals as the key-encryption key does, and is read as that is: from a file of its owner's alone.
fn as_kek(key: &[u8]) -> Kek {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), key).unwrap();
    Kek::from_file(file.path(), false).unwrap()
}

/// The private number in a PEM file.
///
/// # Panics
/// It is none.
#[must_use]
pub fn scalar_of(file: &Path) -> Vec<u8> {
    let pem = std::fs::read_to_string(file).unwrap();
    let text: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
    scalar(&base64::Engine::decode(&base64::engine::general_purpose::STANDARD, text).unwrap())
}

/// The private number in a P-256 key of PKCS #8: 32 bytes from the 37th on.
fn scalar(der: &[u8]) -> Vec<u8> {
    assert_eq!(der[34..36], [0x04, 32], "an octet string of 32 bytes");
    der[36..68].to_vec()
}

/// What the TPM's roots open.
struct Sealed {
    table: Table,
    vsk: [Vsk; 2],
}

/// Keys of the node, with its disk mounted, its TPM (if it has one) in the state that it booted in, and nobody else using either.
///
/// # Panics
/// One is not there.
#[must_use]
pub fn of_node(scene: &Scene, vaults: &[Known], controller: &Controller) -> Secrets {
    let mut secrets = Secrets::new();
    let sealed = scene.node.tpm().map(|_| of_tpm(scene, &mut secrets));
    for vault in vaults {
        of_vault(scene, vault, controller, sealed.as_ref(), &mut secrets);
    }
    secrets
}

fn of_tpm(scene: &Scene, secrets: &mut Secrets) -> Sealed {
    let (t, p) = roots(scene);
    secrets.push(("T".to_owned(), t.expose_root_secret().to_vec()));
    secrets.push(("P".to_owned(), p.expose_root_secret().to_vec()));
    let (t, p) = (TpmRoot(t), PcrsRoot(p));
    Sealed { table: table(scene, &t), vsk: [t.vsk(), p.vsk()] }
}

fn roots(scene: &Scene) -> (RootSecret, RootSecret) {
    let mut tpm =
        Tpm::open(&tpm::Tcti::find(Some(&scene.node.tpm().unwrap().tcti())).unwrap().unwrap()).unwrap();
    let identity = tpm.provision().unwrap();
    tpm.pin_ek(&identity.ek.name).unwrap();
    let mut root = |kind| {
        let (_, root) = tpm.read_root(SlotSet::Odd, kind).unwrap();
        RootSecret::copied_from(root.expose_root())
    };
    (root(RootKind::Tpm), root(RootKind::Pcrs))
}

fn table(scene: &Scene, t: &TpmRoot) -> Table {
    let file = scene.node.root().join("persist/vaults/.shares/shares.1");
    Table::decode(&std::fs::read(file).unwrap(), &t.table_key()).unwrap()
}

fn of_vault(
    scene: &Scene,
    vault: &Known,
    controller: &Controller,
    sealed: Option<&Sealed>,
    secrets: &mut Secrets,
) {
    let share = vault.custody.needs_tpm().then(|| {
        let Sealed { table, vsk } = sealed.unwrap();
        vsk.iter().find_map(|vsk| table.open(vault.id, vsk).ok()).expect("a share under one of the roots")
    });
    if let Some(share) = &share {
        secrets.push((format!("{} share", vault.name), share.expose_tpm_share().to_vec()));
    }
    let mut opened = 0;
    for key in wrappings(vault, share.as_ref(), controller) {
        secrets.push((format!("{} R", vault.name), key.expose_wrapping_key().to_vec()));
        opened += usize::from(metadata(scene, vault, &key, secrets));
    }
    assert_eq!(opened, 1, "{}: one of its wrapping keys is in force", vault.name);
}

/// R of every epoch that the controller still has.
fn wrappings(vault: &Known, share: Option<&TpmShare>, controller: &Controller) -> Vec<WrappingKey> {
    let secret = |shares| {
        let secret = wrapping_secret(vault.id, shares);
        let Ok(key) = WrappingKey::init(copy_of(secret.expose_wrapping_secret()));
        key
    };
    match (vault.custody, share) {
        (Custody::Tpm, Some(share)) => vec![secret(Shares::Tpm(share))],
        (Custody::Controller, _) => {
            controller.of(vault.id).map(|key| secret(Shares::Controller(key))).collect()
        }
        (_, Some(share)) => controller.of(vault.id).map(|key| secret(Shares::Both(share, key))).collect(),
        (_, None) => panic!("no share"),
    }
}

/// Opens the vault's key files with a wrapping key; adds what is in them when it fits.
fn metadata(scene: &Scene, vault: &Known, key: &WrappingKey, secrets: &mut Secrets) -> bool {
    let path = scene.node.root().join("persist/vaults/.meta").join(vault.id.to_string());
    let meta = MetaDir::open(&disk::Disk::linux(), &path).unwrap();
    let protector: ProtectorDescriptor = meta.protectors().unwrap()[0];
    let policy = meta.policies().unwrap()[0];
    let files = KeyFiles {
        protector: meta.read_protector(protector).unwrap(),
        policy: meta.read_policy(policy).unwrap(),
    };
    let Ok((content, protector)) = files.open(key) else { return false };
    secrets.push((format!("{} content key", vault.name), content.expose_content_key().to_vec()));
    secrets.push((format!("{} protector key", vault.name), protector.expose_protector_key().to_vec()));
    true
}
