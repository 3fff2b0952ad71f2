//! Vaults as a table for people.

use std::fmt::Write;

use vault::report::{State, VaultReport};
use vault::text::plain;

/// The table, with a heading; says so when there are none.
pub(super) fn vaults(vaults: &[VaultReport]) -> String {
    if vaults.is_empty() {
        return "no vaults\n".to_owned();
    }
    let mut text = format!("{:<20} {:<15} {:>5}  DETAIL\n", "VAULT", "STATE", "EPOCH");
    vaults.iter().for_each(|vault| _ = writeln!(text, "{}", line(vault)));
    text
}

/// Those that are there, or should be. A vault that was removed has only its name left, which a new one may bear.
pub(super) fn present(vaults: Vec<VaultReport>) -> Vec<VaultReport> {
    vaults.into_iter().filter(|vault| vault.state != State::Removed).collect()
}

fn line(vault: &VaultReport) -> String {
    let epoch = vault.epoch.map_or("-".to_owned(), |epoch| epoch.0.to_string());
    let detail: Vec<_> = failure(vault).into_iter().chain(vault.detail.iter().cloned()).collect();
    format!(
        "{:<20} {:<15} {epoch:>5}  {}",
        vault.name.as_str(),
        vault.state.to_string(),
        plain(&detail.join("; "))
    )
}

/// How the last operation failed, unless the details say so.
fn failure(vault: &VaultReport) -> Option<String> {
    let last = vault.last.as_ref()?;
    let error = last.error.as_ref().filter(|error| !vault.detail.contains(error))?;
    Some(format!("{}: {error}", last.operation))
}
