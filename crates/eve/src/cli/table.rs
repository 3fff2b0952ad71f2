//! Vaults as a table for people.

use std::path::Path;

use cli::{NOTHING, aged, aligned, cell};
use vault::lease::SinceBoot;
use vault::report::{State, VaultReport};
use vault::text::plain;

use crate::agents::vaultmgr::paths::Paths;
use crate::bus::messages::VaultStatus;

/// How much of each vault is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Columns {
    Few,
    /// And what it was asked to be, its storage limit and its UUID.
    All,
}

/// The table, with a heading; says so when there are none. What is so of each vault stands above it once: what differs is not lost in it.
/// With the directory of each, where a node's root is given.
pub(super) fn vaults(vaults: &[VaultReport], root: Option<&Path>, columns: Columns) -> String {
    if vaults.is_empty() {
        return "no vaults\n".to_owned();
    }
    with_common(vaults, &of_all(vaults), root, columns)
}

/// As a loop of a shell takes it.
pub(super) fn name(vault: &VaultReport) -> String {
    format!("vault/{}", vault.name)
}

/// All that `eve vault list` shows of a status: the table, and under it what is so of the node, which the vaults may wait for.
pub(super) fn with_notes(status: &VaultStatus, now: SinceBoot, root: &Path, columns: Columns) -> String {
    let mut text = vaults(&with_leases(status, now), Some(root), columns);
    if !status.notes.is_empty() {
        text.push('\n');
    }
    text.extend(status.notes.iter().map(|note| fact("note", note)));
    text
}

/// A line on the node, as `eve status` has them too.
pub(super) fn fact(name: &str, words: &str) -> String {
    format!("{name:<12} {}\n", plain(&aged(words)))
}

/// One of several: what all of them say stands above it too.
pub(super) fn one(vault: &VaultReport, among: &[VaultReport]) -> String {
    with_common(std::slice::from_ref(vault), &of_all(among), None, Columns::Few)
}

fn with_common(vaults: &[VaultReport], common: &[String], root: Option<&Path>, columns: Columns) -> String {
    let path = root.map_or(&[][..], |_| &["PATH"]);
    let more: &[&str] = if columns == Columns::All { &["ASKED TO", "STORAGE", "ID"] } else { &[] };
    let heading: Vec<_> =
        ["VAULT", "STATE", "EPOCH"].iter().chain(path).chain(more).chain(&["DETAIL"]).collect();
    let heading = heading.into_iter().map(ToString::to_string).collect();
    let rows = vaults.iter().map(|vault| cells(vault, common, root, columns));
    let table = aligned(&[heading].into_iter().chain(rows).collect::<Vec<_>>());
    if common.is_empty() {
        table
    } else {
        format!("each vault   {}\n\n{table}", plain(&aged(&common.join("; "))))
    }
}

/// The directory of a vault.
pub(super) fn path(root: &Path, vault: &VaultReport) -> String {
    Paths::new(root).vault(vault.id).display().to_string()
}

/// What each of several vaults says.
fn of_all(vaults: &[VaultReport]) -> Vec<String> {
    let [first, others @ ..] = vaults else { return Vec::new() };
    let all_say =
        |said: &&String| !others.is_empty() && others.iter().all(|vault| vault.detail.contains(said));
    first.detail.iter().filter(all_say).cloned().collect()
}

/// The same vaults, each that is open under a lease with what is left of it.
pub(super) fn with_leases(status: &VaultStatus, now: SinceBoot) -> Vec<VaultReport> {
    let mut vaults = status.vaults.clone();
    for vault in vaults.iter_mut().filter(|vault| vault.state == State::Unlocked) {
        let left = status.leases.get(&vault.id).map(|until| until.0.saturating_sub(now.0).as_secs());
        let words = left.map(|left| format!("leased for another {}", in_words(left)));
        vault.detail.splice(0..0, words);
    }
    vaults
}

