//! `evc wait`: asks again until it has come true or the time is up. What it waits for is told by the last answer, so who gives up knows why.

use std::thread::sleep;
use std::time::{Duration, Instant};

use vault::ids::Epoch;
use vault::report::{State, VaultReport};
use vault::text::{Typed, plain};

use super::args::{Reach, Until, VaultUntil, WaitFor};
use super::client::{Client, Rows};
use super::failed::Failed;
use crate::api::calls::{DEVICE, KNOWN_VAULT, REFERENCES, STATUS};
use crate::api::{Code, Described, Done, List, NodeReport, Reference, Standing, StateNow, VaultView};
use crate::store::{Appraised, ReferenceState};

/// Between two questions.
const EVERY: Duration = Duration::from_millis(500);

/// What came of a question.
enum Look {
    /// It is so: what it is.
    True(String),
    /// Not yet: how it is.
    NotYet(String),
}

/// Waits.
///
/// # Errors
/// [`Failed::TimeUp`]; or what does not pass by waiting.
pub(super) fn wait(reach: &Reach, what: &WaitFor) -> Result<Done, Failed> {
    match what {
        WaitFor::Controller { time } => until(time.timeout, || controller(reach)),
        WaitFor::Device { name, until: what, time } => {
            let client = Client::new(reach)?;
            until(time.timeout, || passing(device(&client, name, *what)))
        }
        WaitFor::Vault { name, device, until: what, time } => {
            let client = Client::new(reach)?;
            let mut known = false;
            until(time.timeout, || passing(vault(&client, (device, name), *what, &mut known)))
        }
    }
}

fn until(timeout: Duration, mut look: impl FnMut() -> Result<Look, Failed>) -> Result<Done, Failed> {
    let (begun, mut told) = (Instant::now(), String::new());
    loop {
        let how = match look()? {
            Look::True(done) => return Ok(Done { done, notes: Vec::new() }),
            Look::NotYet(how) => how,
        };
        if how != told {
            cli::complain(&plain(&format!("waiting; {how}")));
            told.clone_from(&how);
        }
        let left = timeout.saturating_sub(begun.elapsed());
        if left.is_zero() {
            return Err(Failed::TimeUp { after: timeout, how });
        }
        sleep(left.min(EVERY));
    }
}

/// A controller that is busy or away may be back in time; what is refused otherwise stays so.
fn passing(looked: Result<Look, Failed>) -> Result<Look, Failed> {
    match looked {
        Err(Failed::Refused { problem, .. }) if matches!(problem.code, Code::Busy | Code::TookTooLong) => {
            Ok(Look::NotYet(problem.error))
        }
        Err(Failed::Here(error)) => Ok(Look::NotYet(format!("{error:#}"))),
        other => other,
    }
}

/// It makes its URL and token at its first start: until then there is nothing to ask with.
fn controller(reach: &Reach) -> Result<Look, Failed> {
    let asked = Client::new(reach).map_err(Failed::from).and_then(|client| client.call(&STATUS, &[]));
    passing(asked.map(|status| Look::True(format!("the controller answers, version {}", status.version))))
}

fn device(client: &Client, name: &str, what: Until) -> Result<Look, Failed> {
    let Some(Described { device, .. }) = there(client.call(&DEVICE, &[name]))? else {
        return Ok(Look::NotYet(format!("device `{name}` is not registered: see `evc get pending`")));
    };
    let accepted =
        device.attestation.as_ref().is_some_and(|fared| fared.outcome != Appraised::Refused && fared.of_now);
    let (is, how) = match what {
        Until::Online => (!device.needs_somebody(), format!("device `{name}`: {}", device.condition)),
        Until::Attested if !device.is_there() => (false, format!("device `{name}`: {}", device.condition)),
        Until::Attested => (accepted, attestation(name, device.attestation.as_ref())),
        // What was learned before is not what is waited for.
        Until::Learned if device.learns => (
            false,
            format!(
                "device `{name}`: no reference value was learned{}",
                why_not(device.attestation.as_ref())
            ),
        ),
        Until::Learned => learned(client, name, device.attestation.as_ref())?,
    };
    Ok(if is { Look::True(how) } else { Look::NotYet(how) })
}

fn attestation(name: &str, fared: Option<&crate::api::Attestation>) -> String {
    match fared {
        None => format!("device `{name}` gave no evidence yet"),
        Some(fared) if fared.outcome == Appraised::Refused => {
            format!("device `{name}`: evidence refused: {}", fared.words.join("; "))
        }
        Some(fared) if !fared.of_now => {
            format!(
                "device `{name}`: its evidence is of before; that of its present session has not come yet"
            )
        }
        Some(_) => format!("device `{name}`: evidence accepted"),
    }
}

