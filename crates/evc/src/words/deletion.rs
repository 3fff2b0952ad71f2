//! Words on a device that was deleted, and on what is kept of it.

use vault::ids::{DeviceId, Name};

use crate::api::Done;
use crate::store::UnixSeconds;

/// What was forgotten.
pub(crate) struct Gone {
    pub(crate) id: DeviceId,
    pub(crate) name: Name,
    pub(crate) serial: Option<String>,
    pub(crate) vaults: Vec<Name>,
    /// Removed, and its node has not said that it erased them.
    pub(crate) unerased: Vec<Name>,
    pub(crate) bundles: bool,
    pub(crate) is_lost: bool,
    pub(crate) has_alarm: bool,
    /// Until when what there was of it is kept; none: it is gone.
    pub(crate) kept_until: Option<UnixSeconds>,
}

/// What was done, and what still holds.
pub(crate) fn of_gone(gone: &Gone) -> Done {
    let serial = gone.serial.as_ref().map(|serial| format!(" `{serial}`")).unwrap_or_default();
    let refused = format!(
        "its certificate is refused; it may register again after `evc onboard add` for its serial{serial}"
    );
    let notes = [refused].into_iter().chain(of_marks(gone)).chain(of_kept(gone)).chain(of_unerased(gone));
    Done { done: format!("device `{}` is deleted", gone.name), notes: notes.collect() }
}

/// Of one of which nothing is kept any more.
pub(crate) fn of_forgotten(name: &str) -> Done {
    Done {
        done: format!(
            "what was kept of the deleted device `{name}` is forgotten: its keys and bundles are gone"
        ),
        notes: vec!["copies of this database made before still have them".into()],
    }
}

/// What still holds for who has its key.
fn of_marks(Gone { name, is_lost, has_alarm, .. }: &Gone) -> Vec<String> {
    let lost = is_lost.then(|| {
        format!("it is lost, also when it registers again: `evc device found {name:#}` says otherwise then")
    });
    let alarm = has_alarm.then(|| {
        format!("its alarm stands, also when it registers again: `evc device settle {name:#} --confirm {name:#}` ends it then")
    });
    lost.into_iter().chain(alarm).collect()
}

/// What is left on its disk, as far as is known.
fn of_unerased(Gone { unerased, kept_until, .. }: &Gone) -> Option<String> {
    let names: Vec<String> = unerased.iter().map(|name| format!("`{name}`")).collect();
    let told = match kept_until {
        Some(_) => "it is told again if the device is let in with `evc onboard add --give-back`",
        None => "nobody tells it any more",
    };
    let note = format!("removed, and not erased by its node as far as it said: {}; {told}", names.join(", "));
    (!names.is_empty()).then_some(note)
}

/// What became of its keys and bundles.
fn of_kept(Gone { name, vaults, bundles, kept_until, .. }: &Gone) -> Vec<String> {
    if vaults.is_empty() && !bundles {
        return Vec::new();
    }
    let Some(until) = kept_until else {
        let bundles = bundles.then(|| "its bundles in escrow are gone too".into());
        return bundles
            .into_iter()
            .chain(vaults.iter().map(|vault| format!("the keys of its vault `{vault}` are gone")))
            .collect();
    };
    let mut what: Vec<String> =
        vaults.iter().map(|vault| format!("the keys of its vault `{vault}`")).collect();
    what.extend(bundles.then(|| "its bundles in escrow".into()));
    vec![
        format!(
            "kept until {}, and its own again if the same device is let in with `evc onboard add --give-back`: {}",
            crate::clock::text(*until),
            what.join(", ")
        ),
        format!("to delete them for good: `evc device forget {name:#} --confirm {name:#}`"),
    ]
}
