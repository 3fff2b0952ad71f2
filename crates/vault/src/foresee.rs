//! Whether a vault opens after an update that brings its node to known PCR values: what an operator asks before the reboot. A pure reading of
//! what the controller knows. It decides nothing: what is decided when the node is there again, [`decide`](mod@crate::decide) decides.

use crate::condition::State;
use crate::decide::Barred;
use crate::ids::Generation;
use crate::policy::{Check, Door, VaultPolicy};
use crate::section::Seal;

/// What an operator said of the values that the boot is to show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Values {
    /// They are good.
    Approved,
    /// Nothing yet.
    Pending,
    /// They are not.
    Rejected,
}

/// What is known of a node before the update.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Node {
    /// It has a TPM; none: it has not told yet.
    pub tpm: Option<bool>,
    /// Why nothing goes out to it, whatever it shows.
    pub barred: Option<Barred>,
    /// It holds to the lists of another device, and takes none of this one's.
    pub held_to_other: bool,
    /// What was said of the values.
    pub values: Values,
    /// They are not those that it showed last.
    pub moved: bool,
    /// The generation of its bundle in escrow: that of the one in force, where there is one, else the newest.
    pub escrow: Option<Generation>,
    /// That bundle opens at the controller.
    pub escrow_opens: bool,
    /// The generation of its TPM's roots in force, as it said last; none: it did not say.
    pub in_force: Option<Generation>,
    /// Its last escrow drill failed: none has passed since.
    pub drill_failed: bool,
}

/// A vault on it, as it is now.
#[derive(Debug, Clone, Copy)]
pub struct Vault<'a> {
    /// Its policy.
    pub policy: &'a VaultPolicy,
    /// What its node said of it last, where that still counts.
    pub state: Option<State>,
    /// It is being removed.
    pub removing: bool,
    /// Its node says that what is in escrow is not what it has: a number alone does not tell two generations of a TPM apart that was set back.
    pub behind: bool,
    /// Whether the bundle that would go back has its share; none: that can't be told.
    pub in_escrow: Option<bool>,
}

/// What is to be expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forecast {
    /// It opens.
    Opens(Ground),
    /// It stays closed.
    Stays(Bolt),
    /// That can't be told.
    Unknown(Doubt),
}

/// By what it opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Ground {
    /// It has nothing to do with what is booted.
    #[error("neither its share nor its key depends on what is booted")]
    Unbound,
    /// The values are those of now.
    #[error("these are the values that its node showed last")]
    Unmoved,
    /// The key alone asks for them.
    #[error("the controller gives its key to these values, and its share opens in any state of this TPM")]
    KeyGiven,
    /// The share goes with the escrow.
    #[error("the bundle of generation {0} in escrow goes back to these values")]
    Escrow(Generation),
}

/// By what it stays closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Bolt {
    /// The device is lost.
    #[error("the device is marked as lost")]
    Lost,
    /// It may be two.
    #[error("the device may be two")]
    Doubled,
    /// Nothing goes out by an older copy.
    #[error(
        "nothing goes out to the device while this database may be an older copy: see `evc status` first"
    )]
    Older,
    /// Nothing is taken of what goes out.
    #[error("its node takes no list for this device: see `evc status` first")]
    OtherDevice,
    /// By policy.
    #[error("its policy says `operation: lock`")]
    Locked,
    /// It goes.
    #[error("it is being removed")]
    Removing,
    /// There is no TPM.
    #[error("its policy asks for a TPM, and the node has none")]
    NoTpm,
    /// Nobody approved the values.
    #[error("these values are not approved")]
    NotApproved,
    /// Somebody said no.
    #[error("these values were rejected")]
    Rejected,
    /// There is no bundle.
    #[error("its share is sealed to the boot of now, and no bundle of its node is in escrow")]
    NoBundle,
    /// Nothing is given back of it.
    #[error(
        "its share is sealed to the boot of now, and the bundle in escrow of generation {0} does not open at this controller"
    )]
    BundleShut(Generation),
    /// The bundle is of no use to it.
    #[error(
        "its share is sealed to the boot of now, and the bundle of generation {0} in escrow has no share of it"
    )]
    NotInBundle(Generation),
    /// What it was sealed under is gone.
    #[error(
        "its share is sealed to the boot of now, and the bundle in escrow is of generation {bundle}: the node's TPM has the secrets of generation {in_force}"
    )]
    OtherBundle {
        /// The bundle's.
        bundle: Generation,
        /// The node's.
        in_force: Generation,
    },
}

