//! On a rescue system: the disk, `age`, and the `fscrypt` command. Nothing of ours runs.

use std::process::Command;

use testkit::fscrypt_cli::FscryptCli;

use super::*;

/// TH-3, Invariant 5: a copy of the disk opens by what `age -d` gives, each recipient for himself; another identity gives nothing.
#[test]
fn age_and_the_fscrypt_command_open_a_copied_disk() {
    let (mut node, _) = node(&line(Custody::TpmAndController, &[0, 1]));
    let image = node.disk.image();
    node.stop();
    node.disk.put_back(&image);
    let dir = node.disk.persist().parent().expect("a root").join("rescue");
    let cli = FscryptCli::new(&dir).expect("its folder");
    let file = age_files(&node, BERLIN).pop().expect("an age file");
    let protector = protectors(&node).pop().expect("a recovery protector").descriptor();
    assert!(file.to_string_lossy().ends_with(&format!("{BERLIN}.{protector}.age")), "{}", file.display());
    let (mount, vault) = (node.disk.persist().display().to_string(), node.paths.vault(BERLIN));
    for (identity, _) in OPERATORS {
        let key = decrypted(&dir, identity, &file).expect("a recipient's");
        let key = cli.key_file("key", &key).expect("writes");
        let args = ["unlock", &vault.display().to_string(), &format!("--unlock-with={mount}:{protector}")];
        cli.run(&[&args[..], &[&format!("--key={}", key.display()), "--quiet"]].concat()).expect("opens");
        assert!(kept(&node));
        cli.run(&["lock", &vault.display().to_string(), "--quiet"]).expect("locks");
        assert!(!kept(&node));
    }
    let stranger = Command::new("age-keygen").output().expect("runs age-keygen");
    let stranger = String::from_utf8(stranger.stdout).expect("text");
    assert!(decrypted(&dir, &stranger, &file).is_none(), "nobody's");
}

/// What the `age` command makes of a file; nothing where it refuses.
fn decrypted(dir: &std::path::Path, identity: &str, file: &std::path::Path) -> Option<[u8; 32]> {
    std::fs::write(dir.join("identity"), identity).expect("writes");
    let age = Command::new("age")
        .arg("-d")
        .arg("-i")
        .arg(dir.join("identity"))
        .arg(file)
        .output()
        .expect("runs age");
    age.status.success().then(|| age.stdout.try_into().expect("32 bytes"))
}

/// The other way round: what the `age` command encrypts opens here, beside stanzas for others, and what it armours does not.
#[test]
fn what_the_age_command_encrypts_opens_here() {
    let dir = tempfile::tempdir().expect("a folder");
    let plain = dir.path().join("plain");
    std::fs::write(&plain, [0x5a; 32]).expect("writes");
    let identity = Identity::read_all(OPERATORS[1].0).expect("an identity");
    let encrypt = |more: &[&str]| {
        let recipients = ["-r", OPERATORS[0].1, "-r", OPERATORS[1].1];
        let made = Command::new("age").args(recipients).args(more).arg(&plain).output().expect("runs age");
        assert!(made.status.success(), "{made:?}");
        made.stdout
    };
    let opened = age::open(&encrypt(&[]), &identity).expect("opens");
    assert_eq!(opened.expose_recovery_key(), &[0x5a; 32]);
    assert_eq!(age::open(&encrypt(&["-a"]), &identity).map(drop), Err(age::OpenError::Damaged));
    std::fs::write(&plain, [0x5a; 33]).expect("writes");
    assert_eq!(age::open(&encrypt(&[]), &identity).map(drop), Err(age::OpenError::Other));
}