/// In its two greatest units: whoever reads it does not count seconds of a day.
fn in_words(seconds: u64) -> String {
    let units = [(86_400, "d"), (3600, "h"), (60, "m"), (1, "s")];
    let from = units.iter().position(|(unit, _)| seconds >= *unit).unwrap_or(units.len() - 1);
    let mut left = seconds;
    let part = |(unit, name): &(u64, &str)| {
        let count = left / unit;
        left %= unit;
        format!("{count}{name}")
    };
    units[from..].iter().take(2).map(part).collect()
}

/// Those that are there, or should be. A vault that was removed has only its name left, which a new one may bear.
pub(super) fn present(vaults: Vec<VaultReport>) -> Vec<VaultReport> {
    vaults.into_iter().filter(|vault| vault.state != State::Removed).collect()
}

/// A cell for each heading.
fn cells(vault: &VaultReport, common: &[String], root: Option<&Path>, columns: Columns) -> Vec<String> {
    let or_nothing = |shown: Option<String>| shown.unwrap_or_else(|| NOTHING.to_owned());
    let epoch = or_nothing(vault.epoch.map(|epoch| epoch.0.to_string()));
    let path = root.map(|root| path(root, vault));
    let more = (columns == Columns::All).then(|| {
        let wanted = cell(&serde_json::to_value(vault.wanted).unwrap_or_default());
        [wanted, or_nothing(vault.storage.map(|storage| storage.to_string())), vault.id.to_string()]
    });
    let own = vault.detail.iter().filter(|said| !common.contains(said)).cloned();
    let opened = vault.opened.as_ref().map(|opened| format!("opened by {opened}"));
    let ordered = vault.ordered_locked.then(|| LOCKED.to_owned());
    let detail: Vec<_> = failure(vault).into_iter().chain(ordered).chain(opened).chain(own).collect();
    let first = [vault.name.to_string(), vault.state.to_string(), epoch].into_iter().chain(path);
    let all = first.chain(more.into_iter().flatten()).chain([detail.join("; ")]);
    all.map(|cell| plain(&aged(&cell)).into_owned()).collect()
}

/// Of a vault that is locked and waits for nothing.
const LOCKED: &str = "as it was ordered to be: `eve vault unlock` opens it, or says whose order it is";

/// How the last operation failed, unless the details say so.
fn failure(vault: &VaultReport) -> Option<String> {
    let last = vault.last.as_ref()?;
    // Who holds its files is told by what it waits for.
    let told = vault.state == State::LockIncomplete && !vault.detail.is_empty();
    let error = last.error.as_ref().filter(|error| !told && !vault.detail.contains(error))?;
    Some(format!("{}: {error}", last.operation))
}

#[cfg(test)]
mod tests {
    use super::*;
    use vault::ids::{CONFIG_VAULT, IMAGE_VAULT, VaultId};
    use vault::section::Operation;

    fn vault(id: VaultId, name: &str, own: &[&str]) -> VaultReport {
        VaultReport {
            id,
            name: name.parse().expect("a name"),
            state: State::Unlocked,
            created: true,
            epoch: None,
            wanted: Operation::Unlock,
            last: None,
            opened: None,
            storage: None,
            change_due: false,
            holds_escrow_up: false,
            under_anothers_key: false,
            behind_in_escrow: None,
            ordered_locked: false,
            detail: ["not escrowed"].iter().chain(own).map(ToString::to_string).collect(),
        }
    }

    /// Design, section 4: an open vault with a lease says what is left of it, by the clock that it ends by.
    #[test]
    fn an_open_vault_says_what_is_left_of_its_lease() {
        let at = |seconds| SinceBoot(std::time::Duration::from_secs(seconds));
        for (left, words) in
            [(18_720, "5h12m"), (90_061, "1d1h"), (61, "1m1s"), (60, "1m0s"), (9, "9s"), (0, "0s")]
        {
            let vault = vault(IMAGE_VAULT, "berlin", &[]);
            let leases = [(vault.id, at(1000 + left))].into();
            let status = VaultStatus { vaults: vec![vault], leases, ..VaultStatus::default() };
            let said = with_leases(&status, at(1000)).remove(0).detail;
            assert_eq!(said[0], format!("leased for another {words}"));
        }
    }

