//! What the files of `config/` say of this node's TPM or key, taken before rights are given up. A key that is there, or can't be looked at just
//! then, is replaced by no other.

use std::fs::File;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::Context;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use base64::Engine as _;
use disk::Disk;
use tpm::{OwnerAuth, Tcti};
use wire::FileSigner;
use zeroize::Zeroizing;

use super::place::{self, TpmConfig};
use crate::agents::ended::FileIdentity;
use crate::agents::keep::{self, Kept};
use crate::paths;

/// What only root can read or write, taken before rights are given up.
pub(in crate::agents) enum Taken {
    Tpm {
        place: TpmConfig,
        pin: Kept,
    },
    Soft(FileSigner),
    /// One of the files says nothing that can be used, and why.
    Unusable {
        why: String,
    },
}

impl Taken {
    /// What can't be used is told and not died of: nobody reads an agent's end in a log who looks at `eve status`.
    pub(in crate::agents) fn take(disk: &Disk, root: &Path) -> Self {
        Self::try_take(disk, root).unwrap_or_else(|error| Self::Unusable { why: place::unusable(&error) })
    }

    fn try_take(disk: &Disk, root: &Path) -> anyhow::Result<Self> {
        match Chosen::of(root)? {
            Chosen::Tpm(tcti) => {
                let (pin, owner, certified) = (paths::ek_pin(root), owner_auth(root)?, certified(root));
                let pin = match certified {
                    // The certificate tells whose the TPM is, where it is of this one's key.
                    Some(_) => keep::open_to_inform(disk, &pin),
                    None => keep::open(disk, &pin).context("config/ek.pub")?,
                };
                let boot = keep::open_to_inform(disk, &paths::boot_pcrs(root));
                Ok(Self::Tpm { place: TpmConfig { tcti, owner, certified, boot: Arc::new(boot) }, pin })
            }
            Chosen::Soft { key: Some(key), beside_a_tpm } => {
                if beside_a_tpm {
                    tracing::warn!("there is a TPM, and it is not used: {WITHOUT_TPM}");
                }
                Ok(Self::Soft(key))
            }
            Chosen::Soft { key: None, .. } => {
                make_key(disk, &paths::device_key(root))?;
                Ok(Self::Soft(read_key(&paths::device_key(root))?))
            }
        }
    }

    /// The device and port that the walls must leave open.
    pub(in crate::agents) fn walls(&self) -> (Option<PathBuf>, Option<u16>) {
        match self {
            Self::Tpm { place: TpmConfig { tcti: Tcti::Device(path), .. }, .. } => (Some(path.clone()), None),
            Self::Tpm { place: TpmConfig { tcti: Tcti::Swtpm { port, .. }, .. }, .. } => (None, Some(*port)),
            Self::Soft(_) | Self::Unusable { .. } => (None, None),
        }
    }
}

/// What the files of `config/` choose. Nothing is made by looking: `eve check` asks too.
pub(super) enum Chosen {
    Tpm(Tcti),
    /// A key in a file; none: it is still to be made.
    Soft {
        key: Option<FileSigner>,
        beside_a_tpm: bool,
    },
}

impl Chosen {
    pub(super) fn of(root: &Path) -> anyhow::Result<Self> {
        let configured = match std::fs::read_to_string(paths::tcti(root)) {
            Ok(text) => Some(text),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => return Err(error).context("config/tcti"),
        };
        let pin = paths::ek_pin(root);
        let found = Tcti::find(configured.as_deref()).context("config/tcti")?;
        // Before anything is made that says that this node has a TPM. A pin that one start too many made counts for less than `none` and the key.
        let without = certified_soft_key(root);
        let without = match (&found, &configured) {
            (None, Some(_)) => without,
            (None, None) => None,
            (Some(_), _) if without.is_none() || holds_something(&pin, "config/ek.pub")? => None,
            (Some(_), Some(_)) if without.is_some() => anyhow::bail!(WITHOUT_TPM),
            (Some(_), _) => without,
        };
        if without.is_some() {
            return Ok(Self::Soft { key: without, beside_a_tpm: found.is_some() });
        }
        match found {
            Some(tcti) => Ok(Self::Tpm(tcti)),
            // Either says so: with the pin lost too, a key in a file would make the vaults of this node's TPM look lost for good.
            None if holds_something(&pin, "config/ek.pub")?
                || holds_something(&paths::boot_pcrs(root), "config/boot-pcrs")? =>
            {
                anyhow::bail!(
                    "this node was installed with a TPM, and there is none now; bring it back, or name it in config/tcti; or, if its device key is in config/device.key.pem, write `none` into config/tcti"
                )
            }
            None => {
                let key = device_key(&paths::device_key(root), &paths::device_cert(root))?;
                Ok(Self::Soft { key, beside_a_tpm: false })
            }
        }
    }
}

