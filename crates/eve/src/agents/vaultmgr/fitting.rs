//! What is told of the vaults, within what the bus carries: of every vault that the controller may list, and of those that lie here besides,
//! name, state, epoch and what is wanted are always told. Words are shortened where all of them together would be too long, and it is
//! said that they were. Nothing is left out in silence, and nothing that is told is too long to be published.

use std::borrow::Cow;

use vault::report::{Outcome, State, VaultReport};
use vault::shares::MAX_SHARES;
use vault::text::without_middle;

use crate::bus::Topic;
use crate::bus::messages::VaultStatus;

/// Longest words of one vault, in bytes: an answer about it has room for them, whatever lies in its directory.
const WORDS: usize = 16 << 10;
/// The same where all vaults' words are too long: the first of these with which they fit. By the last they always do.
const SHORTER: [usize; 4] = [4 << 10, 1 << 10, 256, 64];
/// Longest words about the node.
const NOTES: usize = 32 << 10;
/// Left free, in bytes: by so much the words of vaults may grow until all are told anew.
const SLACK: usize = 128 << 10;

/// All of it as it can be published.
pub(super) fn fitted(mut status: VaultStatus) -> VaultStatus {
    shorten(&mut status.notes, NOTES);
    let untold = leave_out(&mut status.vaults, MAX_SHARES);
    status.notes.extend((untold > 0).then(|| format!("{untold} vaults more are here, and are not told of")));
    let most = VaultStatus::ID.most() - SLACK;
    for words in SHORTER {
        if length(&status) <= most {
            break;
        }
        status.vaults.iter_mut().for_each(|report| *report = in_short(report.clone(), words));
        status.notes.retain(|note| !note.ends_with(TOO_LONG));
        status.notes.push(format!("of each vault at most {words} bytes {TOO_LONG}"));
    }
    status
}

/// The end of the note that says so.
const TOO_LONG: &str = "of words are told: those of all vaults are too long for one message";

/// One vault's report with no more words than that, in bytes.
pub(super) fn in_short(mut report: VaultReport, words: usize) -> VaultReport {
    shorten(&mut report.detail, words);
    if let Some(Outcome { error: Some(error), .. }) = &mut report.last {
        cut(error, words);
    }
    report
}

/// One vault's report as it is always told.
pub(super) fn whole(report: VaultReport) -> VaultReport {
    in_short(report, WORDS)
}

/// In bytes on the bus.
fn length(status: &VaultStatus) -> usize {
    postcard::experimental::serialized_size(status).unwrap_or(usize::MAX)
}

/// Vaults that no controller lists go first. How many went.
fn leave_out(vaults: &mut Vec<VaultReport>, most: usize) -> usize {
    let over = vaults.len().saturating_sub(most);
    let (mut orphans, mut others) = (over, 0);
    vaults.reverse();
    vaults.retain(|report| {
        let goes = report.state == State::Orphan && orphans > 0;
        orphans -= usize::from(goes);
        !goes
    });
    vaults.reverse();
    others += vaults.len().saturating_sub(most);
    vaults.truncate(most);
    over - orphans + others
}

/// As many lines as that many bytes hold, and how many are left out.
fn shorten(lines: &mut Vec<String>, most: usize) {
    let mut left = most;
    let fit = lines.iter().take_while(|line| match left.checked_sub(line.len()) {
        Some(less) => {
            left = less;
            true
        }
        None => false,
    });
    let (fit, all) = (fit.count(), lines.len());
    if fit == all {
        return;
    }
    // Of one that alone is too long its beginning and its end are worth more than nothing.
    let kept = fit.max(1);
    lines.truncate(kept);
    lines.iter_mut().for_each(|line| cut(line, most));
    lines.extend((kept < all).then(|| format!("and {} lines more", all - kept)));
}

