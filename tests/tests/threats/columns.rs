//! The proposal's six key policies, all with `seal: tpm`, so that what protects in the attested ones is the appraisal.

use vault::coverage::{Act, Cover, Threat, coverage};
use vault::policy::{Document, read};
use vault::section::Custody;

/// A column.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Column {
    /// And of its vault.
    pub(crate) name: &'static str,
    pub(crate) policy: &'static str,
    pub(crate) custody: Custody,
    /// Its key was replaced twice.
    pub(crate) rotated: bool,
}

const CONTROLLER: &str = "custody: controller\nattest: { every: 15m, require: [], on_failure: withhold }";
const ATTESTED: &str =
    "custody: tpm+controller\nseal: tpm\nattest: { every: 15m, require: [pcrs], on_failure: withhold }";

const fn column(name: &'static str, policy: &'static str, custody: Custody, rotated: bool) -> Column {
    Column { name, policy, custody, rotated }
}

/// Those of a node with a TPM.
pub(crate) const WITH_TPM: [Column; 4] = [
    column("tpm-key", "custody: tpm\nseal: tpm", Custody::Tpm, false),
    column("both", "custody: tpm+controller\nseal: tpm", Custody::TpmAndController, false),
    column("attested", ATTESTED, Custody::TpmAndController, false),
    column("attested-rotated", ATTESTED, Custody::TpmAndController, true),
];

/// Those of a node without.
pub(crate) const WITHOUT_TPM: [Column; 2] = [
    column("controller-key", CONTROLLER, Custody::Controller, false),
    column("controller-rotated", CONTROLLER, Custody::Controller, true),
];

impl Column {
    /// Whether its vault stays closed, by what we tell operators.
    pub(crate) fn predicted(&self, threat: Threat, tpm: bool) -> bool {
        let text = format!("kind: VaultPolicy\nname: p\n{}", self.policy);
        let Document::Policy(policy) = read(&text).unwrap().remove(0).document else { panic!("a policy") };
        match coverage(&policy, tpm).into_iter().find(|(of, _)| *of == threat).unwrap().1 {
            Cover::Closed(_) => true,
            Cover::Once(Act::Rotation) => self.rotated,
            Cover::Once(act) => panic!("{act:?} is no act of these tests"),
            Cover::Opens(_) => false,
        }
    }
}