/// Why it can't be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Doubt {
    /// Nothing is known of a TPM.
    #[error("its node has not told yet whether it has a TPM")]
    Tpm,
    /// Nothing is known of the vault.
    #[error("what its node said of it last counts no more, or it said nothing")]
    Silent,
    /// Whether the bundle is of the roots that are there.
    #[error(
        "its node has not told of which generation its TPM's secrets are, and the bundle in escrow is of generation {0}"
    )]
    Generation(Generation),
    /// What goes back may have nothing of it.
    #[error("what the bundle of generation {0} in escrow has can't be told by this controller")]
    Contents(Generation),
    /// What goes back may not open.
    #[error(
        "its node's last escrow drill failed, and none has passed since: the bundle in escrow may not open there"
    )]
    DrillFailed,
    /// What goes back may be of other roots.
    #[error(
        "its node says that what is in escrow is not what it has: the bundle may be of other secrets than its TPM's, though their generation has its number"
    )]
    Behind,
    /// It is not whole now.
    #[error("it is not whole now: its node says {0}")]
    NotWhole(State),
}

/// What is to be expected of a vault. What surely keeps it closed is said before what is not known.
#[must_use]
pub fn foresee(vault: &Vault<'_>, node: &Node) -> Forecast {
    if let Some(bolt) = shut(vault, node) {
        return Forecast::Stays(bolt);
    }
    let Some(has_tpm) = node.tpm else { return Forecast::Unknown(Doubt::Tpm) };
    let (key, share) = bound(vault.policy, has_tpm);
    let way = match (key || share, node.moved) {
        (false, _) => Ok(Ground::Unbound),
        // What asks for approval asks for it of these values too.
        (true, false) if !key => Ok(Ground::Unmoved),
        (true, moved) => approved(node.values).and_then(|()| past(share, moved, vault, node)),
    };
    match way {
        Err(bolt) => Forecast::Stays(bolt),
        Ok(ground) => doubt(vault, ground, node).map_or(Forecast::Opens(ground), Forecast::Unknown),
    }
}

/// What keeps it closed whatever is booted.
fn shut(vault: &Vault<'_>, node: &Node) -> Option<Bolt> {
    let barred = match node.barred {
        Some(Barred::Lost) => Some(Bolt::Lost),
        Some(Barred::Older(_)) => Some(Bolt::Older),
        Some(Barred::Doubled) => Some(Bolt::Doubled),
        None => node.held_to_other.then_some(Bolt::OtherDevice),
    };
    let removing = vault.removing.then_some(Bolt::Removing);
    let locked = (vault.policy.operation == Door::Lock).then_some(Bolt::Locked);
    let asks = vault.policy.node.custody.needs_tpm() || vault.policy.attest.require.contains(&Check::Pcrs);
    let unfit = (asks && node.tpm == Some(false)).then_some(Bolt::NoTpm);
    removing.or(locked).or(barred).or(unfit)
}

/// Whether its key, and whether its share, depends on what is booted.
fn bound(policy: &VaultPolicy, has_tpm: bool) -> (bool, bool) {
    let custody = policy.node.custody;
    let key = custody.needs_controller() && policy.attest.require.contains(&Check::Pcrs);
    (key && has_tpm, custody.needs_tpm() && policy.node.seal == Seal::Pcrs && has_tpm)
}

fn approved(values: Values) -> Result<(), Bolt> {
    match values {
        Values::Approved => Ok(()),
        Values::Pending => Err(Bolt::NotApproved),
        Values::Rejected => Err(Bolt::Rejected),
    }
}