/// A text in at most that many bytes.
fn cut(text: &mut String, most: usize) {
    if let Cow::Owned(shorter) = without_middle(text, most) {
        *text = shorter;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use vault::ids::{Epoch, VaultId};
    use vault::section::{MAX_VAULTS, Operation, Seal};

    use super::*;

    fn report(n: usize, state: State, lines: &[String]) -> VaultReport {
        VaultReport {
            id: VaultId(uuid::Uuid::from_u128(n as u128)),
            name: format!("{n:0>64}").parse().expect("a name"),
            state,
            created: true,
            epoch: Some(Epoch(u64::MAX)),
            wanted: Operation::Unlock,
            last: Some(Outcome { operation: "change-key".into(), error: Some("é".repeat(1000)) }),
            opened: None,
            storage: None,
            change_due: false,
            holds_escrow_up: false,
            under_anothers_key: false,
            behind_in_escrow: None,
            ordered_locked: false,
            detail: lines.to_vec(),
        }
    }

    fn status(vaults: usize, lines: &[String]) -> VaultStatus {
        let vaults: Vec<_> = (1..=vaults)
            .map(|n| report(n, if n % 7 == 0 { State::Orphan } else { State::Unlocked }, lines))
            .collect();
        let seals: BTreeMap<_, _> = vaults.iter().map(|report| (report.id, Some(Seal::Pcrs))).collect();
        VaultStatus { vaults, seals, notes: vec!["of the node".into()], ..VaultStatus::default() }
    }

    /// Seen-by-users S2: as many vaults as there may be, with names and words as long as they may be, are published whole in what counts.
    #[test]
    fn every_vault_is_told_however_many_and_however_long_their_words() {
        let lines = ["long ".repeat(200), "ü".repeat(40_000), "x".repeat(200)];
        for count in [1022, MAX_VAULTS + 2, MAX_SHARES] {
            let all = status(count, &lines);
            assert!(length(&all) > VaultStatus::ID.most(), "{count} would fit");
            let told = fitted(all.clone());
            assert!(length(&told) <= VaultStatus::ID.most() - SLACK, "{count}: {}", length(&told));
            assert_eq!(told.seals, all.seals);
            let facts =
                |it: &VaultReport| (it.id, it.name.clone(), it.state, it.epoch, it.wanted, it.created);
            let facts = |it: &VaultStatus| it.vaults.iter().map(facts).collect::<Vec<_>>();
            assert_eq!(facts(&told), facts(&all), "{count}");
            assert!(told.vaults.iter().all(|it| it.detail[0].starts_with("long long")), "{count}");
            assert!(
                told.vaults
                    .iter()
                    .all(|it| it.detail.last().is_some_and(|line| line.ends_with("lines more")))
            );
            assert_eq!(
                told.notes.iter().filter(|note| note.ends_with(TOO_LONG)).count(),
                1,
                "{:?}",
                told.notes
            );
        }
    }

    #[test]
    fn what_fits_is_told_as_it_is() {
        let few = status(300, &["its key is withheld".into(), "é".into()]);
        assert_eq!(fitted(few.clone()), few);
        let one = report(1, State::Unlocked, &["a".into()]);
        assert_eq!(whole(one.clone()), one);
    }

    /// An answer about one vault has 64 KiB.
    #[test]
    fn one_vaults_report_fits_its_answer_and_counts_what_is_left_out() {
        let lines: Vec<_> = (0..2000).map(|n| format!("{n}: {}", "p".repeat(90))).collect();
        let told = whole(report(1, State::Unlocked, &lines));
        assert!(postcard::to_stdvec(&told).expect("encodes").len() < 32 << 10);
        let kept = told.detail.len() - 1;
        assert_eq!(told.detail[kept], format!("and {} lines more", 2000 - kept));
        assert_eq!(told.detail[..kept], lines[..kept]);
    }

    /// What nobody lists is left out first, and it is said how many.
    #[test]
    fn more_vaults_than_a_report_may_have_are_counted() {
        let told = fitted(status(MAX_SHARES + 100, &[]));
        assert_eq!(told.vaults.len(), MAX_SHARES);
        assert!(told.notes.contains(&"100 vaults more are here, and are not told of".to_owned()));
        let listed = |it: &VaultStatus| it.vaults.iter().filter(|it| it.state == State::Unlocked).count();
        assert_eq!(listed(&told), listed(&status(MAX_SHARES + 100, &[])));
    }
}
