//! The table of what damage to `config/` does: from what was damaged, and how, to what opens, and what `eve status` says.

use super::Damage;
use Damage::{Cut, Emptied, Flipped, Foreign, Older, Removed};

/// Of the default vaults, and of one whose place in the signed section is needed to open it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Opens {
    Nothing,
    Defaults,
    All,
}

/// All files of a node with a TPM.
pub(super) const FILES: [&str; 12] = [
    "server",
    "root-certificate.pem",
    "proxy",
    "location.json",
    "onboard.cert.pem",
    "onboard.key.pem",
    "serial",
    "device.cert.pem",
    "ek.pub",
    "boot-pcrs",
    "tcti",
    "tpm-owner-auth",
];

/// What the node makes itself, and makes anew where nothing is left of it.
pub(super) const OWN: [&str; 3] = ["device.cert.pem", "ek.pub", "boot-pcrs"];

pub(super) const ONE_BY_ONE: [Damage; 6] = [Flipped, Cut, Emptied, Removed, Older, Foreign];

/// What is done to both files of a pair.
pub(super) const TOGETHER: [[Damage; 2]; 3] = [[Flipped, Cut], [Removed, Removed], [Foreign, Foreign]];

/// What is damaged, and how.
pub(super) type Damaged = [(&'static str, Damage)];

/// One of these words is said.
pub(super) type Says = &'static [&'static str];

pub(super) const REACHABLE: Says = &["\"reachable\":true"];
pub(super) const OTHER_KEY: &str = "config/device.cert.pem is of another key than this device's";
const OTHER_TPM: &str = "this is not the TPM that this node was installed with (config/ek.pub)";
/// What names the TPM says nothing, or names none that is there, or is away.
const NO_TPM: Says = &[
    "vaults wait for the TPM, which is failing: config/tcti",
    "config/tcti names it",
    "vaults wait for the TPM, which is failing: this node was installed with a TPM, and there is none now",
];
/// Another node's TPM: it is refused by its name, or busy with that node, or has no key of this one; or by the controller, where both its name and
/// its certificate are that one's.
const STRANGE_TPM: Says = &[
    OTHER_TPM,
    OTHER_KEY,
    "config/ek.pub is damaged",
    "config/tcti names it",
    "were used by a device with another key",
];
const LOCATION: Says = &["config/location.json is not understood"];
/// Of several of them the line names one.
const LINE: Says = &["config/server", "config/proxy", "config/root-certificate.pem"];
/// Another controller, under its own root: it does not know this device, and nothing that it says counts.
const AT_ANOTHER: Says =
    &["may not onboard with this certificate", "a configuration was refused: the controller's certificates"];
const NOTHING_TO_REGISTER_WITH: Says = &[
    "does not know this device, and there is nothing to register it with",
    "config/onboard.key.pem is damaged; put the key there",
    "config/onboard.cert.pem is damaged; put the certificate there",
    "config/serial names no device; write the serial number there",
    "allow it with `evc onboard add",
];

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Expected {
    pub(super) opens: Opens,
    /// One of each of these.
    pub(super) says: Vec<Says>,
}

pub(super) fn done(damaged: &Damaged, file: &str) -> Option<Damage> {
    damaged.iter().find(|(of, _)| *of == file).map(|(_, what)| *what)
}

/// Its TPM, and nothing says of it that it is another's: the certificate by its key, or else the name that was written down. A part of a
/// name is written anew.
fn has_its_tpm(damaged: &Damaged) -> bool {
    let is = |file| done(damaged, file);
    let certified = matches!(is("device.cert.pem"), None | Some(Older));
    is("tcti").is_none() && (certified || !matches!(is("ek.pub"), Some(Flipped | Foreign | Older)))
}

/// By a certificate of its own making it has to register again.
fn registers(damaged: &Damaged) -> bool {
    matches!(done(damaged, "device.cert.pem"), Some(Flipped | Cut | Emptied | Removed))
}

fn may_register(damaged: &Damaged) -> bool {
    ["onboard.cert.pem", "onboard.key.pem", "serial"].iter().all(|file| done(damaged, file).is_none())
}

/// Where the controller is, and who: an empty proxy is none, and another's leads there as well.
fn has_a_line(damaged: &Damaged) -> bool {
    let is = |file| done(damaged, file);
    let proxy = matches!(is("proxy"), None | Some(Emptied | Removed | Foreign));
    is("server").is_none() && is("root-certificate.pem").is_none() && proxy
}

/// What is said first is what all else waits for.
fn says(damaged: &Damaged) -> Says {
    match done(damaged, "tcti") {
        Some(Foreign) => STRANGE_TPM,
        Some(_) => NO_TPM,
        None if !has_its_tpm(damaged) => &[OTHER_TPM, "config/ek.pub is damaged"],
        None if done(damaged, "device.cert.pem") == Some(Foreign) => &[OTHER_KEY],
        None if ["server", "root-certificate.pem"]
            .iter()
            .all(|file| done(damaged, file) == Some(Foreign)) =>
        {
            AT_ANOTHER
        }
        None if !has_a_line(damaged) => LINE,
        None if registers(damaged) && !may_register(damaged) => NOTHING_TO_REGISTER_WITH,
        None => REACHABLE,
    }
}

pub(super) fn expected(damaged: &Damaged) -> Expected {
    let opens = match done(damaged, "root-certificate.pem") {
        _ if !has_its_tpm(damaged) => Opens::Nothing,
        Some(_) => Opens::Defaults,
        None => Opens::All,
    };
    let location = matches!(done(damaged, "location.json"), Some(Flipped | Cut | Emptied));
    Expected {
        opens,
        says: [Some(says(damaged)), location.then_some(LOCATION)].into_iter().flatten().collect(),
    }
}

/// The rows that the derivation is held against: what it says where somebody would ask.
#[test]
fn the_table_says_what_a_person_would() {
    let rows: [(&str, &Damaged, Opens, Says); 10] = [
        ("nothing is damaged", &[], Opens::All, REACHABLE),
        ("the address", &[("server", Flipped)], Opens::All, LINE),
        ("a proxy that is not needed", &[("proxy", Removed)], Opens::All, REACHABLE),
        ("whom to believe", &[("root-certificate.pem", Removed)], Opens::Defaults, LINE),
        ("which TPM", &[("tcti", Removed)], Opens::Nothing, NO_TPM),
        ("another's certificate", &[("device.cert.pem", Foreign)], Opens::All, &[OTHER_KEY]),
        (
            "the owner's password, of no use while nothing is made",
            &[("tpm-owner-auth", Flipped)],
            Opens::All,
            REACHABLE,
        ),
        ("what is made anew", &[("device.cert.pem", Removed), ("ek.pub", Removed)], Opens::All, REACHABLE),
        (
            "all that would say whose TPM it is",
            &[("device.cert.pem", Foreign), ("ek.pub", Foreign)],
            Opens::Nothing,
            &[OTHER_TPM, "config/ek.pub is damaged"],
        ),
        (
            "what it would register by again",
            &[("device.cert.pem", Removed), ("onboard.key.pem", Removed)],
            Opens::All,
            NOTHING_TO_REGISTER_WITH,
        ),
    ];
    for (what, damaged, opens, says) in rows {
        assert_eq!(expected(damaged), Expected { opens, says: vec![says] }, "{what}");
    }
    let both = expected(&[("location.json", Emptied), ("server", Removed)]);
    assert_eq!(both.says, [LINE, LOCATION], "each is said");
}
