//! What a changed policy opens and shuts, in words.

use vault::ids::Name;

/// A vault as it is named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) vault: Name,
    pub(crate) device: Name,
}

/// What becomes of the vaults of a policy.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Turned {
    pub(crate) opens: Vec<Named>,
    pub(crate) shuts: Vec<Named>,
    /// Those that are locked while they are open under a key that is not here.
    pub(crate) for_good: Vec<Named>,
    /// The shut ones are locked; else their keys are withheld, and what is open stays so for a while.
    pub(crate) locks: bool,
    /// How many were looked at.
    pub(crate) looked: usize,
    /// Not all were: there are too many, of this policy or of those before it in its file, or rows of some are damaged.
    pub(crate) unseen: bool,
}

/// Which vaults a changed policy opens or shuts, by what their nodes showed last.
pub(crate) fn of_turned(turned: &Turned) -> Vec<String> {
    let Turned { opens, shuts, for_good, locks, looked, unseen } = turned;
    if *unseen && *looked == 0 {
        return vec![UNSEEN.to_owned()];
    }
    let opened = (!opens.is_empty()).then(|| format!("it opens {}", counted(opens)));
    let shut = (!shuts.is_empty()).then(|| match locks {
        true => format!("it locks {}", counted(shuts)),
        false => format!(
            "it withholds the key of {}: what is open there stays open until it is locked or its node restarts",
            counted(shuts)
        ),
    });
    let lost = (!for_good.is_empty()).then(|| {
        format!(
            "it closes for good, unless the newest database comes back, {}: open there under a key that is not here; copy the data out first, or leave `operation: unlock`",
            counted(for_good)
        )
    });
    let none = (opens.is_empty() && shuts.is_empty() && for_good.is_empty()).then(|| match unseen {
        true => "it opens and shuts none of those of its vaults that were looked at".to_owned(),
        false => "it opens and shuts none of its vaults, by what their nodes showed last".to_owned(),
    });
    let some = unseen.then(|| "not all of its vaults were looked at for this".to_owned());
    lost.into_iter().chain(opened).chain(shut).chain(none).chain(some).collect()
}

/// Of a policy none of whose vaults was looked at.
const UNSEEN: &str = "none of its vaults was looked at for what it opens and shuts: there are too many for one file, or rows of the database are damaged. `evc diff` of this policy alone says it";

/// How many, and the first by name.
fn counted(vaults: &[Named]) -> String {
    const FIRST: usize = 3;
    let first = vaults.iter().take(FIRST).map(|it| format!("`{}` on {}", it.vault, it.device));
    let first = first.collect::<Vec<_>>().join(", ");
    match vaults.len() {
        1 => format!("1 vault: {first}"),
        all @ 2..=FIRST => format!("{all} vaults: {first}"),
        all => format!("{all} vaults: {first}, .."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(count: usize) -> Vec<Named> {
        let name = |text: String| text.parse().expect("a name");
        (1..=count)
            .map(|at| Named { vault: name("shop".into()), device: name(format!("edge-{at}")) })
            .collect()
    }

    /// Seen-by-users 2, evc: whoever changes a policy reads how many vaults it turns, and the first of them by name.
    #[test]
    fn what_is_turned_is_counted_and_its_first_are_named() {
        let turned = Turned { opens: named(1), shuts: named(4), looked: 9, ..Turned::default() };
        let told = of_turned(&turned);
        assert_eq!(told[0], "it opens 1 vault: `shop` on edge-1");
        let shut = "it withholds the key of 4 vaults: `shop` on edge-1, `shop` on edge-2, `shop` on edge-3, ..: what";
        assert!(told.len() == 2 && told[1].starts_with(shut), "{told:?}");
        let told =
            of_turned(&Turned { shuts: named(2), locks: true, looked: 2, unseen: true, ..Turned::default() });
        assert_eq!(told[0], "it locks 2 vaults: `shop` on edge-1, `shop` on edge-2");
        assert_eq!(told[1], "not all of its vaults were looked at for this");
        assert_eq!(of_turned(&Turned::default()).len(), 1, "none is said too");
        assert_eq!(of_turned(&Turned { unseen: true, ..Turned::default() }), [UNSEEN]);
        let evc = form::Command::new("evc");
        let told = told.iter().map(String::as_str).chain([UNSEEN]);
        let wrong: Vec<_> = told.flat_map(|told| form::wrong_words(&evc, told)).collect();
        assert_eq!(wrong, [""; 0]);
    }
}
