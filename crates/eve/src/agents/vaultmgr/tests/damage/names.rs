//! One changed bit in the name of a protector, which nothing authenticates.

use super::*;

/// Changes the last byte but `back` of the name that the protector of one vault bears in the first place.
fn flip(node: &Node, id: VaultId, name: &str, back: usize) {
    let second = node.paths.metas().join(id.to_string()).join("protectors");
    let file = std::fs::read_dir(second).expect("lists").flatten().next().expect("one").file_name();
    let path = node.disk.persist().join(".fscrypt/protectors").join(file);
    let mut bytes = std::fs::read(&path).expect("reads");
    let at = bytes.windows(name.len()).position(|window| window == name.as_bytes()).expect("its name");
    bytes[at + name.len() - back] ^= 1;
    std::fs::write(path, bytes).expect("flips");
}

/// `e1` becomes `e0`: a TPM's share is not missed by that, and the order that a status might advise erases nothing.
#[test]
fn a_share_is_not_missed_by_the_epoch_in_a_name() {
    let config = |custody| Line { id: CONFIG_VAULT, ..Line::of(custody) };
    for (has_tpm, id) in [(true, BERLIN), (false, BERLIN), (false, CONFIG_VAULT)] {
        let (mut node, mut controller) = (Node::new(has_tpm), Controller::new());
        let custody = if has_tpm { Custody::Tpm } else { Custody::Controller };
        let lines = [config(custody), Line::of(Custody::Controller)];
        node.hear(&mut controller, &lines);
        node.put(BERLIN, "file", "kept");
        node.tell_head(&mut controller);
        node.stop();
        node.disk.mount();
        flip(&node, id, &format!("eve-vault {id} e1"), 1);
        node.start();
        assert_ne!(node.state(id), State::Missing, "its key is not here: {:?}", node.status(id));
        node.hear(&mut controller, &lines);
        assert_eq!(node.state(id), State::Unlocked, "{has_tpm} {id}: {:?}", node.status(id));
        node.reboot();
        let recreate = |line: &Line| Line { created: true, recreate: line.id == BERLIN, ..line.clone() };
        let order: Vec<Line> = lines.iter().map(recreate).collect();
        node.hear(&mut controller, &order);
        assert_eq!(node.get(BERLIN, "file").as_deref(), Some("kept"), "{has_tpm} {id}: the order");
    }
}

/// Boots with one bit of a file changed, for each of these bytes: all else is put back before. The vault opens, and the file is as its twin again.
fn each_flipped(of: usize, bytes: impl Fn(&[u8]) -> Vec<usize>) {
    let lines = [Line::of(Custody::Controller)];
    let (mut node, mut controller) = (Node::new(true), Controller::new());
    node.hear(&mut controller, &lines);
    node.put(BERLIN, "file", "kept");
    let files = key_files(&node, BERLIN).map(|path| (path.clone(), std::fs::read(&path).expect("reads")));
    let (path, good) = &files[of];
    for at in bytes(good) {
        node.stop();
        node.disk.mount();
        let mut bad = good.clone();
        bad[at] ^= 1;
        std::fs::write(path, bad).expect("flips");
        node.start();
        node.hear(&mut controller, &lines);
        node.hear(&mut controller, &lines);
        let status = node.status(BERLIN);
        assert_eq!(node.get(BERLIN, "file").as_deref(), Some("kept"), "file {of} byte {at}: {status:?}");
        assert_eq!(status.state, State::Unlocked, "file {of} byte {at}");
        let [is, twin] = [of, (of + 2) % 4].map(|file| std::fs::read(&files[file].0).expect("reads"));
        assert_eq!(is, twin, "file {of} byte {at} is mended");
        for (path, bytes) in &files {
            std::fs::write(path, bytes).expect("puts back");
        }
    }
}

/// IF-2: the modes in a policy are proved by no key. The copy whose modes are the directory's counts, and mends the other.
#[test]
fn no_changed_byte_of_a_policy_closes_a_vault() {
    let head = |bytes: &[u8]| (0..bytes.len()).filter(|at| *at < 56 || at % 16 == 0).collect();
    each_flipped(1, head);
    each_flipped(3, head);
}

