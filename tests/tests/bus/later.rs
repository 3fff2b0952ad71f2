//! What comes after a node's first minutes: the life of a user's vault, from its making to its end, by the controller's word and by root's.

use std::time::Duration;

use eve::bus::Call;
use eve::bus::messages::{LockVault, UnlockVault};
use testkit::Evc;
use vault::ids::VaultId;
use vault::report::{State, VaultReport};

use super::Plan;
use super::house::House;

/// How long root waits for an answer, and how often it asks again.
const PATIENCE: Duration = Duration::from_secs(10);
const TIMES: usize = 12;
pub(super) const PAUSE: Duration = Duration::from_millis(300);

fn yaml(device: &str, custody: &str) -> String {
    format!(
        "kind: VaultPolicy\nname: {device}\ncustody: {custody}\n\
         attest: {{ every: 15m, require: [], on_failure: withhold }}\non_removal: {{ delete_after: 0s }}\n---\n\
         kind: Vault\nname: till\ndevice: {device}\npolicy: {device}\n"
    )
}

impl House {
    /// Says how many frames passed on a link at most meanwhile, and on how many links the fault was met.
    pub(super) fn live_on(&mut self, evc: &Evc, tpm: bool, plan: Plan) -> (usize, usize) {
        let name = self.node.name().to_owned();
        self.broker.arm(plan);
        evc.apply(&yaml(&name, if tpm { "tpm+controller" } else { "controller" })).unwrap();
        let id: VaultId = evc.vault(&name, "till").unwrap()["id"].as_str().unwrap().parse().unwrap();
        self.is_told(evc, id, "made", |vault| vault.state == State::Unlocked);
        std::fs::write(self.folder(id).join("file"), "kept").unwrap();
        self.ordered(id, &LockVault { id }, State::Locked);
        self.ordered(id, &UnlockVault { id }, State::Unlocked);
        evc.run(&["rotate", "vault", "till", "--device", &name]).unwrap();
        let renewed = |vault: &VaultReport| vault.epoch.is_some_and(|epoch| epoch.0 == 2);
        self.is_told(evc, id, "re-keyed", move |vault| vault.state == State::Unlocked && renewed(vault));
        assert_eq!(std::fs::read_to_string(self.folder(id).join("file")).unwrap(), "kept");
        evc.run(&["delete", "vault", "till", "--device", &name, "--confirm", "till"]).unwrap();
        self.until("it is deleted", |house, _| !house.folder(id).exists());
        self.until("the controller knows that it is gone", |_, _| evc.vault(&name, "till").is_err());
        (self.broker.frames(), self.broker.met())
    }

    /// By the node and by its controller, and it is so.
    pub(super) fn is_told(&mut self, evc: &Evc, id: VaultId, what: &str, so: impl Fn(&VaultReport) -> bool) {
        self.until(what, |house, told| {
            let known =
                || evc.vault(house.node.name(), "till").is_ok_and(|vault| vault["state"] == "unlocked");
            told.vaults.iter().any(|vault| vault.id == id && so(vault)) && known()
        });
        assert!(self.has_key(id), "{what}: its key is in the kernel");
    }

    /// Root orders, until it is answered that it is done: then it is.
    fn ordered<C: Call<Answer = VaultReport>>(&mut self, id: VaultId, order: &C, wanted: State) {
        let done = (0..TIMES).any(|_| {
            self.look();
            match self.root.call(order, PATIENCE) {
                Ok(report) => {
                    assert_eq!(self.has_key(id), report.state == State::Unlocked, "answered: {report:?}");
                    report.state == wanted
                }
                Err(error) => {
                    assert!(!error.to_string().is_empty());
                    std::thread::sleep(PAUSE);
                    false
                }
            }
        });
        assert!(done, "root is never answered that it is {wanted}");
        self.until(&format!("it is told as {wanted}"), |_, told| {
            told.vaults.iter().any(|vault| vault.id == id && vault.state == wanted)
        });
    }
}
