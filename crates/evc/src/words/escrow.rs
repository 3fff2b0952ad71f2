//! What is said of bundles in escrow, and of an update that is planned.

use vault::decide::{EscrowGranted, Withheld};
use vault::escrow::BundleId;
use vault::foresee::{Bolt, Doubt, Forecast, Ground};
use vault::ids::{Generation, Name};
use vault::ledger::Older;

use super::older_advice;
use super::withheld::withheld;
use crate::api::{self, Done};
use crate::store::UnixSeconds;

/// Of a vault whose share is sealed to a measured boot, and that has no copy.
pub(crate) const NOT_ESCROWED: &str =
    "not in escrow: sealed to the boot of now, it will not open after an update of firmware or system";

/// The same of one whose node says for long that what is in escrow is not what it has.
pub(crate) const ESCROW_BEHIND: &str = "what is in escrow is not what its node has: sealed to the boot of now, it may not open after an update of firmware or system; `evc describe device` says what the escrow waits for";

/// Of a bundle of a generation that is over, where none of the one in force is there.
pub(crate) fn of_behind(bundle: Generation, in_force: Generation) -> String {
    format!(
        "of no use to it: it is of generation {bundle}, and the node's TPM has the secrets of generation {in_force}, of which no bundle is here. What is sealed to an earlier boot opens by that boot (bring back the firmware and system of before), or by its recovery key"
    )
}

/// Of a vault whose policy seals it to a measured boot, and that its node has not taken there yet.
pub(crate) const NOT_SEALED_YET: &str = "its node has not carried out its policy, which says `seal: pcrs`, yet: `evc describe vault` says what that waits for";

/// Of bundles that an operator forgot, and of those that alone have something of a vault, which were kept.
pub(crate) fn of_dropped(device: &Name, generation: Generation, gone: u64, kept: u64) -> Done {
    let what = |many| if many == 1 { "1 bundle".into() } else { format!("{many} bundles") };
    let mut notes =
        vec!["the newest one is kept; copies of this database made before still have those".into()];
    notes.extend((kept > 0).then(|| {
        format!(
            "{} of it kept: they alone have something of a vault, or were chosen to be given back; `evc escrow list {device:#}` names them, and `evc escrow delete {device:#} --bundle SHA256 --confirm {device:#}` forgets one",
            what(kept)
        )
    }));
    Done { done: format!("{} of device `{device}` of generation {generation} forgotten", what(gone)), notes }
}

/// Of one that an operator forgot.
pub(crate) fn of_dropped_one(device: &Name, bundle: BundleId) -> Done {
    Done {
        done: format!("bundle {bundle} of device `{device}` is forgotten"),
        notes: vec!["copies of this database made before still have it".into()],
    }
}

/// Of a device whose next bundle has no room; `older`: why none that is there is forgotten by itself.
pub(crate) fn of_no_room(device: &Name, since: UnixSeconds, older: Option<Older>) -> String {
    let since = crate::clock::text(since);
    let forget = format!(
        "`evc escrow list {device:#}` names them, and `evc escrow delete {device:#} --bundle SHA256 --confirm {device:#}` forgets one"
    );
    match older {
        None => format!(
            "no room for its newer bundle since {since}: each that is there is the last that has something of a vault; {forget}; the device sends its own again within a quarter of an hour"
        ),
        Some(older) => format!(
            "no room for its newer bundle since {since}: none that is there is forgotten by itself while this database is, or may be, an older copy, for {older}. That ends it: {}. Sooner: {forget}",
            older_advice(older)
        ),
    }
}

/// Of the one that is given back from now on.
pub(crate) fn of_offered(device: &Name, bundle: Option<BundleId>) -> Done {
    let Some(bundle) = bundle else {
        return Done {
            done: format!("device `{device}` is given its newest bundle back, where it asks for one"),
            notes: vec![],
        };
    };
    Done {
        done: format!("device `{device}` is given bundle {bundle} back, where it asks for one of that generation"),
        notes: vec![
            "a node asks where its share table or key files are gone or damaged, or its PCRs moved; what reads on its disk, and opens, stays".into(),
            format!("this holds until a bundle comes that has all that it has, or until `evc escrow offer {device:#} --newest`"),
        ],
    }
}

/// Of a drill that is asked for.
pub(crate) fn of_ordered(device: &Name) -> Done {
    Done {
        done: format!("device `{device}` is asked to open its bundle when it polls next"),
        notes: vec![format!(
            "`evc escrow list {device:#}` shows how it went; only a boot that is approved is asked"
        )],
    }
}

