//! Which generation is in force, what goes and what stays, by tables over all that a cut can leave.

use super::Root::{Read, Shut, Unwritten};
use super::*;

const BARREN: Option<TableFacts> = Some(TableFacts { barren: true, follows: false });
const SHARED: Option<TableFacts> = Some(TableFacts { barren: false, follows: false });
const CHANGED: Option<TableFacts> = Some(TableFacts { barren: false, follows: true });

fn pair(generation: u32, tpm: Root, pcrs: Root, table: Option<TableFacts>) -> Pair {
    let table = table.filter(|_| tpm == Read);
    Pair { generation: Generation(generation), tpm, pcrs, table }
}

fn judged(pairs: &[Pair], has_vaults: bool) -> GenerationState {
    let Ok(standing) = judge(pairs.to_vec(), || Ok::<_, std::convert::Infallible>(has_vaults));
    standing
}

/// Invariant 4: a half-defined generation goes only while nothing hangs on it, and is never taken into force.
#[test]
fn half_a_generation_goes_only_when_nothing_hangs_on_it() {
    for (what, half, goes) in [
        ("its table is empty", pair(1, Read, Unwritten, BARREN), true),
        ("never written", pair(1, Unwritten, Unwritten, None), true),
        ("T does not read, P was never written", pair(1, Shut, Unwritten, None), true),
        ("P alone is written", pair(1, Unwritten, Shut, None), false),
    ] {
        let GenerationState::Lost(lost) = judged(&[half], true) else { panic!("{what}: not lost") };
        let one = vec![Generation(1)];
        assert_eq!(lost.complete, None, "{what}");
        assert_eq!((lost.undefine == one, lost.keep == one), (goes, !goes), "{what}");
    }
}

/// Invariant 4: an NV index that is gone alone takes nothing along that hangs on the other. Where `T` reads, what it opens stays open, and by it a
/// bundle is believed; where a change was cut short, the generation before it counts.
#[test]
fn what_t_opens_stays_open_where_p_alone_is_gone() {
    for (what, pairs, in_force, left) in [
        ("alone", vec![pair(1, Read, Unwritten, SHARED)], 1, vec![]),
        ("after a change", vec![pair(2, Read, Unwritten, CHANGED)], 2, vec![]),
        (
            "the next one is prepared, and cut short",
            vec![pair(1, Read, Unwritten, SHARED), pair(2, Read, Unwritten, CHANGED)],
            1,
            vec![2],
        ),
        (
            "the next one is whole",
            vec![pair(1, Read, Unwritten, SHARED), pair(2, Read, Read, CHANGED)],
            2,
            vec![1],
        ),
        (
            "of the next one, whose old one is there",
            vec![pair(1, Read, Read, SHARED), pair(2, Read, Unwritten, CHANGED)],
            1,
            vec![2],
        ),
        (
            "half of the old one is left",
            vec![pair(1, Unwritten, Read, None), pair(2, Read, Unwritten, CHANGED)],
            2,
            vec![1],
        ),
        (
            "beside a table that was begun",
            vec![pair(1, Read, Unwritten, SHARED), pair(2, Read, Unwritten, SHARED)],
            2,
            vec![],
        ),
    ] {
        for has_vaults in [true, false] {
            let left = left.iter().copied().map(Generation).collect();
            let expected = GenerationState::InForce { generation: Generation(in_force), left };
            assert_eq!(judged(&pairs, has_vaults), expected, "{what}");
        }
    }
}

/// Invariant 4: with the table gone too, as beside another disk, it is asked back by `T`, and `T` stays.
#[test]
fn a_table_is_asked_back_by_t_alone() {
    let lost = |complete, keep: &[u32]| {
        let keep = keep.iter().copied().map(Generation).collect();
        GenerationState::Lost(Lost { complete: Some(Generation(complete)), undefine: vec![], keep })
    };
    for (what, pairs, expected) in [
        ("alone", vec![pair(1, Read, Unwritten, None)], lost(1, &[])),
        ("one is complete", vec![pair(1, Read, Read, None), pair(2, Read, Unwritten, None)], lost(1, &[2])),
        (
            "of two the newer",
            vec![pair(1, Read, Unwritten, None), pair(2, Read, Unwritten, None)],
            lost(2, &[1]),
        ),
    ] {
        for has_vaults in [true, false] {
            assert_eq!(judged(&pairs, has_vaults), expected, "{what}, {has_vaults}");
        }
    }
}