/// The files that say which TPM this node has, and the device that it has if none does, as they are now.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Files([(FileIdentity, Option<SystemTime>); 6]);

impl Files {
    pub(super) fn look(root: &Path) -> Self {
        let files = [
            paths::tcti(root),
            paths::ek_pin(root),
            paths::device_key(root),
            paths::device_cert(root),
            paths::tpm_owner_auth(root),
            PathBuf::from(tpm::DEFAULT_DEVICE),
        ];
        // A change of mode is one too.
        let changed = |path: &Path| {
            let at = std::fs::metadata(path).ok()?;
            SystemTime::UNIX_EPOCH.checked_add(Duration::new(
                at.ctime().unsigned_abs(),
                u32::try_from(at.ctime_nsec()).unwrap_or_default(),
            ))
        };
        Self(files.map(|path| (FileIdentity::look(&path), changed(&path))))
    }
}

/// The key that this node's certificate is of. A certificate that does not read is client's to mend.
fn certified(root: &Path) -> Option<[u8; 65]> {
    let pem = std::fs::read(paths::device_cert(root)).ok()?;
    Some(*wire::Certificate::from_pem(&pem).ok()?.public_key().point())
}

/// The password of the TPM's owner, in one line, where the installer wrote it. For root's eyes alone.
pub(super) fn owner_auth(root: &Path) -> anyhow::Result<Option<Arc<OwnerAuth>>> {
    let file = match File::open(paths::tpm_owner_auth(root)) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        file => file.context("config/tpm-owner-auth")?,
    };
    let mode = file.metadata().context("config/tpm-owner-auth")?.permissions().mode();
    anyhow::ensure!(mode & 0o077 == 0, "config/tpm-owner-auth can be read by others: `chmod 600` it");
    let line = keep::read(&file).context("config/tpm-owner-auth")?;
    let password = Zeroizing::new(line.strip_suffix(b"\n").unwrap_or(&line).to_vec());
    Ok(Some(Arc::new(OwnerAuth::new(password).context("config/tpm-owner-auth")?)))
}

/// Whether there is a file with something in it. What can't be looked at, as where a link leads nowhere now, is not absent.
fn holds_something(path: &Path, name: &'static str) -> anyhow::Result<bool> {
    match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error).context(name),
        Ok(_) => Ok(std::fs::metadata(path)
            .with_context(|| format!("{name} can't be looked at; no other key is made in its place: where a link leads nowhere, put back what it leads to, or remove the link"))?
            .len()
            > 0),
    }
}

/// What to do where a TPM is there, and this node's device key is in a file.
const WITHOUT_TPM: &str = "this node was installed without a TPM, and its device key is config/device.key.pem: write `none` into config/tcti; or, to make it a new device with the TPM, remove config/device.key.pem and config/device.cert.pem, give it another serial number in config/serial, and allow that at the controller";

/// The key in the file, where this node's certificate is of that one: so the node is one without a TPM, whatever was found there, or is now.
fn certified_soft_key(root: &Path) -> Option<FileSigner> {
    let certified = certified(root)?;
    let pem = keep::read(&File::open(paths::device_key(root)).ok()?).ok()?;
    let key = FileSigner::from_pem(&pem).ok()?;
    (*key.public_key().point() == certified).then_some(key)
}

/// Why no key is made beside a certificate.
const CERTIFIED: &str = "config/device.cert.pem is of a device key that is not here, and no other is made beside it: bring config/device.key.pem back; or, if this node has a TPM, name it in config/tcti; or, to make it a new device, remove that certificate, give it another serial number in config/serial, and allow that at the controller";

