//! What people should know of what was done.

use vault::ids::{DeviceId, Name};
use vault::labels::Labels;
use vault::ledger::Older;
use vault::life::{Deleted, Fit, NodeAt, Unfit};
use vault::opened::Opened;
use vault::policy::{Caution, VaultRule};
use vault::report::{By, VaultReport};
use vault::text::Typed;

use super::at_stake::of_rehomed;
use super::damaged::of_row_at;
use super::identity::how_to_let_in;
use super::in_the_way::of_shut;
use super::unlisted::how_to_rehome;
use super::withheld::Why;
use super::{Words, older_advice};
use crate::api::{Done, Outcome};
use crate::custody::SealedRow;
use crate::service::Refusal;
use crate::store::{DeletedRow, DeviceRow};

/// Of a vault under a policy on a device.
pub(crate) fn of_fit(fit: Result<Fit, Unfit>) -> Option<String> {
    match fit {
        Ok(Fit::Yes) => None,
        Err(why) => Some(format!("impossible on this device: {why}, and it has no TPM")),
        Ok(Fit::NotKnownYet) => Some("it is not known yet whether this device has a TPM".into()),
    }
}

/// Of a device whose node holds to the lists of another one; `called`: what that is called here, where it is registered.
pub(crate) fn of_held_to(device: &Name, other: DeviceId, called: Option<&Name>) -> String {
    let (whom, what_to_do) = match called {
        Some(called) => (
            format!("device {other}, which is `{called}` here"),
            format!(
                "What is under custody `controller` goes over by `evc rehome vault`: see `evc describe device {called:#}`"
            ),
        ),
        None => (format!("device {other}, as which it was known before"), let_in_again(device, other)),
    };
    format!(
        "its node holds to the lists of {whom}, and takes none of this one's: nothing is made, opened or deleted there, and orders to lock are obeyed. {what_to_do}. If it is to stay so, \
         copy out first what is open there under a controller's key (`evc get vaults` says of which vaults): it opens no more then. Then remove persist/config/vaultmgr/record on the node and restart it: vaults that are not listed are locked and kept"
    )
}

fn let_in_again(device: &Name, other: DeviceId) -> String {
    format!(
        "If `evc device deleted` lists that device, bring it back: `evc delete device {device:#} --force --confirm {device:#}`, then `evc onboard add` with `--give-back`. Else, as after a \
         database was put back, let this one in as that one, and take in what is open there: {}",
        how_to_let_in(device, other)
    )
}

/// A vault that went over to another device.
pub(crate) struct Moved {
    pub(crate) vault: Name,
    pub(crate) from: Name,
    pub(crate) to: Name,
    /// Its keys went out under a custody with the old device's TPM too: which of the two its node has it under is not known.
    pub(crate) by_tpm_too: bool,
    /// What its node said last that it was opened by.
    pub(crate) opened: Option<Opened>,
    /// Keys that do not open, and that nothing needs.
    pub(crate) shut: Vec<SealedRow>,
    /// By that it is under a key that is not here.
    pub(crate) is_others: bool,
}

/// Of a vault that went over to another device, with its keys: where it opens from now on.
pub(crate) fn of_moved(Moved { vault, from, to, by_tpm_too, opened, shut, is_others }: &Moved) -> Done {
    let done = format!("vault `{vault}` of device `{from}` is device `{to}`'s, with its keys");
    let there = "it opens there if its directory is on that device's disk".to_owned();
    let said = opened.as_ref().map(|opened| format!("; its node said last that it was opened by {opened}"));
    let in_doubt = by_tpm_too.then(|| {
        format!(
            "before its policy was changed, keys went out under custody `tpm+controller` too{}: if its node did not take custody `controller` since, a part of its key is \
             in the TPM of device `{from}`, and no key of this controller's opens it on another one, but its recovery key does if it has one",
            said.unwrap_or_default()
        )
    });
    let there = if *is_others { of_rehomed(from) } else { there };
    Done { done, notes: [there].into_iter().chain(in_doubt).chain(of_shut(shut)).collect() }
}

/// Of one that is lost no more, whose node can't be told so by any list of this one.
pub(crate) fn of_found_elsewhere(device: &Name, other: DeviceId) -> String {
    format!(
        "what its node was ordered to lock while it was lost stays locked there: the node holds to the lists of device {other}, and only one of those lifts the \
         orders. See `evc describe device {device:#}` for how to bring that device back"
    )
}