/// What a change that was cut short left beside the generation in force goes; what a table that was begun found there stays.
#[test]
fn beside_the_generation_in_force_only_a_changes_leftovers_go() {
    for (what, beside, table, goes) in [
        ("the one before, after a change", pair(1, Read, Read, SHARED), CHANGED, true),
        ("half of the one before", pair(1, Unwritten, Read, None), CHANGED, true),
        ("damage after a change", pair(1, Shut, Read, None), CHANGED, true),
        ("the one before, of a table begun", pair(1, Read, Read, SHARED), BARREN, false),
        ("half of a next one", pair(3, Read, Unwritten, CHANGED), BARREN, true),
        ("nothing written", pair(1, Unwritten, Unwritten, None), BARREN, true),
        ("half undefined", pair(3, Unwritten, Read, None), BARREN, true),
        ("what shares may hang on", pair(1, Unwritten, Read, None), BARREN, false),
        ("of which nothing is known", pair(1, Unwritten, Shut, None), BARREN, false),
        ("damage", pair(3, Shut, Read, None), BARREN, false),
    ] {
        let left = if goes { vec![beside.generation] } else { vec![] };
        let in_force = GenerationState::InForce { generation: Generation(2), left };
        assert_eq!(judged(&[pair(2, Read, Read, table), beside], true), in_force, "{what}");
    }
}

/// What a change wrote and did not end counts only where its `P` reads, or the one before does not either: else a `P` that no boot reaches
/// would take the place of one that reads.
#[test]
fn a_change_whose_p_does_not_read_is_begun_anew() {
    let rows = [
        ("both read", [Read, Read], CHANGED, 2),
        ("neither reads: another boot", [Shut, Shut], CHANGED, 2),
        ("the new one alone reads", [Shut, Read], CHANGED, 2),
        ("the old one alone reads", [Read, Shut], CHANGED, 1),
        ("the old one alone reads, beside a table that was begun", [Read, Shut], BARREN, 2),
    ];
    for (what, [old, new], table, in_force) in rows {
        let pairs = [pair(1, Read, old, SHARED), pair(2, Read, new, table)];
        let GenerationState::InForce { generation, left } = judged(&pairs, true) else { panic!("{what}") };
        let other = Generation(3 - in_force);
        assert_eq!(
            (generation, left),
            (Generation(in_force), if table == CHANGED { vec![other] } else { vec![] }),
            "{what}"
        );
    }
    let closed = [pair(1, Read, Read, None), pair(2, Read, Shut, CHANGED)];
    assert!(
        matches!(judged(&closed, true), GenerationState::InForce { generation: Generation(2), .. }),
        "the old table is gone"
    );
}

/// Invariant 4: nothing but a first boot, perhaps cut short, begins: never while both roots of a generation are written, nor beside vaults.
#[test]
fn nothing_that_was_made_is_begun_over() {
    let roots = [Read, Shut, Unwritten];
    for (tpm, pcrs, table, has_vaults) in roots.into_iter().flat_map(|tpm| {
        let each = move |pcrs| {
            [None, BARREN, SHARED].map(|table| [(tpm, pcrs, table, false), (tpm, pcrs, table, true)])
        };
        roots.into_iter().flat_map(each).flatten()
    }) {
        let one = pair(1, tpm, pcrs, table);
        let whole = tpm != Unwritten && pcrs != Unwritten;
        let half = tpm == Read && table != BARREN;
        let standing = judged(&[one], has_vaults);
        assert_eq!(matches!(standing, GenerationState::Begin(_)), !whole && !half && !has_vaults, "{one:?}");
        let written = pcrs != Unwritten || table == SHARED;
        let opens = tpm == Read && table.is_some() && written;
        assert_eq!(matches!(standing, GenerationState::InForce { .. }), opens, "{one:?}");
    }
}

/// A number above all that is there, in the place that is free; none when both are kept.
#[test]
fn a_generation_is_begun_where_nothing_is_kept() {
    let numbers = |of: &[u32]| of.iter().copied().map(Generation).collect::<Vec<_>>();
    for (on_disk, keep, next) in [
        (vec![], vec![], Some(1)),
        (vec![1], vec![], Some(2)),
        (vec![4], vec![1], Some(6)),
        (vec![], vec![2], Some(3)),
        (vec![3], vec![2], Some(5)),
        (vec![], vec![1, 2], None),
        (vec![u32::MAX], vec![], None),
    ] {
        assert_eq!(unused(numbers(&on_disk), &numbers(&keep)), next.map(Generation), "{on_disk:?} {keep:?}");
    }
}