fn past(share: bool, moved: bool, vault: &Vault<'_>, node: &Node) -> Result<Ground, Bolt> {
    match (share && moved, node.escrow, node.in_force) {
        (true, None, _) => Err(Bolt::NoBundle),
        // A generation that ended does not come again.
        (true, Some(bundle), Some(in_force)) if bundle != in_force => {
            Err(Bolt::OtherBundle { bundle, in_force })
        }
        (true, Some(generation), _) if !node.escrow_opens => Err(Bolt::BundleShut(generation)),
        (true, Some(generation), _) if vault.in_escrow == Some(false) => Err(Bolt::NotInBundle(generation)),
        (true, Some(generation), _) => Ok(Ground::Escrow(generation)),
        (false, ..) if !moved => Ok(Ground::Unmoved),
        (false, ..) => Ok(Ground::KeyGiven),
    }
}

/// Whether something else may keep it closed.
fn doubt(vault: &Vault<'_>, ground: Ground, node: &Node) -> Option<Doubt> {
    match (vault.state, ground, node.in_force) {
        (None, ..) => Some(Doubt::Silent),
        (Some(State::Unlocked | State::Locked), Ground::Escrow(bundle), None) => {
            Some(Doubt::Generation(bundle))
        }
        (Some(State::Unlocked | State::Locked), Ground::Escrow(_), _) if node.drill_failed => {
            Some(Doubt::DrillFailed)
        }
        (Some(State::Unlocked | State::Locked), Ground::Escrow(bundle), _) if vault.in_escrow.is_none() => {
            Some(Doubt::Contents(bundle))
        }
        (Some(State::Unlocked | State::Locked), Ground::Escrow(_), _) if vault.behind => Some(Doubt::Behind),
        (Some(State::Unlocked | State::Locked), ..) => None,
        (Some(other), ..) => Some(Doubt::NotWhole(other)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::Older;
    use crate::policy::{Document, read};

    const NODE: Node = Node {
        tpm: Some(true),
        barred: None,
        held_to_other: false,
        values: Values::Approved,
        moved: true,
        escrow: Some(Generation(3)),
        escrow_opens: true,
        in_force: Some(Generation(3)),
        drill_failed: false,
    };

    fn policy(text: &str) -> VaultPolicy {
        let mut documents = read(&format!("kind: VaultPolicy\nname: p\n{text}\n")).expect("a good file");
        match documents.remove(0).document {
            Document::Policy(policy) => policy,
            other => panic!("{other:?}"),
        }
    }

    fn of(text: &str, node: Node) -> Forecast {
        let state = Some(State::Unlocked);
        foresee(
            &Vault { policy: &policy(text), state, removing: false, behind: false, in_escrow: Some(true) },
            &node,
        )
    }

    /// AC-5: a planned update. Before the reboot an operator learns of each vault whether it opens after it.
    #[test]
    fn each_vault_is_foreseen_by_what_binds_it() {
        let (pending, rejected) =
            (Node { values: Values::Pending, ..NODE }, Node { values: Values::Rejected, ..NODE });
        let (nothing_kept, unmoved) = (Node { escrow: None, ..NODE }, Node { moved: false, ..NODE });
        let at = |generation| Node { in_force: Some(Generation(generation)), ..NODE };
        let (opens, stays) = (Forecast::Opens, Forecast::Stays);
        let loose = "custody: tpm";
        let sealed = "custody: tpm\nseal: pcrs";
        let asked = "custody: tpm+controller\nattest: { require: [pcrs] }";
        let both = "custody: tpm+controller\nseal: pcrs\nattest: { require: [pcrs] }";
        for (policy, node, expected) in [
            (loose, Node { escrow: None, ..rejected }, opens(Ground::Unbound)),
            (sealed, NODE, opens(Ground::Escrow(Generation(3)))),
            (sealed, at(4), stays(Bolt::OtherBundle { bundle: Generation(3), in_force: Generation(4) })),
            (sealed, Node { in_force: None, ..NODE }, Forecast::Unknown(Doubt::Generation(Generation(3)))),
            (sealed, Node { escrow_opens: false, ..NODE }, stays(Bolt::BundleShut(Generation(3)))),
            (asked, Node { escrow_opens: false, ..NODE }, opens(Ground::KeyGiven)),
            (sealed, Node { moved: false, ..at(4) }, opens(Ground::Unmoved)),
            (sealed, Node { drill_failed: true, ..NODE }, Forecast::Unknown(Doubt::DrillFailed)),
            (both, Node { drill_failed: true, ..NODE }, Forecast::Unknown(Doubt::DrillFailed)),
            (both, Node { drill_failed: true, ..unmoved }, opens(Ground::Unmoved)),
            (asked, Node { drill_failed: true, ..NODE }, opens(Ground::KeyGiven)),
            (asked, at(4), opens(Ground::KeyGiven)),
            (loose, Node { in_force: None, ..NODE }, opens(Ground::Unbound)),
            (sealed, pending, stays(Bolt::NotApproved)),
            (sealed, rejected, stays(Bolt::Rejected)),
            (sealed, nothing_kept, stays(Bolt::NoBundle)),
            (sealed, Node { moved: false, ..pending }, opens(Ground::Unmoved)),
            (asked, nothing_kept, opens(Ground::KeyGiven)),
            (asked, pending, stays(Bolt::NotApproved)),
            (asked, Node { moved: false, ..rejected }, stays(Bolt::Rejected)),
            (both, NODE, opens(Ground::Escrow(Generation(3)))),
            (both, nothing_kept, stays(Bolt::NoBundle)),
            (both, unmoved, opens(Ground::Unmoved)),
            (both, pending, stays(Bolt::NotApproved)),
            (both, Node { tpm: Some(false), ..NODE }, stays(Bolt::NoTpm)),
            (both, Node { barred: Some(Barred::Lost), ..NODE }, stays(Bolt::Lost)),
            (both, Node { barred: Some(Barred::Doubled), ..NODE }, stays(Bolt::Doubled)),
            (both, Node { barred: Some(Barred::Older(Older::PutBack)), ..NODE }, stays(Bolt::Older)),
            (both, Node { held_to_other: true, ..unmoved }, stays(Bolt::OtherDevice)),
            ("custody: tpm\noperation: lock", NODE, stays(Bolt::Locked)),
            (both, Node { tpm: None, ..NODE }, Forecast::Unknown(Doubt::Tpm)),
        ] {
            assert_eq!(of(policy, node), expected, "{policy:?} {node:?}");
        }
    }

    /// What is not known is said to be not known: nobody reboots a node on a word about a vault that is not whole.
    #[test]
    fn a_vault_that_is_not_whole_is_not_promised() {
        let policy = policy("custody: tpm\nseal: pcrs");
        let vault =
            Vault { policy: &policy, state: None, removing: false, behind: false, in_escrow: Some(true) };
        let of = |state, removing| foresee(&Vault { state, removing, ..vault }, &NODE);
        let behind = Vault { state: Some(State::Unlocked), behind: true, ..vault };
        assert_eq!(foresee(&behind, &NODE), Forecast::Unknown(Doubt::Behind), "of the same number");
        let lacks = |in_escrow| foresee(&Vault { in_escrow, behind: false, ..behind }, &NODE);
        assert_eq!(lacks(Some(false)), Forecast::Stays(Bolt::NotInBundle(Generation(3))));
        assert_eq!(lacks(None), Forecast::Unknown(Doubt::Contents(Generation(3))));
        let unmoved = Node { moved: false, ..NODE };
        assert_eq!(foresee(&behind, &unmoved), Forecast::Opens(Ground::Unmoved), "it is not needed");
        assert_eq!(of(None, false), Forecast::Unknown(Doubt::Silent));
        let missing = of(Some(State::Missing), false);
        assert_eq!(missing, Forecast::Unknown(Doubt::NotWhole(State::Missing)));
        assert_eq!(of(Some(State::Locked), false), Forecast::Opens(Ground::Escrow(Generation(3))));
        assert_eq!(of(Some(State::Unlocked), true), Forecast::Stays(Bolt::Removing));
    }
}