/// Of vaults that are to be locked there, of a device that is not lost, while its node can't be told otherwise by any list of this one.
pub(crate) fn of_locks_elsewhere(vaults: &[&Name], other: DeviceId) -> String {
    let vaults: Vec<String> = vaults.iter().map(|name| format!("`{name}`")).collect();
    format!(
        "its node keeps locked: {}. Where that was ordered while the device was lost, only a list of device {other} lifts it",
        vaults.join(", ")
    )
}

/// Of an order to make a vault anew, until it is carried out.
pub(crate) fn of_order(vault: &Name, device: &str) -> String {
    let device = Typed(device);
    format!(
        "until its node has done so, `evc recreate vault {vault:#} --device {device:#} --withdraw` takes the order back"
    )
}

/// Of one that was taken back; `stood`: there was one.
pub(crate) fn of_withdrawn(vault: &Name, stood: bool) -> Done {
    let done = if stood {
        format!("vault `{vault}` is not ordered to be made anew any more")
    } else {
        format!(
            "no order to make vault `{vault}` anew stands: none was given, or its node has carried it out"
        )
    };
    let notes = stood.then(|| {
        "a node that has the order already may carry it out before it hears of this; see `evc wait vault` and `evc describe vault`".into()
    });
    Done { done, notes: notes.into_iter().collect() }
}

/// Of what is kept of a deleted device whose serial is allowed: why it does not get it back.
pub(crate) fn of_kept_device(kept: &DeletedRow, give_back: bool, registered: Option<Name>) -> Option<String> {
    let (name, until) = (&kept.name, crate::clock::text(kept.until));
    match (registered, give_back) {
        (Some(now), true) => Some(format!(
            "what is kept of the deleted device `{name}` goes back when it registers, and it is registered, as `{now}`: `evc delete device {now:#} --force --confirm {now:#}` first; \
             what that one has is kept too, and this allowance has to be said again then"
        )),
        (None, true) => None,
        (_, false) => Some(format!(
            "what is kept of the deleted device `{name}` with this serial until {until} does not go back by this: it comes as another device, of which its node takes \
             no list. To give it back: `evc onboard remove`, then `evc onboard add` with `--give-back`; see `evc device deleted`"
        )),
    }
}

/// Of removed vaults of a deleted device that its node is not told to erase when it comes again.
pub(crate) fn of_not_erased(names: &[&Name]) -> Option<String> {
    let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    let what = "was removed, and does not go back as removed: one that is wanted has its identity, so nothing is erased; it stays kept (`evc device deleted`)";
    (!names.is_empty()).then(|| format!("{}: {what}", names.join(", ")))
}

/// Of what a registered device did not get back, where something is kept of it.
pub(crate) fn of_left(kept: &DeletedRow, now: &Name) -> String {
    let (name, until) = (&kept.name, crate::clock::text(kept.until));
    format!(
        "device {now}: what is kept of it since it was deleted as `{name}` goes for good at {until}, and it has not got it back: see `evc device deleted`"
    )
}

/// Of a rule that was applied: how many devices it names, and what became of those that it named before.
pub(crate) fn of_rule(rule: &VaultRule, before: Option<&VaultRule>, named: usize) -> Vec<String> {
    let have = if named == 1 { "1 device has".into() } else { format!("{named} devices have") };
    let now = format!("{have} these labels; one that gets them later gets the vault then");
    let others = before.filter(|before| before.devices != rule.devices);
    let others = others.map(|_| "devices that the rule named before keep their vaults".into());
    [now].into_iter().chain(others).collect()
}

/// Of a device's labels, and of what rules gave it for them.
pub(crate) fn of_labels(device: &DeviceRow, before: &Labels, given: &[(Name, Outcome)]) -> Done {
    let labels = if device.labels.is_empty() { "none".into() } else { device.labels.to_string() };
    let given = given.iter().map(|(name, outcome)| match outcome {
        Outcome::Created => format!("it gets vault `{name}`, by the rule of that name"),
        Outcome::Changed => format!("its vault `{name}` is as the rule of that name says"),
        Outcome::Unchanged => format!("its vault `{name}` was there, and stays as it is"),
    });
    let lost = before.iter().any(|(key, value)| !device.labels.iter().any(|is| is == (key, value)));
    let kept = lost.then(|| {
        "vaults that it got for labels which it has no more stay: `evc delete vault` removes one".into()
    });
    Done { done: format!("labels of device `{}`: {labels}", device.name), notes: given.chain(kept).collect() }
}

