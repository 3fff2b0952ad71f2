//! A directory of somebody's who is none of ours at a vault's path, under a key that his own key files name: it is not taken for the vault, nothing of it
//! is deleted whatever is ordered of the vault, and it is named.

use std::fs::{self, File};

use fscrypt::{ContentKey, Modes};

use super::*;

/// What he has: his key files, and an encrypted directory with a file.
fn moves_in(node: &Node, vault: VaultId) -> KeyFiles {
    let Ok(content) = ContentKey::init::<Infallible>(|out| {
        out.fill(7);
        Ok(())
    });
    let (protector, key) = somebodys("alice", 9);
    let policy = PolicyFile::seal(&content, &key, Modes::AES_256_XTS, Iv([7; 16]));
    let files = KeyFiles { protector, policy };
    first(node).write(&files).expect("writes");
    let (mount, dir) = (File::open(node.disk.persist()).expect("opens"), node.paths.vault(vault));
    fscrypt::add_key(&mount, &content).expect("adds");
    fs::create_dir(&dir).expect("makes");
    fscrypt::set_policy(File::open(&dir).expect("opens"), &files.policy.policy()).expect("encrypts");
    fs::write(dir.join("hers"), "hers").expect("writes");
    files
}

/// All that is there of a vault goes.
fn goes(node: &Node, vault: VaultId) {
    let (files, first) = (ours(node, vault), first(node));
    first.remove_protector(files.protector.descriptor()).expect("removes");
    first.remove_policy(files.policy.policy().identifier).expect("removes");
    fs::remove_dir_all(node.paths.metas().join(vault.to_string())).expect("removes");
    fs::remove_dir_all(node.paths.vault(vault)).expect("removes");
}

fn stays(node: &mut Node, files: &KeyFiles, when: &str) {
    let status = node.status(BERLIN);
    let (first, of) = (first(node), files.policy.policy().identifier);
    assert_eq!(
        first.read_protector(files.protector.descriptor()).ok().as_ref(),
        Some(&files.protector),
        "{when}"
    );
    assert_eq!(first.read_policy(of).ok().as_ref(), Some(&files.policy), "{when}");
    assert_eq!(node.get(BERLIN, "hers").as_deref(), Some("hers"), "{when}: {status:?}");
    assert!(status.detail.join("; ").contains("stands at its path"), "{when}: {status:?}");
    assert_eq!(node.get(OTHER, "file").as_deref(), Some("kept"), "{when}");
}

/// Invariant 4.
#[test]
fn what_a_stranger_has_at_a_vaults_path_is_neither_taken_nor_deleted() {
    let (mut node, mut controller) = node();
    node.tell_head(&mut controller);
    node.stop();
    node.disk.mount();
    goes(&node, BERLIN);
    let files = moves_in(&node, BERLIN);
    node.start();
    node.hear(&mut controller, &both((1, 1)));
    stays(&mut node, &files, "listed");
    node.hear(&mut controller, &[Line { recreate: true, ..line(BERLIN, (1, 1)) }, line(OTHER, (1, 1))]);
    stays(&mut node, &files, "to be made anew");
    node.hear(&mut controller, &[line(OTHER, (1, 1))]);
    stays(&mut node, &files, "removed");
}