/// A bit of the identity in a name makes a vault that nobody lists. Its key is the real one's, and is not taken from that; and what the status
/// says is so.
#[test]
fn a_vault_that_a_changed_name_makes_closes_no_other() {
    let lines = [Line::of(Custody::Tpm)];
    let (mut node, mut controller) = (Node::new(true), Controller::new());
    node.hear(&mut controller, &lines);
    node.put(BERLIN, "file", "kept");
    node.stop();
    node.disk.mount();
    flip(&node, BERLIN, &format!("eve-vault {BERLIN} e0"), 5);
    node.start();
    for when in ["first", "again", "and again"] {
        node.hear(&mut controller, &lines);
        assert_eq!(
            node.get(BERLIN, "file").as_deref(),
            Some("kept"),
            "{when}: {:?}",
            node.manager().vault_status().vaults
        );
        assert_eq!(node.state(BERLIN), State::Unlocked, "{when}");
    }
    node.restart();
    node.hear(&mut controller, &lines);
    assert_eq!(node.get(BERLIN, "file").as_deref(), Some("kept"), "the next life");
}

/// The same where somebody puts a vault's key files beside it, under an identity that nobody lists.
#[test]
fn planted_key_files_close_no_other_vault() {
    let before = VaultId(uuid::Uuid::from_u128(0x01));
    for custody in [Custody::Tpm, Custody::Controller] {
        for planted in [before, OTHER] {
            plants(custody, planted);
        }
    }
}

fn plants(custody: Custody, planted: VaultId) {
    let lines = [Line::of(custody)];
    let (mut node, mut controller) = (Node::new(true), Controller::new());
    node.hear(&mut controller, &lines);
    node.put(BERLIN, "file", "kept");
    node.stop();
    node.disk.mount();
    let [of, to] = [BERLIN, planted].map(|id| node.paths.metas().join(id.to_string()));
    let names = [BERLIN, planted].map(|id| id.to_string().into_bytes());
    for kind in ["protectors", "policies"] {
        std::fs::create_dir_all(to.join(kind)).expect("makes");
        for entry in std::fs::read_dir(of.join(kind)).expect("lists").flatten() {
            let mut bytes = std::fs::read(entry.path()).expect("reads");
            if let Some(at) = bytes.windows(36).position(|window| window == names[0]) {
                bytes[at..at + 36].copy_from_slice(&names[1]);
            }
            std::fs::write(to.join(kind).join(entry.file_name()), bytes).expect("plants");
        }
    }
    node.start();
    node.tell_head(&mut controller);
    for when in ["first", "again", "restarted"] {
        node.hear(&mut controller, &lines);
        let reports = node.manager().vault_status().vaults;
        assert_eq!(
            node.get(BERLIN, "file").as_deref(),
            Some("kept"),
            "{custody:?} {planted} {when}: {reports:?}"
        );
        assert_eq!(node.state(BERLIN), State::Unlocked, "{custody:?} {planted} {when}");
        if when == "again" {
            node.restart();
            // Without a section an order about the other is carried out, and takes the real one's key from nobody.
            drop(node.manager().order_lock(planted));
            assert_eq!(node.get(BERLIN, "file").as_deref(), Some("kept"), "{custody:?} {planted}: the order");
        }
    }
    // Its twin: what is an orphan by its own directory is locked.
    node.hear(&mut Controller { incarnation: 7, ..controller }, &[]);
    assert_eq!(
        (node.state(BERLIN), node.get(BERLIN, "file")),
        (State::Orphan, None),
        "{custody:?} {planted}"
    );
}

/// IF-2: no bit of a protector's name, its own, the identity's or its key's mark, closes the vault. A name that does not read is written anew, too.
#[test]
fn no_changed_byte_of_a_name_closes_a_vault() {
    let name = format!("eve-vault {BERLIN} e1").into_bytes();
    // The file's own fields before it, and a mark after it.
    let head = |bytes: &[u8]| {
        let at = bytes.windows(name.len()).position(|window| window == name).expect("its name");
        (0..at + name.len() + 33).collect()
    };
    each_flipped(0, head);
    each_flipped(2, head);
}