/// Of a vault that was removed from a device that a rule names.
pub(crate) fn of_left_removed() -> String {
    "removed, and a rule leaves it so: `evc apply` of a document of its own keeps it".into()
}

/// Of a vault that a rule does not give.
pub(crate) fn of_not_given(policy: &Name, why: Unfit) -> String {
    format!("not given: {why} under policy `{policy}`, and the device has no TPM")
}

/// Of a vault that a rule does not give, for a row of the device's that does not read.
pub(crate) fn of_rule_unread(what: &str) -> String {
    format!("not given: {}", of_row_at(what))
}

/// Of a vault that a rule does not give, for what the device has already.
pub(crate) fn of_rule_refused(refusal: &Refusal) -> String {
    let Words { problem, advice } = Words::from(refusal);
    format!("not given: {problem}: {advice}")
}

/// Of a policy that can't be met on a device that has a vault under it.
pub(crate) fn of_impossible(vault: &Name, device: &Name, why: Unfit) -> String {
    format!(
        "impossible where a device has no TPM: {why}; vault `{vault}` of device `{device}` is one of those (`evc get vaults` shows all)"
    )
}

/// Of a policy.
pub(crate) fn of_caution(caution: Caution) -> String {
    match caution {
        Caution::SealedToBoot => {
            "sealed to the measured boot: after an update of firmware or system the vault opens once the new measurements are approved (`evc check update` foresees it)"
        }
        Caution::NothingRequired => "any boot of the device gets the key: `attest.require` is empty",
        Caution::Recovery(1) => {
            "whoever has the identity of its recovery recipient, and the node's drive, opens the vault without TPM and controller"
        }
        Caution::Recovery(_) => {
            "whoever has the identity of any one of its recovery recipients, and the node's drive, opens the vault without TPM and controller"
        }
    }
    .into()
}

/// Of a vault that was deleted; and that its end waits, where the database is older than its device.
pub(crate) fn of_deleted(name: &Name, became: &Deleted, older: Option<Older>) -> Done {
    let (done, note) = match became {
        Deleted::Default(_) => (
            format!("vault `{name}` returns to its default policy"),
            Some("a default vault is never deleted"),
        ),
        Deleted::Already { until } => (
            format!("vault `{name}` is being removed already, until {}", crate::clock::text(*until)),
            Some("`evc apply` of its document keeps it; `--delete-after` says another end"),
        ),
        Deleted::Grace { until, .. } => (
            format!(
                "vault `{name}` is to be locked by its node at its next contact, and kept until {}",
                crate::clock::text(*until)
            ),
            Some(
                "`evc wait vault … --for locked` waits for that; `evc apply` of its document keeps the vault",
            ),
        ),
        Deleted::Held { until, .. } => (
            format!(
                "vault `{name}` is to be locked by its node at its next contact, and kept until {} at least",
                crate::clock::text(*until)
            ),
            Some(
                "`evc wait vault … --for locked` waits for that; `evc apply` of its document keeps the vault",
            ),
        ),
        Deleted::Retained { .. } => (
            format!("vault `{name}` is to be locked by its node at its next contact, and is retained there"),
            Some(
                "`evc apply` of its document opens it again; `evc delete vault … --delete-after 72h` has it erased after that time",
            ),
        ),
        Deleted::AtOnce { .. } => (
            format!(
                "vault `{name}` is removed; the node erases it as soon as it gets the next list, which takes evidence that is accepted"
            ),
            Some(
                "its controller keys are deleted here; `eve status` on the node says when its TPM share is dead too",
            ),
        ),
    };
    let waits = older.filter(|_| !matches!(became, Deleted::Default(_)));
    let waits = waits.map(|older| {
        format!("nothing of it ends while this database is an older copy: {older}; {}", older_advice(older))
    });
    Done { done, notes: note.map(Into::into).into_iter().chain(waits).collect() }
}

/// Of a reference value that an operator approved or rejected: which vaults that is for.
pub(crate) fn of_judged(vaults: &[Name], approved: bool) -> String {
    let names: Vec<String> = vaults.iter().map(|name| format!("`{name}`")).collect();
    match (names.as_slice(), approved) {
        ([], _) => {
            let back = if approved { "goes back" } else { "does not go back" };
            format!(
                "no vault of this device requires measured PCRs yet, so no key depends on this; its bundle in escrow, if it has one, {back} to a boot with these values"
            )
        }
        (names, true) => format!(
            "a boot with these values gets the keys of {}, and its bundle in escrow if it asks for it, from its next contact on",
            names.join(", ")
        ),
        (names, false) => format!(
            "a boot with these values gets no key of {}, and no bundle in escrow; what is open there stays open until it is locked or restarts",
            names.join(", ")
        ),
    }
}

