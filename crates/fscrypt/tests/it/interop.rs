//! Both ways with the real `fscrypt` command.

use std::fs::{self, File};

use fscrypt::key_files::rewrap;
use fscrypt::{
    Claims, Iv, KeyFiles, KeyStatus, MetaDir, Modes, ProtectorDescriptor, Source, add_key, key_status,
    remove_key, rewrap_both, set_policy,
};
use testkit::fscrypt_cli::FscryptCli;

use crate::made::{Disk, NAME, content, files, protector, wrapping};

const PASSPHRASE: &str = "correct horse";

struct Peer {
    cli: FscryptCli,
    disk: Disk,
    dir: String,
}

impl Peer {
    fn new() -> Self {
        let disk = Disk::new();
        let cli = FscryptCli::new(&disk.dir.path().join("cli")).unwrap();
        let dir = disk.path("vault").display().to_string();
        fs::create_dir(&dir).unwrap();
        Self { cli, disk, dir }
    }

    /// With a vault that we made, locked, its file written.
    fn with_our_vault() -> Self {
        let peer = Self::new();
        peer.disk.meta().write(&files(7)).unwrap();
        let root = File::open(peer.disk.fs.mount_point()).unwrap();
        let identifier = add_key(&root, &content(7)).unwrap();
        set_policy(File::open(&peer.dir).unwrap(), &files(7).policy.policy()).unwrap();
        fs::write(peer.file(), "ours").unwrap();
        remove_key(&root, identifier, Claims::All).unwrap();
        peer
    }

    fn file(&self) -> std::path::PathBuf {
        self.disk.path("vault/file")
    }

    /// The mount point and a key's name, as the tool writes both together.
    fn named(&self, key: impl std::fmt::Display) -> String {
        format!("{}:{key}", self.disk.fs.mount_point().display())
    }

    /// The tool adds a protector with a passphrase of its own to the policy of our vault, which the key `ours` opens.
    fn add_passphrase(&self, ours: u8) -> ProtectorDescriptor {
        let before = self.disk.meta().protectors().unwrap();
        let mount = self.disk.fs.mount_point().display().to_string();
        let make = ["metadata", "create", "protector", &mount, "--source=custom_passphrase", "--name=spare"];
        self.cli.run_told(&[&make[..], &["--quiet"]].concat(), PASSPHRASE).unwrap();
        let added =
            self.disk.meta().protectors().unwrap().into_iter().find(|one| !before.contains(one)).unwrap();
        let key = self.cli.key_file("key", &[ours; 32]).unwrap();
        let args = [
            format!("--protector={}", self.named(added)),
            format!("--policy={}", self.named(files(7).policy.policy().identifier)),
            format!("--unlock-with={}", self.named(files(7).protector.descriptor())),
            format!("--key={}", key.display()),
        ];
        let args: Vec<_> = ["metadata", "add-protector-to-policy", "--quiet"]
            .into_iter()
            .chain(args.iter().map(String::as_str))
            .collect();
        self.cli.run_told(&args, PASSPHRASE).unwrap();
        added
    }

    fn unlock_with_passphrase(&self, of: ProtectorDescriptor) -> anyhow::Result<String> {
        let with = format!("--unlock-with={}", self.named(of));
        self.cli.run_told(&["unlock", &self.dir, &with, "--quiet"], PASSPHRASE)
    }

    /// Where it has others beside it, the tool is told which.
    fn unlock_ours(&self, key: u8) -> anyhow::Result<String> {
        let key = self.cli.key_file("key", &[key; 32])?;
        let with = format!("--unlock-with={}", self.named(files(7).protector.descriptor()));
        self.cli.run(&["unlock", &self.dir, &with, &format!("--key={}", key.display()), "--quiet"])
    }

    fn unlock(&self, key: u8) -> anyhow::Result<String> {
        let key = self.cli.key_file("key", &[key; 32])?;
        self.cli.run(&["unlock", &self.dir, &format!("--key={}", key.display()), "--quiet"])
    }
}

#[test]
fn the_tool_lists_unlocks_and_locks_what_we_made() {
    let machines = || fs::read("/etc/fscrypt.conf").ok();
    let before = machines();
    let peer = Peer::with_our_vault();
    let listed = peer.cli.run(&["status", &peer.disk.fs.mount_point().display().to_string()]).unwrap();
    assert!(
        listed.contains(&files(7).protector.descriptor().to_string()) && listed.contains(NAME),
        "{listed}"
    );
    let status = peer.cli.run(&["status", &peer.dir]).unwrap();
    assert!(status.contains("is encrypted with fscrypt") && status.contains("Unlocked: No"), "{status}");
    peer.unlock(7).unwrap();
    assert_eq!(fs::read_to_string(peer.file()).unwrap(), "ours");
    peer.cli.run(&["lock", &peer.dir, "--quiet"]).unwrap();
    assert!(!peer.file().exists());
    assert_eq!(machines(), before, "the machine's own configuration is not ours to touch");
}