fn learned(
    client: &Client,
    name: &str,
    shown: Option<&crate::api::Attestation>,
) -> Result<(bool, String), Failed> {
    let list = List { device: Some(name.to_owned()), ..List::default() };
    let all = Rows::<Reference>::from(client.ask(&REFERENCES, &[], &list)?).whole;
    let good = all.iter().rev().find(|reference| reference.state != ReferenceState::Rejected);
    Ok(match good {
        Some(reference) => {
            (true, format!("device `{name}`: reference {} is {}", reference.id, word(reference.state)))
        }
        None => (false, format!("device `{name}`: no reference value was learned{}", why_not(shown))),
    })
}

/// What its last evidence says of it: of a boot that is not measured nothing is ever learned.
fn why_not(shown: Option<&crate::api::Attestation>) -> String {
    let Some(shown) = shown else { return String::new() };
    let of_good = shown.references.iter().filter(|_| shown.outcome != Appraised::Refused);
    let of_bad = shown.words.iter().filter(|_| shown.outcome == Appraised::Refused);
    of_good.chain(of_bad).map(|words| format!("; {words}")).collect()
}

fn word(state: ReferenceState) -> &'static str {
    match state {
        ReferenceState::Pending => "pending",
        ReferenceState::Approved => "approved",
        ReferenceState::Rejected => "rejected",
    }
}

/// `known`: it is no name that nobody ever told of. Told once, it stays so: what a node told of alone is forgotten when it is gone.
fn vault(
    client: &Client,
    (device, name): (&str, &str),
    what: VaultUntil,
    known: &mut bool,
) -> Result<Look, Failed> {
    let asked = client.call(&DEVICE, &[device]);
    let all = match what {
        // A device that is not there may be a word mistyped: that a vault of it is gone nobody knows.
        VaultUntil::Gone => asked?,
        _ => match there(asked)? {
            Some(all) => all,
            None => return Ok(Look::NotYet(format!("device `{device}` is not registered"))),
        },
    };
    let meant = |vault: &&VaultView| vault.name.as_str() == name || vault.id.to_string() == name;
    let rows = Rows::from(all.vaults);
    if what == VaultUntil::Gone && !*known {
        // So may a vault's.
        client.call(&KNOWN_VAULT, &[device, name])?;
        *known = true;
    }
    let told = all.device.orphans.iter().filter(|_| what != VaultUntil::Gone);
    Ok(match (rows.whole.iter().chain(told).find(meant), what) {
        (None, _) if rows.damaged.iter().any(|row| row.is_called(name)) => unread(device, name),
        (None, VaultUntil::Gone) => unlisted(all.device.report.as_ref(), name),
        (listed, _) => judged(listed, name, what),
    })
}

fn unread(device: &str, name: &str) -> Look {
    let device = Typed(device);
    Look::NotYet(format!(
        "what the controller keeps of vault `{name}` is damaged: see `evc describe device {device:#}`"
    ))
}

/// A vault that is not listed is gone where its node's last report does not tell of it.
fn unlisted(report: Option<&NodeReport>, name: &str) -> Look {
    let Some(report) = report else {
        return Look::NotYet(format!("vault `{name}` is not listed, and its node has said nothing yet"));
    };
    let meant = |told: &&VaultReport| told.name.as_str() == name || told.id.to_string() == name;
    match report.vaults.iter().find(meant).filter(|told| told.state != State::Removed) {
        Some(told) => Look::NotYet(format!(
            "vault `{name}` is not listed, and its node still has it ({}): see `evc adopt vault`",
            told.state
        )),
        None => Look::True(format!("vault `{name}` is gone: neither listed nor told of by its node")),
    }
}

/// By its node's word of now: what was ordered counts only once it is done, and what a silent node said does not count.
fn judged(vault: Option<&VaultView>, name: &str, what: VaultUntil) -> Look {
    let Some(vault) = vault else {
        return Look::NotYet(format!("vault `{name}` is not there: see `evc get vaults`"));
    };
    let said = |wanted: State| vault.state == Some(StateNow::Said(wanted));
    let is = match what {
        // A row that is gone is kept until the node has reported that it erased the vault.
        VaultUntil::Gone => vault.standing == Standing::Gone && said(State::Removed),
        // Open for the last time is not what anybody waits for.
        VaultUntil::Unlocked => vault.standing.is_listed() && said(State::Unlocked) && !vault.last_time,
        VaultUntil::Locked => said(State::Locked),
        // Of one that is on no list here, or open for the last time, it is the epoch of another controller's key.
        VaultUntil::Epoch(epoch) => {
            let is_ours = vault.standing.is_listed() && !vault.last_time;
            is_ours && vault.reported_epoch.is_some_and(|at| at >= epoch)
        }
    };
    let how = how(vault);
    if is { Look::True(how) } else { Look::NotYet(how) }
}