/// The device key of a node without a TPM; none where it is still to be made. An empty file holds no key that could be lost. Its certificate was made
/// with it, and of a node that has one already the key is in a TPM, or lost.
fn device_key(path: &Path, cert: &Path) -> anyhow::Result<Option<FileSigner>> {
    if holds_something(path, "config/device.key.pem")? {
        return read_key(path).map(Some);
    }
    anyhow::ensure!(!holds_something(cert, "config/device.cert.pem")?, CERTIFIED);
    Ok(None)
}

fn read_key(path: &Path) -> anyhow::Result<FileSigner> {
    let pem = keep::read(&File::open(path).context("config/device.key.pem")?)?;
    FileSigner::from_pem(&pem).context("config/device.key.pem is damaged; restore it, or remove it with config/device.cert.pem to make this a new device")
}

fn make_key(disk: &Disk, path: &Path) -> anyhow::Result<()> {
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new())
        .ok()
        .context("making a key")?;
    let body = Zeroizing::new(base64::engine::general_purpose::STANDARD.encode(pkcs8.as_ref()));
    let pem = Zeroizing::new(format!(
        "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
        body.as_str()
    ));
    disk.write(path, pem.as_bytes(), 0o600).context("config/device.key.pem")
}

#[cfg(test)]
mod tests {
    use disk::faulty::{Fault, Faults, Faulty};

    use super::*;

    /// That of a node without a certificate, made at first.
    fn of(key: &Path) -> anyhow::Result<FileSigner> {
        match device_key(key, &key.with_file_name("device.cert.pem"))? {
            Some(there) => Ok(there),
            None => make_key(&Disk::linux(), key).and_then(|()| read_key(key)),
        }
    }

    /// Seen by a new user: `eve check` found nothing wrong with files that `eve run` refused. It refuses them in the same words.
    fn checked_alike(root: &Path, why: String) -> String {
        let checked = super::super::preflight::tpm(root).err().expect("`eve check` refuses it too").words();
        assert!(why.starts_with(&checked), "{why}: {checked}");
        why
    }

