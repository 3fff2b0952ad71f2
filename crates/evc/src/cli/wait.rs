//! `evc wait`: asks again until it has come true or the time is up. What it waits for is told by the last answer, so who gives up knows why.

use std::thread::sleep;
use std::time::{Duration, Instant};

use vault::ids::Epoch;
use vault::report::State;

use super::args::{Reach, Until, VaultUntil, WaitFor};
use super::client::Client;
use super::failed::Failed;
use crate::api::calls::{DEVICE, REFERENCES, STATUS};
use crate::api::{Code, Described, Done, List, Reference, StateNow, VaultView};
use crate::store::{Appraised, ReferenceState, VaultStanding};

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
            until(time.timeout, || passing(vault(&client, device, name, *what)))
        }
    }
}

fn until(timeout: Duration, mut look: impl FnMut() -> Result<Look, Failed>) -> Result<Done, Failed> {
    let begun = Instant::now();
    loop {
        let how = match look()? {
            Look::True(done) => return Ok(Done { done, notes: Vec::new() }),
            Look::NotYet(how) => how,
        };
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
    let accepted = device.attestation.as_ref().is_some_and(|fared| fared.outcome != Appraised::Refused);
    let (is, how) = match what {
        Until::Online => (!device.needs_somebody(), format!("device `{name}`: {}", device.condition)),
        Until::Attested => (accepted, attestation(name, device.attestation.as_ref())),
        Until::Learned => learned(client, name)?,
    };
    Ok(if is { Look::True(how) } else { Look::NotYet(how) })
}

fn attestation(name: &str, fared: Option<&crate::api::Attestation>) -> String {
    match fared {
        None => format!("device `{name}` gave no evidence yet"),
        Some(fared) if fared.outcome == Appraised::Refused => {
            format!("device `{name}`: evidence refused: {}", fared.words.join("; "))
        }
        Some(_) => format!("device `{name}`: evidence accepted"),
    }
}

fn learned(client: &Client, name: &str) -> Result<(bool, String), Failed> {
    let list = List { device: Some(name.to_owned()), ..List::default() };
    let all: Vec<Reference> = client.ask(&REFERENCES, &[], &list)?;
    let good = all.iter().rev().find(|reference| reference.state != ReferenceState::Rejected);
    Ok(match good {
        Some(reference) => {
            (true, format!("device `{name}`: reference {} is {}", reference.id, word(reference.state)))
        }
        None => (false, format!("device `{name}`: no reference value was learned")),
    })
}

fn word(state: ReferenceState) -> &'static str {
    match state {
        ReferenceState::Pending => "pending",
        ReferenceState::Approved => "approved",
        ReferenceState::Rejected => "rejected",
    }
}

fn vault(client: &Client, device: &str, name: &str, what: VaultUntil) -> Result<Look, Failed> {
    let Some(all) = there(client.call(&DEVICE, &[device]))? else {
        return Ok(match what {
            VaultUntil::Gone => {
                Look::True(format!("device `{device}` is not there, nor is its vault `{name}`"))
            }
            _ => Look::NotYet(format!("device `{device}` is not registered")),
        });
    };
    let meant = |vault: &&VaultView| vault.name.as_str() == name || vault.id.to_string() == name;
    Ok(judged(all.vaults.iter().find(meant), name, what))
}

/// By its node's word: what was ordered counts only once it is done.
fn judged(vault: Option<&VaultView>, name: &str, what: VaultUntil) -> Look {
    let Some(vault) = vault else {
        return match what {
            VaultUntil::Gone => Look::True(format!("vault `{name}` is gone")),
            _ => Look::NotYet(format!("vault `{name}` is not there: see `evc get vaults`")),
        };
    };
    let said = |wanted: State| vault.state == Some(StateNow::Said(wanted));
    let is = match what {
        // A row that is gone is kept until the node has reported that it erased the vault.
        VaultUntil::Gone => vault.standing == VaultStanding::Gone && said(State::Removed),
        VaultUntil::Unlocked => vault.standing != VaultStanding::Gone && said(State::Unlocked),
        VaultUntil::Locked => said(State::Locked),
        VaultUntil::Epoch(epoch) => vault.reported_epoch.is_some_and(|at| at >= epoch),
    };
    let how = how(vault);
    if is { Look::True(how) } else { Look::NotYet(how) }
}

fn how(vault: &VaultView) -> String {
    let state = vault.state_now.clone().unwrap_or_else(|| "its node has not spoken of it".into());
    let epoch =
        vault.reported_epoch.map(|Epoch(epoch)| format!(", node at epoch {epoch}")).unwrap_or_default();
    let key = vault.key.as_ref().map(|key| format!(", key {key}")).unwrap_or_default();
    format!("vault `{}`: {state}{epoch}{key}", vault.name)
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
    use super::*;

    fn failed(error: &str, code: Code) -> Failed {
        crate::api::Problem { advice: "x".into(), code, error: error.into(), place: None }.into()
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