/// Of other reference values of a device that are the same values: the word on one is on all.
pub(crate) fn of_same_values(id: i64, same: &[i64]) -> Option<String> {
    let others: Vec<String> = same.iter().filter(|other| **other != id).map(i64::to_string).collect();
    (!others.is_empty()).then(|| format!("so is {}, which has the same values", others.join(", ")))
}

/// Of a quote that is to be learned, of a device whose boot was not measured when it last showed one.
pub(crate) const OF_UNMEASURED: &str = "its boot is not measured, and of such a boot nothing is learned: let its firmware measure the boot into the TPM, and boot it; or write policies without `require: [pcrs]`";

/// Of a policy that was changed and may have vaults.
pub(crate) fn of_changed(policy: &Name) -> String {
    format!("its vaults follow at their nodes' next contact: `evc describe policy {policy:#}` lists them")
}

/// Of a policy whose row did not read, and that was applied whole.
pub(crate) fn of_mended() -> String {
    "its row was damaged, and is written anew from this document: what it said before is not known. A vault keeps the `encryption` that it was made with: name the same here".into()
}

/// What becomes of a key whose device is ahead of this database.
pub(crate) fn of_who_was_ahead(older: Older) -> Why {
    // A node that went back to what this database sent is followed, and the note stays.
    let unless = if older == Older::PutBack { "" } else { ", unless its node tells a list that it sent" };
    Why::of(format!("{older}{unless}"), older_advice(older))
}

/// Of the Config Vault of a node that was ordered to lock it, and runs.
pub(crate) const HELD_BY_AGENTS: &str = "its node's own agents hold it for as long as they run: its key is taken away, and it is locked once the node is stopped, or boots; until then there is nothing to end or to \
     do, and no app's data is in it";

/// Of a vault that its node has, and no list of this controller ever named; as it is called, where another one has its name.
pub(crate) fn of_orphan(vault: &VaultReport, called: &str, device: &Name, owner: Option<&Name>) -> String {
    let adopt = format!("`evc adopt vault {:#} --device {device:#} --policy POLICY", Typed(called));
    let recovered = vault.opened.as_ref().is_some_and(|opened| opened.by == By::RecoveryKey);
    let lacks = vault.last.as_ref().and_then(|last| last.error.as_ref());
    match vault.epoch {
        _ if recovered => format!(
            "its node has it, no list that it knows of named it, and root opened it there by its recovery key: {adopt}` takes it in, under a key of this controller's, or has it erased (`--remove`)"
        ),
        None if let Some(lacks) = lacks => format!(
            "its node has it, and no list that it knows of named it; it is locked and kept, and does not open as it is ({lacks}): once that is mended {adopt}` takes it in; {adopt} --remove` has it erased"
        ),
        None => format!(
            "its node has it, and no list that it knows of named it; it is locked and kept: {adopt}` takes it in, or has it erased (`--remove`)"
        ),
        Some(_) => format!(
            "its node has it under a key of another controller, or of a database of before; it is locked and kept: {}if it has a recovery key, `eve vault recover` on its node opens it, and then {adopt}` takes it in; {adopt} --remove` has it erased",
            owner.map(|other| of_owner(called, other, device)).unwrap_or_default()
        ),
    }
}

fn of_owner(called: &str, other: &Name, device: &Name) -> String {
    format!(
        "it is device `{other}`'s here; if that device's disk is in this one now, it goes over by {}; ",
        how_to_rehome(called, other, device)
    )
}

/// Of a rotation that was forced: what the node holds opens the vault no more once it restarts.
pub(crate) fn at_stake(node: NodeAt) -> String {
    format!("{}: if it restarts before it takes a newer key, this vault stays locked", stands_at(node))
}

/// Where a node stands.
pub(crate) fn stands_at(node: NodeAt) -> String {
    match node {
        NodeAt::Epoch(epoch) => format!("the node is still at epoch {epoch}"),
        NodeAt::Silent { newest } => format!("the node has not reported that it took epoch {newest}"),
    }
}