    /// Issue 8, statuses: docs/statuses.md has each column of the list, and no other; and each value of one that has a few.
    #[test]
    fn the_document_has_every_column() {
        let document = include_str!("../../../../docs/statuses.md");
        let text = vaults(&[vault(IMAGE_VAULT, "image", &[])], Some(Path::new("/n")), Columns::All);
        let heading = text.lines().next().expect("a heading");
        let is: Vec<_> = heading.split("  ").map(str::trim).filter(|column| !column.is_empty()).collect();
        let rows = form::rows(document, "### eve vault list");
        let told: Vec<_> = rows.iter().map(|row| row[0].trim_matches('`')).collect();
        assert_eq!(told, is);
        let asked = [Operation::Unlock, Operation::Lock, Operation::ChangeKey];
        let asked = asked.map(|it| cell(&serde_json::to_value(it).expect("JSON")));
        let row = rows.iter().find(|row| row[0] == "`ASKED TO`").expect("its row");
        assert_eq!(form::in_backticks(&row[1]), asked);
    }

    /// Fault 5: a TPM without room is what the vaults wait for, and whoever lists them reads that with them, on a line of its own each.
    #[test]
    fn the_list_says_what_its_vaults_wait_for() {
        let said = ["the TPM's NV is full: free an index", "a second one\nbroken"].map(str::to_owned);
        let waits = vault(IMAGE_VAULT, "image", &["waits for the TPM"]);
        let status = VaultStatus { vaults: vec![waits], notes: said.to_vec(), ..VaultStatus::default() };
        let text = with_notes(&status, SinceBoot::default(), Path::new("/n"), Columns::Few);
        let (table, under) = text.split_once("\n\n").expect("the notes stand apart");
        assert!(table.ends_with("not escrowed; waits for the TPM"), "{text}");
        let notes: Vec<_> = under.lines().collect();
        assert_eq!(notes.len(), 2, "{text}");
        assert_eq!(notes[0], "note         the TPM's NV is full: free an index");
        let bare = with_notes(
            &VaultStatus { notes: Vec::new(), ..status },
            SinceBoot::default(),
            Path::new("/n"),
            Columns::Few,
        );
        assert_eq!(bare, table.to_owned() + "\n");
        let none = VaultStatus { notes: said.to_vec(), ..VaultStatus::default() };
        assert!(
            with_notes(&none, SinceBoot::default(), Path::new("/n"), Columns::Few)
                .starts_with("no vaults\n\nnote ")
        );
    }

    /// Seen-by-users 2: what is so of all stands once, so that what is not is seen; and where each vault lies.
    #[test]
    fn what_differs_is_not_lost_in_what_all_say() {
        let (config, image) =
            (vault(CONFIG_VAULT, "config", &[]), vault(IMAGE_VAULT, "image", &["withheld"]));
        let text = vaults(&[config.clone(), image], Some(Path::new("/n")), Columns::Few);
        assert_eq!(text.matches("not escrowed").count(), 1, "{text}");
        let line = text.lines().find(|line| line.starts_with("image")).expect("its line");
        assert!(line.contains("/n/persist/img") && line.ends_with("withheld"), "{text}");
        assert!(
            vaults(std::slice::from_ref(&config), None, Columns::Few)
                .lines()
                .any(|line| line.ends_with("not escrowed")),
            "one alone"
        );
        let ordered = one(&config, &[config.clone(), vault(IMAGE_VAULT, "image", &["withheld"])]);
        assert!(ordered.starts_with("each vault   not escrowed\n"), "{ordered}");
        assert_eq!(ordered.matches("not escrowed").count(), 1, "{ordered}");
    }
}