fn how(vault: &VaultView) -> String {
    let state = vault.state_now.clone().unwrap_or_else(|| "its node has not spoken of it".into());
    let epoch =
        vault.reported_epoch.map(|Epoch(epoch)| format!(", node at epoch {epoch}")).unwrap_or_default();
    let key = vault.key.as_ref().map(|key| format!(", key {key}")).unwrap_or_default();
    // Of one that is on no list of now, whose it is and what can be done; and that one is open for the last time.
    let is_told = vault.last_time || !vault.standing.is_listed();
    let notes: String = vault.notes.iter().filter(|_| is_told).map(|note| format!("; {note}")).collect();
    format!("vault `{}`: {state}{epoch}{key}{notes}", vault.name)
}

/// None: it is not there.
fn there<T>(told: Result<T, Failed>) -> Result<Option<T>, Failed> {
    match told {
        Err(Failed::Refused { problem, .. }) if problem.code == Code::DeviceUnknown => Ok(None),
        other => other.map(Some),
    }
}

#[cfg(test)]
mod tests {
    use vault::ids::VaultId;
    use vault::section::Operation;

    use super::*;

    fn failed(error: &str, code: Code) -> Failed {
        crate::api::Problem { advice: "x".into(), code, error: error.into(), place: None }.into()
    }

    /// A vault that is not listed is called gone by its node's word alone: an orphan is on its disk yet.
    #[test]
    fn what_its_node_still_has_is_not_gone() {
        let report = |vaults| -> NodeReport {
            let said = serde_json::json!({ "received": "x", "tpm": "disabled", "attestation": "Complete" });
            NodeReport { vaults, ..serde_json::from_value(said).expect("a report") }
        };
        let told = |state| {
            let (id, name) = (VaultId(uuid::Uuid::from_u128(7)), "v".parse().expect("a name"));
            let (created, epoch, last, opened, storage) = (true, None, None, None, None);
            let (change_due, holds_escrow_up, under_anothers_key) = (false, false, false);
            let (behind_in_escrow, ordered_locked) = (None, false);
            let (wanted, detail) = (Operation::Unlock, Vec::new());
            vec![VaultReport {
                id,
                name,
                state,
                created,
                epoch,
                wanted,
                last,
                opened,
                storage,
                change_due,
                holds_escrow_up,
                under_anothers_key,
                behind_in_escrow,
                ordered_locked,
                detail,
            }]
        };
        let gone = |report: Option<NodeReport>| match unlisted(report.as_ref(), "v") {
            Look::True(_) => true,
            Look::NotYet(how) => {
                assert!(how.contains("`v` is not listed"), "{how}");
                false
            }
        };
        assert!(!gone(None), "its node has not spoken");
        assert!(!gone(Some(report(told(State::Orphan)))), "it is on the disk");
        assert!(gone(Some(report(told(State::Removed)))));
        assert!(gone(Some(report(Vec::new()))));
    }

    #[test]
    fn a_wait_ends_when_it_is_so_when_it_never_will_and_when_its_time_is_up() {
        let mut asked = 0;
        let done = until(Duration::from_secs(60), || {
            asked += 1;
            Ok(if asked == 2 { Look::True("so".into()) } else { Look::NotYet("not yet".into()) })
        });
        assert_eq!(done.expect("so").done, "so");
        let up = until(Duration::ZERO, || Ok(Look::NotYet("locked".into()))).expect_err("its time is up");
        assert!(matches!(up, Failed::TimeUp { ref how, .. } if how == "locked"), "{up:?}");
        let busy = || passing(Err(failed("busy", Code::Busy)));
        assert!(matches!(until(Duration::ZERO, busy), Err(Failed::TimeUp { .. })));
        let never = || passing(Err(failed("no token", Code::TokenBad)));
        assert!(
            matches!(until(Duration::from_secs(60), never), Err(Failed::Refused { .. })),
            "not waited for"
        );
    }
}
