//! The same of a node without a TPM (DF-3). Its device key is a file, and all its vaults open by a word of the controller's alone: so what keeps
//! it from its controller keeps them closed, and nothing else does.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use testkit::node::Power;
use testkit::sample;

use super::table::{Damaged, Expected, ONE_BY_ONE, OTHER_KEY, Opens, REACHABLE, Says, TOGETHER, done};
use super::{
    Cut, Emptied, Files, Flipped, Foreign, Older, Removed, SIDE_BY_SIDE, SOFT, Subject, files, kinds, scene,
    table,
};

/// All files of it that say who and where it is.
pub(super) const SOFT_FILES: [&str; 7] = [
    "device.key.pem",
    "device.cert.pem",
    "server",
    "root-certificate.pem",
    "onboard.cert.pem",
    "onboard.key.pem",
    "serial",
];

const DAMAGED_KEY: Says = &["config/device.key.pem is damaged; restore it"];
const NO_KEY: Says = &["config/device.cert.pem is of a device key that is not here"];
/// By a key of its own making, or another node's: it is not the device that the controller knows.
const ANOTHER_DEVICE: Says = &["were used by a device with another key"];

/// What is said of its key, where that keeps it from asking.
fn of_key(damaged: &Damaged) -> Option<Says> {
    let certificate = done(damaged, "device.cert.pem");
    match done(damaged, "device.key.pem") {
        Some(Flipped | Cut) => Some(DAMAGED_KEY),
        Some(Emptied | Removed) if !matches!(certificate, Some(Emptied | Removed)) => Some(NO_KEY),
        Some(Older | Foreign) if certificate.is_none() => Some(&[OTHER_KEY]),
        None if certificate == Some(Foreign) => Some(&[OTHER_KEY]),
        _ => None,
    }
}

pub(super) fn expected(damaged: &Damaged) -> Expected {
    let asks = table::expected(damaged).says.remove(0);
    let as_another = done(damaged, "device.key.pem").is_some();
    let says = match of_key(damaged) {
        Some(says) => says,
        None if as_another => ANOTHER_DEVICE,
        None => asks,
    };
    let opens = if says == REACHABLE { Opens::All } else { Opens::Nothing };
    Expected { opens, says: vec![says] }
}

/// Each of these, on several nodes side by side.
fn endure(all: &[Vec<(&'static str, super::Damage)>]) {
    let mut other = scene(false, SOFT);
    other.node.off(Power::Clean).unwrap();
    let (mut foreign, next) = (files(&other.node.root().join("config")), AtomicUsize::new(0));
    foreign.insert("serial".to_owned(), b"of the other board".to_vec());
    let work = || endure_each(all, &next, &foreign);
    thread::scope(|scope| (0..SIDE_BY_SIDE).for_each(|_| drop(scope.spawn(work))));
}

fn endure_each(all: &[Vec<(&'static str, super::Damage)>], next: &AtomicUsize, foreign: &Files) {
    let mut subject = Subject::new(false, foreign);
    while let Some(damaged) = all.get(next.fetch_add(1, Ordering::SeqCst)) {
        subject.endures_as(damaged, foreign, &expected(damaged));
    }
    subject.is_whole_again("with all put back");
}

/// Each file in every way. Another key opens nothing, and the one of before all; an address, or whom to believe, is waited for.
#[test]
fn df3_each_file_of_config_without_a_tpm_is_as_the_table_says() {
    let each = SOFT_FILES.iter().flat_map(|file| ONE_BY_ONE.map(|what| vec![(*file, what)]));
    endure(&each.filter(|damaged| !is_idle(damaged) && !may_be_either(damaged)).collect::<Vec<_>>());
}

/// A root certificate of which a letter is another one may be the same key's still, or none: then the Config Vault opens, or does not. Both stand
/// in the damage tests of vaultmgr.
pub(super) fn may_be_either(damaged: &Damaged) -> bool {
    done(damaged, "root-certificate.pem") == Some(Flipped)
}

/// What it was given a name by, and registered with, has had its day.
fn is_idle(damaged: &Damaged) -> bool {
    damaged.iter().all(|(file, _)| file.starts_with("onboard") || *file == "serial")
}

/// The same of pairs.
#[test]
fn df3_each_pair_of_config_without_a_tpm_is_as_the_table_says() {
    let pairs = SOFT_FILES
        .iter()
        .enumerate()
        .flat_map(|(at, one)| SOFT_FILES[at + 1..].iter().map(move |other| (*one, *other)));
    let damaged =
        pairs.flat_map(|(one, other)| TOGETHER.map(|[this, that]| vec![(one, this), (other, that)]));
    let damaged = damaged.filter(|damaged| !may_be_either(damaged)).collect();
    endure(&sample::of(damaged, |damaged| kinds(damaged, &expected(damaged))));
}