    /// Seen-by-users 0.6: a password that others may read is refused with what to do; one line of it is taken.
    #[test]
    fn the_owners_password_is_for_root_alone() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = paths::tpm_owner_auth(dir.path());
        assert!(owner_auth(dir.path()).expect("none is fine").is_none());
        std::fs::create_dir_all(path.parent().expect("config")).expect("makes");
        std::fs::write(&path, "owned\n").expect("writes");
        let mode =
            |mode| std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).expect("sets");
        mode(0o644);
        let words = owner_auth(dir.path()).expect_err("is refused").to_string();
        assert!(words.contains("chmod 600"), "{words}");
        mode(0o600);
        let taken = owner_auth(dir.path()).expect("reads").expect("there");
        assert!(!format!("{taken:?}").contains("owned"), "never printed");
        std::fs::write(&path, vec![b'x'; 65]).expect("writes");
        assert!(owner_auth(dir.path()).is_err(), "longer than any");
    }

    /// Invariant 5, 6: cut at any operation of its making, a node without a TPM has a key at the next start, and one that was once used stays. A
    /// full disk is told, and with room the key is made.
    #[test]
    fn a_device_key_whose_making_is_cut_is_there_at_the_next_start() {
        for fault in Fault::ALL {
            let cut = |nth: &usize| {
                let (dir, faults) = (tempfile::tempdir().expect("a directory"), Faults::default());
                std::fs::create_dir(dir.path().join("config")).expect("makes");
                std::fs::write(paths::tcti(dir.path()), "none").expect("writes");
                let disk = Disk::through(Faulty::linux(&faults));
                let take = || match Taken::take(&disk, dir.path()) {
                    Taken::Soft(key) => Ok(key.public_key().point().to_vec()),
                    Taken::Unusable { why } => Err(why),
                    Taken::Tpm { .. } => panic!("there is none"),
                };
                let mut used = None;
                let met = faults.during(fault, *nth, || used = Some(take()));
                let told = used.as_ref().and_then(|used| used.as_ref().err());
                assert_eq!(met && fault.is_told(), told.is_some(), "{fault:?} at {nth}: {told:?}");
                assert!(told.is_none_or(|why| why.contains("config/device.key.pem")), "{told:?}");
                let next = take().unwrap_or_else(|why| panic!("{fault:?} at {nth}: {why}"));
                used.and_then(Result::ok)
                    .iter()
                    .for_each(|used| assert_eq!(*used, next, "{fault:?} at {nth}"));
                met
            };
            let operations = (0..100).find(|nth| !cut(nth)).expect("it comes to an end");
            assert!(operations > 0, "{fault:?}: nothing was cut");
        }
    }

    /// A cut before the first key was whole needs no hand; a key that is damaged is never replaced by another.
    #[test]
    fn an_empty_device_key_is_made_and_a_damaged_one_is_told() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("device.key.pem");
        std::fs::write(&path, "").expect("writes");
        let made = of(&path).expect("makes one").public_key().point().to_vec();
        assert_eq!(std::fs::metadata(&path).expect("is there").permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(dir.path()).expect("lists").count(), 1, "nothing beside it");
        assert_eq!(of(&path).expect("reads").public_key().point().to_vec(), made, "the same again");
        let whole = std::fs::read(&path).expect("reads");
        std::fs::write(&path, &whole[..40]).expect("writes");
        let words = format!("{:#}", of(&path).expect_err("is refused"));
        assert!(words.contains("restore it"), "{words}");
        assert_eq!(std::fs::read(&path).expect("reads"), whole[..40], "left as it is");
    }

    /// Invariant 6: beside a certificate, which says whose the TPM is, a name of it that can't be opened keeps nothing shut; without one it is told.
    #[test]
    fn a_name_of_the_tpm_that_can_not_be_opened_is_told_where_no_certificate_stands() {
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::create_dir_all(paths::ek_pin(dir.path())).expect("a folder in its place");
        std::fs::write(paths::tcti(dir.path()), "swtpm:host=127.0.0.1,port=2321").expect("writes");
        let take = || Taken::take(&Disk::linux(), dir.path());
        let Taken::Unusable { why } = take() else { panic!("it is used") };
        assert!(why.contains("config/ek.pub"), "{why}");
        let key = rcgen::KeyPair::generate().expect("a key");
        let made = rcgen::CertificateParams::new(Vec::new()).expect("a certificate").self_signed(&key);
        std::fs::write(paths::device_cert(dir.path()), made.expect("signs").pem()).expect("writes");
        let Taken::Tpm { place, .. } = take() else { panic!("it is not used") };
        assert!(place.certified.is_some());
    }

    /// Issue 7, B: what the files say wrong is told by name, with what to do, and taken once one of them is another.
    #[test]
    fn files_that_lead_to_no_tpm_are_told_and_watched() {
        let dir = tempfile::tempdir().expect("a directory");
        let config = dir.path().join("config");
        std::fs::create_dir(&config).expect("makes");
        let words = || match Taken::take(&Disk::linux(), dir.path()) {
            Taken::Unusable { why } => (checked_alike(dir.path(), why), Files::look(dir.path())),
            _ => panic!("it is used"),
        };
        std::fs::write(config.join("tcti"), "swtqm:host=127.0.0.1,port=2321").expect("writes");
        let (why, files) = words();
        assert!(why.starts_with("config/tcti: a TCTI starts with") && why.contains("mended"), "{why}");
        assert_eq!(Files::look(dir.path()), files);
        std::fs::write(config.join("tcti"), "none").expect("writes");
        std::fs::write(config.join("ek.pub"), "00").expect("writes");
        assert_ne!(Files::look(dir.path()), files, "it is looked at again");
        assert!(words().0.contains("name it in config/tcti"), "{}", words().0);
        // With the pin lost too there is the boot that was kept with it.
        std::fs::rename(config.join("ek.pub"), config.join("boot-pcrs")).expect("renames");
        assert!(words().0.contains("name it in config/tcti"), "{}", words().0);
        assert!(!config.join("device.key.pem").exists(), "no key in a file takes the TPM's place");
        std::fs::remove_file(config.join("boot-pcrs")).expect("there");
        std::fs::write(config.join("device.key.pem"), "no key").expect("writes");
        assert!(words().0.contains("config/device.key.pem is damaged"), "{}", words().0);
        std::fs::remove_file(config.join("device.key.pem")).expect("there");
        assert!(matches!(Taken::take(&Disk::linux(), dir.path()), Taken::Soft(_)));
    }

    /// Invariant 6: where all files that name the TPM are gone the certificate tells that this device has a key: none is made beside it, and it is
    /// said what to do. An empty one, as a first boot that was cut leaves it, is none.
    #[test]
    fn no_key_is_made_beside_a_certificate() {
        let dir = tempfile::tempdir().expect("a directory");
        let [key, cert] = [paths::device_key(dir.path()), paths::device_cert(dir.path())];
        std::fs::create_dir(dir.path().join("config")).expect("makes");
        std::fs::write(paths::tcti(dir.path()), "none").expect("writes");
        std::fs::write(&cert, "a certificate").expect("writes");
        let files = Files::look(dir.path());
        let Taken::Unusable { why } = Taken::take(&Disk::linux(), dir.path()) else { panic!("it is used") };
        let told = ["config/device.key.pem back", "config/tcti", "remove that certificate", "mended"];
        let why = checked_alike(dir.path(), why);
        assert!(told.iter().all(|words| why.contains(words)), "{why}");
        assert!(!key.exists(), "nothing was made");
        std::fs::write(&cert, "").expect("writes");
        assert_ne!(Files::look(dir.path()), files, "it is looked at again");
        assert!(matches!(Taken::take(&Disk::linux(), dir.path()), Taken::Soft(_)));
        std::fs::write(&cert, "a certificate").expect("writes");
        assert!(matches!(Taken::take(&Disk::linux(), dir.path()), Taken::Soft(_)), "beside its key");
    }

    /// Invariant 5, 6: a node without a TPM, whose certificate is of the key in its file, stays one: of a TPM that appears nothing is taken down, and one that
    /// is named is told. `none` counts also where a start of before took a TPM down; not for a node whose certificate is of another key.
    #[test]
    fn a_node_without_a_tpm_stays_one_where_a_tpm_appears() {
        let golden = |name: &str| {
            std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../vectors/keys").join(name))
                .expect("a golden key")
        };
        let dir = tempfile::tempdir().expect("a directory");
        let (config, take) = (dir.path().join("config"), || Taken::take(&Disk::linux(), dir.path()));
        std::fs::create_dir(&config).expect("makes");
        let write = |name: &str, bytes: &[u8]| std::fs::write(config.join(name), bytes).expect("writes");
        write("device.key.pem", &golden("controller-signing.key.pem"));
        write("device.cert.pem", &golden("controller-signing.cert.pem"));
        write("tcti", b"swtpm:host=127.0.0.1,port=2321");
        let Taken::Unusable { why } = take() else { panic!("the TPM is used") };
        let why = checked_alike(dir.path(), why);
        assert!(
            ["write `none` into config/tcti", "config/serial"].iter().all(|words| why.contains(words)),
            "{why}"
        );
        assert!(!config.join("ek.pub").exists() && !config.join("boot-pcrs").exists(), "nothing was made");
        write("tcti", b"none");
        assert!(matches!(take(), Taken::Soft(_)), "put back as it was");
        write("ek.pub", b"00");
        write("boot-pcrs", b"00");
        assert!(matches!(take(), Taken::Soft(_)), "taken down by a start of before");
        write("device.cert.pem", &golden("controller-ecdh.cert.pem"));
        assert!(matches!(take(), Taken::Unusable { .. }), "its key is in the TPM that is gone");
        write("tcti", b"swtpm:host=127.0.0.1,port=2321");
        assert!(matches!(take(), Taken::Tpm { .. }), "and is there again");
    }

    /// Invariant 6: a key that can't be looked at just now is not one that is absent.
    #[test]
    fn a_key_behind_a_link_that_leads_nowhere_is_not_replaced() {
        let dir = tempfile::tempdir().expect("a directory");
        let (path, elsewhere) = (dir.path().join("device.key.pem"), dir.path().join("medium/device.key.pem"));
        std::fs::create_dir(dir.path().join("medium")).expect("makes");
        let first = of(&elsewhere).expect("made").public_key().point().to_vec();
        std::os::unix::fs::symlink(&elsewhere, &path).expect("links");
        std::fs::rename(dir.path().join("medium"), dir.path().join("away")).expect("not mounted now");
        let words = format!("{:#}", of(&path).expect_err("is refused"));
        assert!(words.contains("no other key is made"), "{words}");
        std::fs::rename(dir.path().join("away"), dir.path().join("medium")).expect("mounted again");
        assert_eq!(of(&path).expect("reads").public_key().point().to_vec(), first, "the same");
    }
}
