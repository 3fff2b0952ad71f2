//! Matrices of cases, of which each run takes a sample: so few that each kind is met. `cargo xtask soak` takes the whole, by the same table.

use std::collections::BTreeSet;

/// Set by `cargo xtask soak`: every case.
const WHOLE: &str = "EVE_VAULT_WHOLE";

/// Of all cases those with which each kind is met, in their order; all of them where that is asked for. The sample is the same each time.
#[must_use]
pub fn of<C, K: Ord>(all: Vec<C>, kinds: impl Fn(&C) -> Vec<K>) -> Vec<C> {
    let chosen = if is_whole() { all } else { covering(all, kinds) };
    assert!(!chosen.is_empty(), "a matrix without a case proves nothing");
    chosen
}

/// Whether every case is asked for: of a matrix that takes its sample by another rule.
#[must_use]
pub fn is_whole() -> bool {
    std::env::var_os(WHOLE).is_some()
}

/// Looked at from all over the matrix: in its own order the first row would stand for every column.
fn covering<C, K: Ord>(all: Vec<C>, kinds: impl Fn(&C) -> Vec<K>) -> Vec<C> {
    let (mut met, mut chosen) = (BTreeSet::new(), BTreeSet::new());
    for at in scattered(all.len()) {
        let new = kinds(&all[at]).into_iter().fold(false, |new, kind| met.insert(kind) | new);
        if new {
            chosen.insert(at);
        }
    }
    all.into_iter().enumerate().filter(|(at, _)| chosen.contains(at)).map(|(_, case)| case).collect()
}

/// Each number below `count` once: steps of about the golden ratio of it, which has no factor in common with it.
fn scattered(count: usize) -> impl Iterator<Item = usize> {
    let common =
        |step: &usize| (2..=*step).any(|factor| step.is_multiple_of(factor) && count.is_multiple_of(factor));
    let step = (count * 618 / 1000 + 1..).find(|step| !common(step)).unwrap_or(1);
    (0..count).map(move |at| at * step % count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_is_met_by_few_cases() {
        let all: Vec<_> = (0..12).flat_map(|row| (0..12).map(move |column| [row, column])).collect();
        let kinds = |[row, column]: &[usize; 2]| vec![("row", *row), ("column", *column)];
        let chosen = covering(all.clone(), kinds);
        let met: BTreeSet<_> = chosen.iter().flat_map(kinds).collect();
        assert_eq!(met.len(), 24, "each row and each column: {chosen:?}");
        assert!(chosen.len() < 24 && chosen.is_sorted(), "{chosen:?}");
        assert_eq!(covering(all, |case| vec![*case]).len(), 144, "each is a kind of its own");
    }

    #[test]
    fn each_number_is_met_once() {
        for count in [0, 1, 2, 3, 63, 72, 198, 200] {
            let mut all: Vec<_> = scattered(count).collect();
            all.sort_unstable();
            assert!(all.into_iter().eq(0..count), "{count}");
        }
    }
}
