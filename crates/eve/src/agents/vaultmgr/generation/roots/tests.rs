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
    let Ok(standing) = judge(&sets, open, || Ok::<_, std::convert::Infallible>(has_vaults));
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

/// Invariant 6: whether vaults are there is not known: neither begun nor lost, where it hangs on that, and on nothing else.
#[test]
fn a_disk_that_does_not_say_is_not_judged() {
    let silent = |sets: Vec<Slots>, open: Open| {
        judge(&sets, open, || Err("no answer")).as_ref().map(word).map_err(|why| *why)
    };
    assert_eq!(silent(vec![], none), Err("no answer"));
    assert_eq!(silent(vec![set(1, root(1), SlotContent::Absent)], opens), Err("no answer"));
    assert_eq!(silent(vec![set(1, root(1), root(2))], opens), Ok("in force"));
    assert_eq!(silent(vec![set(1, root(1), root(2))], none), Ok("lost"));
}

#[test]
fn what_a_cut_left_is_undefined_before_a_beginning() {
    let Generations::Begin(undefine) = judged(vec![set(1, root(1), SlotContent::Absent)], opens, false)
    else {
        panic!("does not begin")
    };
    assert_eq!(undefine, [ONE]);
}

/// Invariant 4: a table is durable before its `T`: a node whose `P` is gone, and whose disk is not mounted, is no new one.
#[test]
fn a_t_that_reads_tells_that_the_node_has_a_disk() {
    for (what, sets, written) in [
        ("a new node", vec![], false),
        ("both", vec![set(1, root(1), root(2))], true),
        ("P is gone", vec![set(1, root(1), SlotContent::Absent)], true),
        ("a definition cut short", vec![set(1, SlotContent::Unwritten, SlotContent::Absent)], false),
    ] {
        assert_eq!(any_written(&sets), written, "{what}");
    }
}
