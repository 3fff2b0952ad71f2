//! From what NV and disk hold to what is in force, lost or begun.

use super::*;

const ONE: Generation = Generation(1);

fn root(byte: u8) -> SlotContent {
    SlotContent::Root(RootSecret::copied_from(&[byte; 32]))
}

fn set(generation: u32, tpm: SlotContent, pcrs: SlotContent) -> Slots {
    Slots { generation: Generation(generation), tpm, pcrs }
}

fn opens(generation: Generation, _: &TableKey) -> Option<Table> {
    Some(Table::new(generation))
}

fn none(_: Generation, _: &TableKey) -> Option<Table> {
    None
}

fn word(standing: &Generations) -> &'static str {
    match standing {
        Generations::InForce(keys, ..) if keys.pcrs.is_ok() => "in force",
        Generations::InForce(..) => "in force without P",
        Generations::Lost(Lost { keys: Some(_), .. }) => "lost",
        Generations::Lost(_) => "lost without roots",
        Generations::Begin(_) => "begin",
    }
}

fn judged(sets: Vec<Slots>, open: Open, has_vaults: bool) -> Generations {
    let Ok(standing) = judge(sets, open, || Ok::<_, std::convert::Infallible>(has_vaults));
    standing
}

type Open = fn(Generation, &TableKey) -> Option<Table>;

/// Invariant 4: a first boot cut short begins anew; a wiped disk or another TPM never does.
#[test]
fn only_a_first_boot_begins() {
    let rows: [(&str, Vec<Slots>, Open, bool, &str); 11] = [
        ("a first boot", vec![], none, false, "begin"),
        ("cut after the table", vec![], opens, false, "begin"),
        ("cut inside the definition", vec![set(1, root(1), SlotContent::Absent)], opens, false, "begin"),
        (
            "cut before the write",
            vec![set(1, SlotContent::Unwritten, SlotContent::Unwritten)],
            opens,
            false,
            "begin",
        ),
        ("whole", vec![set(1, root(1), root(2))], opens, true, "in force"),
        (
            "PCRs moved",
            vec![set(1, root(1), SlotContent::PcrsMoved(vec![4]))],
            opens,
            true,
            "in force without P",
        ),
        (
            "PCRs were not still",
            vec![set(1, root(1), SlotContent::Unsteady)],
            opens,
            true,
            "in force without P",
        ),
        ("the disk was wiped", vec![set(1, root(1), root(2))], none, false, "lost"),
        ("the table is damaged", vec![set(1, root(1), root(2))], none, true, "lost"),
        ("the drive is in another node", vec![], opens, true, "lost without roots"),
        ("T is damaged", vec![set(1, SlotContent::Damaged, root(2))], opens, true, "lost without roots"),
    ];
    for (what, sets, open, has_vaults, expected) in rows {
        assert_eq!(word(&judged(sets, open, has_vaults)), expected, "{what}");
    }
}

#[test]
fn the_highest_complete_generation_is_in_force() {
    let older_and_half = vec![set(1, root(1), root(2)), set(2, root(3), SlotContent::Unwritten)];
    let Generations::InForce(keys, ..) = judged(older_and_half, opens, true) else { panic!("not in force") };
    assert_eq!(keys.generation, ONE);
    let both = vec![set(1, root(1), root(2)), set(2, root(3), root(4))];
    let Generations::InForce(keys, ..) = judged(both, opens, true) else { panic!("not in force") };
    assert_eq!(keys.generation, Generation(2));
}

/// What a change that was cut short left beside the generation in force goes; what a table that was begun found there stays.
#[test]
fn beside_the_generation_in_force_only_a_changes_leftovers_go() {
    fn changed(generation: Generation, _: &TableKey) -> Option<Table> {
        let vsk = || TpmRoot(RootSecret::copied_from(&[1; 32])).vsk();
        let (tpm, pcrs) = (vsk(), vsk());
        let by = || vault::section::BySeal { tpm: &tpm, pcrs: &pcrs };
        Table::new(Generation(generation.0 - 1)).next(by(), by(), []).ok()
    }
    use SlotContent::{Absent, Damaged, PcrsMoved, Unwritten};
    for (what, beside, open, goes) in [
        ("the one before, after a change", set(1, root(1), root(2)), changed as Open, true),
        ("half of the one before", set(1, Absent, root(2)), changed, true),
        ("damage after a change", set(1, Damaged, root(2)), changed, true),
        ("the one before, of a table begun", set(1, root(1), root(2)), opens, false),
        ("half of a next one", set(3, root(1), Unwritten), opens, true),
        ("nothing written", set(1, Unwritten, Absent), opens, true),
        ("half undefined", set(3, Absent, root(2)), opens, true),
        ("what shares may hang on", set(1, Absent, root(2)), opens, false),
        ("of which nothing is known", set(1, Absent, PcrsMoved(vec![])), opens, false),
        ("damage", set(3, Damaged, root(2)), opens, false),
    ] {
        let generation = beside.generation;
        let sets = vec![set(2, root(3), root(4)), beside];
        let Generations::InForce(keys, _, left) = judged(sets, open, true) else { panic!("{what}") };
        let left: Vec<_> = left.iter().map(|beside| beside.generation).collect();
        assert_eq!((keys.generation, left == [generation]), (Generation(2), goes), "{what}");
    }
}

/// Invariant 4: a half-defined generation goes only while nothing hangs on it.
#[test]
fn half_a_generation_goes_only_when_nothing_hangs_on_it() {
    fn shared(generation: Generation, _: &TableKey) -> Option<Table> {
        let mut table = Table::new(generation);
        let vsk = TpmRoot(RootSecret::copied_from(&[1; 32])).vsk();
        let share = vault::secret::TpmShare::copied_from(&[5; 32]);
        let nonce = vault::shares::Nonce([0; 12]);
        table.add(vault::ids::CONFIG_VAULT, vault::shares::Mark::Made, &vsk, &share, nonce).ok()?;
        Some(table)
    }
    for (what, tpm, open, goes) in [
        ("its table is empty", root(1), opens as Open, true),
        ("shares lie in its table", root(1), shared, false),
        ("its table does not open", root(1), none, false),
        ("never written", SlotContent::Unwritten, none, true),
    ] {
        let Generations::Lost(lost) = judged(vec![set(1, tpm, SlotContent::Absent)], open, true) else {
            panic!("{what}: not lost")
        };
        assert!(lost.keys.is_none(), "{what}: half a generation is never taken into force");
        assert_eq!((lost.undefine == [ONE], lost.keep == [ONE]), (goes, !goes), "{what}");
    }
}

/// Invariant 6: whether vaults are there is not known: neither begun nor lost, where it hangs on that, and on nothing else.
#[test]
fn a_disk_that_does_not_say_is_not_judged() {
    let silent =
        |sets, open: Open| judge(sets, open, || Err("no answer")).as_ref().map(word).map_err(|why| *why);
    assert_eq!(silent(vec![], none), Err("no answer"));
    assert_eq!(silent(vec![set(1, root(1), SlotContent::Absent)], opens), Err("no answer"));
    assert_eq!(silent(vec![set(1, root(1), root(2))], opens), Ok("in force"));
    assert_eq!(silent(vec![set(1, root(1), root(2))], none), Ok("lost"));
}

#[test]
fn what_a_cut_left_is_undefined_before_a_beginning() {
    let Generations::Begin(undefine) = judged(vec![set(1, root(1), SlotContent::Absent)], none, false) else {
        panic!("does not begin")
    };
    assert_eq!(undefine, [ONE]);
}