#[test]
fn after_our_rewrap_the_tool_opens_with_the_new_key_and_not_with_the_old() {
    let peer = Peer::with_our_vault();
    let new = rewrap(&protector(7), &wrapping(9), NAME, Iv([3; 16]));
    rewrap_both(&[&peer.disk.meta()], &new).unwrap();
    peer.unlock(7).expect_err("the old key");
    assert!(!peer.file().exists());
    peer.unlock(9).unwrap();
    assert_eq!(fs::read_to_string(peer.file()).unwrap(), "ours");
}

#[test]
fn we_open_what_the_tool_made_and_write_its_files_byte_for_byte() {
    let peer = Peer::new();
    peer.cli.run(&["setup", &peer.disk.fs.mount_point().display().to_string(), "--quiet"]).unwrap();
    let key = peer.cli.key_file("key", &[5; 32]).unwrap();
    let key = format!("--key={}", key.display());
    peer.cli
        .run(&["encrypt", &peer.dir, "--source=raw_key", &key, "--name=theirs", "--user=root", "--quiet"])
        .unwrap();
    fs::write(peer.file(), "theirs").unwrap();
    peer.cli.run(&["lock", &peer.dir, "--quiet"]).unwrap();
    let meta = MetaDir::open(&disk::Disk::linux(), &peer.disk.path(".fscrypt")).unwrap();
    let (of_protector, of_policy) = (meta.protectors().unwrap()[0], meta.policies().unwrap()[0]);
    let found = KeyFiles {
        protector: meta.read_protector(of_protector).unwrap(),
        policy: meta.read_policy(of_policy).unwrap(),
    };
    assert_eq!(found.protector.name(), "theirs");
    assert_eq!(found.policy.policy().modes, Modes::AES_256_XTS);
    let bytes =
        |kind: &str, name: String| fs::read(peer.disk.path(".fscrypt").join(kind).join(name)).unwrap();
    assert_eq!(found.protector.to_bytes(), bytes("protectors", of_protector.to_string()));
    assert_eq!(found.policy.to_bytes(), bytes("policies", of_policy.to_string()));
    let (key, _) = found.open(&wrapping(5)).unwrap();
    let root = File::open(peer.disk.fs.mount_point()).unwrap();
    let identifier = add_key(&root, &key).unwrap();
    assert!(matches!(key_status(&root, identifier).unwrap(), KeyStatus::Present { .. }));
    assert_eq!(fs::read_to_string(peer.file()).unwrap(), "theirs");
}

/// VC-2, KO-1: a protector that the tool added to our vault's policy stays as it is while we change our own, and each opens with its own
/// key: the tool with its passphrase, we with ours.
#[test]
fn a_protector_that_the_tool_added_outlives_our_rewrap() {
    let peer = Peer::with_our_vault();
    let (meta, ours) = (peer.disk.meta(), files(7));
    let added = peer.add_passphrase(7);
    let policy = meta.read_policy(ours.policy.policy().identifier).unwrap();
    assert_eq!(policy.others(ours.protector.descriptor()).collect::<Vec<_>>(), [Some(added)]);
    assert!(policy.agrees(&ours.policy, ours.protector.descriptor()), "our wrap is as it was");
    let theirs = meta.read_protector(added).unwrap();
    assert_eq!((theirs.name(), theirs.source()), ("spare", Source::Passphrase));
    let bytes = |name: String| fs::read(peer.disk.path(".fscrypt").join(name)).unwrap();
    let both =
        || (bytes(format!("policies/{}", policy.policy().identifier)), bytes(format!("protectors/{added}")));
    let before = both();
    assert_eq!((policy.to_bytes(), theirs.to_bytes()), before, "as the tool writes them");
    rewrap_both(&[&meta], &rewrap(&protector(7), &wrapping(9), NAME, Iv([3; 16]))).unwrap();
    assert_eq!(both(), before);
    let mended = policy.mended(&ours.policy, ours.protector.descriptor()).unwrap();
    assert_eq!(mended.to_bytes(), before.0, "mended from a twin of before it was added");
    for open in [&|| peer.unlock_with_passphrase(added), &|| peer.unlock_ours(9)]
        as [&dyn Fn() -> anyhow::Result<String>; 2]
    {
        open().unwrap();
        assert_eq!(fs::read_to_string(peer.file()).unwrap(), "ours");
        peer.cli.run(&["lock", &peer.dir, "--quiet"]).unwrap();
    }
    let new = KeyFiles { protector: meta.read_protector(ours.protector.descriptor()).unwrap(), policy };
    assert!(new.open(&wrapping(9)).is_ok());
}
