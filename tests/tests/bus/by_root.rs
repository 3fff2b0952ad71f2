//! What root alone does on a node, by the program that root uses, over links that are cut: files of a courier, another controller accepted, a
//! vault opened by its recovery key, and a missing one made anew. Each order that fails says so, is given again, and does what it says.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Instant;

use eve::bus::Agent;
use testkit::Evc;
use vault::ids::VaultId;
use vault::report::{State, VaultReport};

use super::Plan;
use super::house::{House, PATIENCE, root};
use super::later::PAUSE;

/// An identity of age, and its recipient.
const IDENTITY: [&str; 2] = [
    "AGE-SECRET-KEY-1AD09SLRRQKVXAUQA08C4EX2A2HJTX5XAMKVU7DEKT4SVYEV3K4TQ0U82P2",
    "age148z9va8x42exdm7nl0rkc8hde3nutdrx6a6jms2ksa05y6fevqqssazwnu",
];

fn yaml(device: &str) -> String {
    format!(
        "kind: VaultPolicy\nname: {device}\ncustody: tpm+controller\nrecovery: {{ recipients: [{}] }}\n\
         attest: {{ every: 15m, require: [], on_failure: withhold }}\non_removal: {{ delete_after: 0s }}\n---\n\
         kind: Vault\nname: till\ndevice: {device}\npolicy: {device}\n",
        IDENTITY[1]
    )
}

impl House {
    /// Says how many frames passed on a link at most meanwhile, and on how many links the fault was met.
    pub(super) fn live_by_root(&mut self, evc: &Evc, dir: &Path, plan: Plan) -> (usize, usize) {
        let name = self.node.name().to_owned();
        evc.apply(&yaml(&name)).unwrap();
        let id: VaultId = evc.vault(&name, "till").unwrap()["id"].as_str().unwrap().parse().unwrap();
        let ready = |vault: &VaultReport| vault.detail.iter().any(|line| line.contains("1 recipient, ready"));
        self.is_told(evc, id, "made", move |vault| vault.state == State::Unlocked && ready(vault));
        fs::write(self.folder(id).join("file"), "kept").unwrap();
        let mine = root(dir, Agent::Operator);
        let of_client = root(dir, Agent::Client).join("config/device.cert.pem");
        fs::copy(of_client, mine.join("config/device.cert.pem")).unwrap();
        self.broker.arm(plan);
        self.carries_files(evc, &mine);
        self.accepts(&mine);
        self.recovers(&mine, id);
        self.makes_anew(&mine, id);
        self.is_told(evc, id, "made anew", |vault| vault.state == State::Unlocked);
        (self.broker.frames(), self.broker.met())
    }

    /// The challenge may be an older one meanwhile, so another is taken each time.
    fn carries_files(&mut self, evc: &Evc, mine: &Path) {
        let (there, back) = (mine.join("answer"), mine.join("evidence"));
        let (device, there, back) =
            (self.node.name().to_owned(), there.display().to_string(), back.display().to_string());
        self.done("evidence is carried", |house| {
            evc.run(&["export", &device, &there, "--force"]).unwrap();
            let taken = house.eve(mine, &["import", &there]);
            // Evidence of this life of the node is asked for by one of before, too.
            if !taken.status.success() && !words(&taken).contains("earlier start of this node") {
                return taken;
            }
            let made = house.eve(mine, &["export-evidence", &back, "--force"]);
            if made.status.success() {
                // Its line may have brought evidence over the same challenge.
                let brought = evc.run(&["import", &back]).map_err(|error| error.to_string());
                assert!(brought.as_ref().err().is_none_or(|why| why.contains("is over")), "{brought:?}");
            }
            made
        });
    }

    fn accepts(&mut self, mine: &Path) {
        // Without it the command says what it is.
        let asked = words(&self.eve(mine, &["controller", "accept"]));
        let fingerprint = asked.split_whitespace().last().unwrap().to_owned();
        self.done("the controller is accepted", |house| {
            house.eve(mine, &["controller", "accept", "--fingerprint", &fingerprint])
        });
    }

    fn recovers(&mut self, mine: &Path, id: VaultId) {
        let file = mine.join("identity");
        fs::write(&file, IDENTITY[0]).unwrap();
        let file = file.display().to_string();
        self.done("it is locked", |house| house.eve(mine, &["vault", "lock", "till"]));
        assert!(!self.has_key(id), "locked, as root was told");
        self.done("it is recovered", |house| {
            house.eve(mine, &["vault", "recover", "till", "--identity", &file])
        });
        assert_eq!(fs::read_to_string(self.folder(id).join("file")).unwrap(), "kept");
    }

    /// Its key files are lost in both places, while nobody runs who knows them.
    fn makes_anew(&mut self, mine: &Path, id: VaultId) {
        self.done("it is locked again", |house| house.eve(mine, &["vault", "lock", "till"]));
        self.end(Agent::Vaultmgr);
        self.lost = Some(id);
        policies(&self.node.root().join("persist"), id)
            .iter()
            .for_each(|file| fs::remove_file(file).unwrap());
        self.until("it is missing", |_, told| {
            told.vaults.iter().any(|vault| vault.id == id && vault.state == State::Missing)
        });
        self.done("it is made anew", |house| {
            let args = ["vault", "recreate", "till", "--confirm", "till", "--despite-escrow"];
            let made = house.eve(mine, &args);
            // It was, and the answer was lost.
            if words(&made).contains("is not missing") { house.eve(mine, &["vault", "list"]) } else { made }
        });
        // Root's own lock is in force still.
        self.done("it is unlocked", |house| house.eve(mine, &["vault", "unlock", "till"]));
        assert!(self.has_key(id) && !self.folder(id).join("file").exists(), "open, and empty");
    }

    /// Root tries until it is done. Whatever fails says what.
    fn done(&mut self, what: &str, mut act: impl FnMut(&mut Self) -> Output) {
        let (mut last, late) = (String::new(), Instant::now() + PATIENCE);
        while Instant::now() < late {
            self.look();
            let out = act(self);
            if out.status.success() {
                return;
            }
            last = words(&out);
            assert!(out.status.code().is_some() && !last.trim().is_empty(), "{what}: {out:?}");
            std::thread::sleep(PAUSE);
        }
        panic!("never: {what}: {last}");
    }

    fn eve(&self, mine: &Path, args: &[&str]) -> Output {
        let mut eve = Command::new(testkit::program("eve").unwrap());
        eve.args(args).arg("--root").arg(mine).output().unwrap()
    }
}

fn words(out: &Output) -> String {
    String::from_utf8_lossy(&out.stderr).into_owned()
}

/// In both places.
fn policies(persist: &Path, id: VaultId) -> [PathBuf; 2] {
    let second = persist.join(format!("vaults/.meta/{id}/policies"));
    let name = fs::read_dir(&second).unwrap().next().unwrap().unwrap().file_name();
    [persist.join(".fscrypt/policies").join(&name), second.join(&name)]
}
