//! Attack G2: the file of the key-encryption key is removed, or written over, under a running controller. Without it no key opens again, and the
//! controller has it: so it is not lost, and whoever looks is told. By the real program and its API.

mod common;

use std::fs;
use std::path::Path;

use common::{Evc, agent, serve, terminate, until_so};
use ureq::Agent;

const VAULT: &str = "kind: VaultPolicy\nname: p\ncustody: controller\n";

/// A program, as whoever has its token asks it.
struct Asked {
    url: String,
    token: String,
    agent: Agent,
}

impl Asked {
    fn of(data: &Path, url: String) -> Self {
        let token = fs::read_to_string(data.join("operator.token")).expect("a token");
        Self { url, token, agent: agent(data) }
    }

    fn get(&self, path: &str) -> (u16, String) {
        let request = self.agent.get(format!("{}{path}", self.url));
        let mut answer =
            request.header("authorization", format!("Bearer {}", self.token)).call().expect("an answer");
        (answer.status().as_u16(), answer.body_mut().read_to_string().expect("text"))
    }
}

/// However it is looked at, or ended.
#[test]
fn a_key_encryption_key_that_was_removed_is_written_anew() {
    let dir = Evc::start().stop();
    let kek = dir.path().join("kek");
    let is = fs::read(&kek).expect("made");
    for looks in ["/readyz", "/api/v1/glance", "none"] {
        let (serving, url) = serve(dir.path());
        let asked = Asked::of(dir.path(), url);
        // The first round of housekeeping has looked then.
        assert_eq!(asked.get("/healthz").0, 200);
        fs::remove_file(&kek).expect("removed");
        if looks != "none" {
            assert_eq!(asked.get(looks).0, 200, "{looks}");
            assert!(fs::read(&kek).expect("written anew") == is, "{looks}");
        }
        let (code, log) = terminate(serving);
        assert_eq!(code, Some(0), "{log}");
        assert!(log.contains("ERROR") && log.contains("was gone, and is written anew"), "{log}");
        assert!(fs::read(&kek).expect("written anew") == is, "{looks}");
    }
    Evc::over(dir);
}

/// Also one that is longer or shorter.
#[test]
fn one_that_was_written_over_is_saved_and_told_and_nothing_is_sealed_meanwhile() {
    for other in [vec![7; 32], Vec::new(), vec![7; 33]] {
        let evc = Evc::start();
        evc.apply(VAULT);
        let [kek, saved] = ["kek", "kek.saved"].map(|name| evc.dir.path().join(name));
        let is = fs::read(&kek).expect("made");
        let device = common::Device::onboarded(&evc, "edge-1");
        evc.apply("kind: Vault\nname: day\ndevice: edge-1\npolicy: p\n");
        fs::write(&kek, &other).expect("written over");
        let rotate = || {
            evc.operator(
                "POST",
                "/devices/edge-1/vaults/day/rotate",
                r#"{"force":true,"confirm":"day"}"#,
                Some(&evc.token),
            )
        };
        let refused = rotate();
        let told = refused.problem();
        assert_eq!(refused.status, 500, "{told:?}");
        assert!(told.error.contains("file kek") && told.advice.contains("mv kek.saved kek"), "{told:?}");
        let ready = evc.call("GET", "/readyz", "", None);
        assert_eq!(ready.status, 503);
        let glance = evc.act("GET", "/glance", "").to_string();
        assert!(glance.contains("file kek is gone, or has another key"), "{glance}");
        assert!(fs::read(&kek).expect("there") == other, "it is left as it is");
        assert!(fs::read(&saved).expect("saved") == is);
        fs::rename(&saved, &kek).expect("put in its place");
        assert_eq!(rotate().status, 200, "and all goes on");
        // A look counts for a second.
        until_so("it to be ready again", || evc.call("GET", "/readyz", "", None).status == 200);
        drop(device);
        drop(evc.restart());
    }
}
