//! The real `fscrypt` command beside a vault of ours.

use fscrypt::{KeyFiles, ProtectorDescriptor};
use testkit::fscrypt_cli::FscryptCli;
use vault::report::State;

use super::*;

const PASSPHRASE: &str = "correct horse";

/// VC-2, IF-5, KO-1: the real command adds a passphrase of its own; the node changes its key; the command opens by its passphrase, and by
/// ours; and with the vault all of it goes.
#[test]
fn if5_the_fscrypt_command_adds_one_and_both_go_with_the_vault() {
    let (mut node, mut controller) = node();
    let cli =
        FscryptCli::new(&node.paths.persist().parent().expect("a root").join("cli")).expect("its folder");
    let peer = Peer { cli, mount: node.paths.persist().display().to_string(), own: ours(&node, BERLIN) };
    let added = peer.add(&node, raw_key(&controller, BERLIN, 1));
    look(&mut node);
    let words = told(&mut node, BERLIN).expect("it is told");
    assert!(words.contains("(1 with a passphrase)"), "{words}");
    let (file, policy) = (first(&node).read_protector(added).expect("reads"), ours(&node, BERLIN).policy);
    node.hear(&mut controller, &both((2, 1)));
    both_have(&node, BERLIN, &file, &policy, "after a change of key");
    node.stop();
    node.disk.mount();
    let dir = node.paths.vault(BERLIN);
    for (with, key) in
        [(added, None), (peer.own.protector.descriptor(), Some(raw_key(&controller, BERLIN, 2)))]
    {
        peer.unlock(&dir, with, key).expect("opens");
        assert_eq!(node.get(BERLIN, "file").as_deref(), Some("kept"));
        peer.cli.run(&["lock", &dir.display().to_string(), "--quiet"]).expect("locks");
    }
    let old = peer.unlock(&dir, peer.own.protector.descriptor(), Some(raw_key(&controller, BERLIN, 1)));
    old.expect_err("the key of before");
    node.start();
    node.hear(&mut controller, &both((2, 1)));
    assert_eq!(node.get(BERLIN, "file").as_deref(), Some("kept"), "{:?}", node.status(BERLIN));
    let current = ours(&node, BERLIN).protector;
    node.hear(&mut controller, &[line(OTHER, (2, 1))]);
    assert_eq!(node.state(BERLIN), State::Removed, "{:?}", node.status(BERLIN));
    let left = [first(&node).protectors(), first(&node).protectors()].map(|all| all.expect("lists"));
    assert!(left.iter().flatten().all(|of| *of != added && *of != current.descriptor()), "{left:?}");
    assert!(!first(&node).policies().expect("lists").contains(&policy.policy().identifier));
    node.stop();
    for (what, bytes) in [("theirs", file.ciphertext()), ("ours", current.ciphertext())] {
        assert!(!node.disk.contains(bytes), "{what} is on the raw disk");
    }
}

/// The `fscrypt` command beside a vault of ours.
struct Peer {
    cli: FscryptCli,
    mount: String,
    own: KeyFiles,
}

impl Peer {
    fn named(&self, key: impl std::fmt::Display) -> String {
        format!("{}:{key}", self.mount)
    }

    fn key_file(&self, key: [u8; 32]) -> String {
        format!("--key={}", self.cli.key_file("key", &key).expect("writes").display())
    }

    fn add(&self, node: &Node, key: [u8; 32]) -> ProtectorDescriptor {
        let before = first(node).protectors().expect("lists");
        let make = ["metadata", "create", "protector", &self.mount, "--source=custom_passphrase"];
        self.cli
            .run_told(&[&make[..], &["--name=spare", "--quiet"]].concat(), PASSPHRASE)
            .expect("makes one");
        let mut after = first(node).protectors().expect("lists").into_iter();
        let added = after.find(|one| !before.contains(one)).expect("a new one");
        let protector = format!("--protector={}", self.named(added));
        let policy = format!("--policy={}", self.named(self.own.policy.policy().identifier));
        let with = format!("--unlock-with={}", self.named(self.own.protector.descriptor()));
        let args = [
            "metadata",
            "add-protector-to-policy",
            &protector,
            &policy,
            &with,
            &self.key_file(key),
            "--quiet",
        ];
        self.cli.run_told(&args, PASSPHRASE).expect("adds it");
        added
    }

    fn unlock(
        &self,
        dir: &std::path::Path,
        with: ProtectorDescriptor,
        key: Option<[u8; 32]>,
    ) -> anyhow::Result<String> {
        let (dir, with) = (dir.display().to_string(), format!("--unlock-with={}", self.named(with)));
        let key = key.map(|key| self.key_file(key));
        let args: Vec<&str> = ["unlock", &dir, &with, "--quiet"].into_iter().chain(key.as_deref()).collect();
        self.cli.run_told(&args, PASSPHRASE)
    }
}