/// Of whether a device would have its bundle back.
pub(crate) fn of_giving_back(granted: &Result<EscrowGranted, Withheld>, device: &Name) -> String {
    match granted {
        Ok(granted) => {
            let session = hex::encode(&granted.session().0[..4]);
            format!("if session {session} asks for it: its boot is approved")
        }
        Err(why @ Withheld::Failed { .. }) => format!(
            "withheld: {}; if this boot is good, `evc reference learn {device:#}` and `evc reference approve`",
            withheld(why).whole
        ),
        Err(why) => format!("withheld: {}", withheld(why).whole),
    }
}

/// What is expected of a vault, why, and what to do.
pub(crate) fn of_forecast(
    forecast: Forecast,
    device: &Name,
    reference: i64,
) -> (api::Forecast, String, Option<String>) {
    match forecast {
        Forecast::Opens(ground) => (api::Forecast::Yes, ground.to_string(), on(ground)),
        Forecast::Stays(bolt) => (api::Forecast::No, bolt.to_string(), against(bolt, device, reference)),
        Forecast::Unknown(doubt) => (api::Forecast::Unknown, doubt.to_string(), Some(about(doubt, device))),
    }
}

/// What has to be so on its way.
fn on(ground: Ground) -> Option<String> {
    match ground {
        Ground::Unbound | Ground::Unmoved | Ground::KeyGiven => None,
        Ground::Escrow(_) => Some("the node has to reach this controller after the boot".into()),
    }
}

fn against(bolt: Bolt, device: &Name, reference: i64) -> Option<String> {
    Some(match bolt {
        Bolt::NotApproved => format!("`evc reference approve {reference}`, if you expect these values"),
        Bolt::Rejected => format!("`evc reference approve {reference}`, if they are good after all"),
        Bolt::NoBundle => format!(
            "let `{device}` run with the firmware and system of now until `evc escrow list {device:#}` shows a bundle"
        ),
        Bolt::BundleShut(_) => format!(
            "let `{device}` run with the firmware and system of now, and have another bundle given back that opens: `evc escrow list {device:#}`, `evc escrow offer {device:#}`"
        ),
        Bolt::NotInBundle(_) => format!(
            "plan no update before `{device}` sent a bundle that has it; where an older one has, have that given back: `evc escrow list {device:#} -o wide`, `evc escrow offer {device:#}`"
        ),
        Bolt::OtherBundle { .. } => format!(
            "let `{device}` run with the firmware and system of now until `evc escrow list {device:#}` shows a bundle of the node's generation"
        ),
        Bolt::Lost => format!("`evc device found {device:#}`, if it is in good hands again"),
        Bolt::Doubled => {
            format!("`evc device settle {device:#} --confirm {device:#}`, once you know that it is one")
        }
        Bolt::NoTpm => "give the vault another policy".into(),
        Bolt::Older | Bolt::OtherDevice => {
            "leave the node as it is until `evc status` names it no more".into()
        }
        Bolt::Locked | Bolt::Removing => return None,
    })
}

fn about(doubt: Doubt, device: &Name) -> String {
    match doubt {
        Doubt::Tpm => format!("let `{device}` attest first: `evc wait device {device:#} --for attested`"),
        Doubt::Silent => format!("see that `{device}` reports: `evc describe device {device:#}`"),
        Doubt::Generation(_) => {
            format!("let `{device}` report, with an `eve` of this version: `evc describe device {device:#}`")
        }
        Doubt::Contents(_) => format!(
            "use an `evc` as new as the node's `eve`; `evc escrow list {device:#} -o wide` shows what each bundle has, and `evc escrow drill {device:#}` tries it"
        ),
        Doubt::DrillFailed => format!(
            "`evc describe device {device:#}` says why it failed; plan no update before one passes (`evc escrow drill {device:#}`)"
        ),
        Doubt::Behind => format!(
            "plan no update before its node says so no more: `evc describe device {device:#}` says what its escrow waits for; if nothing moves, give its vaults a recovery key first (`recovery` in their policy): `eve vault recover` opens them by it"
        ),
        Doubt::NotWhole(_) => format!("mend it before the update: `evc describe device {device:#}`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A database that is, or may be, an older copy forgets no bundle: that each is the last of a vault is not so then, and a deletion is not all that
    /// makes room.
    #[test]
    fn why_there_is_no_room_is_said_as_it_is() {
        let name: Name = "edge-1".parse().expect("a name");
        let (plain, held) = (of_no_room(&name, 7, None), of_no_room(&name, 7, Some(Older::PutBack)));
        assert!(plain.contains("the last that has something of a vault"), "{plain}");
        assert!(!held.contains("the last that has") && held.contains("evc put-back --checked"), "{held}");
        for told in [plain, held] {
            assert!(told.contains("evc escrow delete edge-1"), "{told}");
            assert_eq!(form::wrong_words(&form::Command::new("evc"), &told), [""; 0]);
        }
    }
}
