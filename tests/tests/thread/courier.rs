//! A node whose controller is out of reach opens a vault by files alone (decision 76); what is old, of another device or start, or of a lost
//! device, opens nothing.

use std::fs;
use std::path::PathBuf;

use eve_vault_tests::{DEVICE, Scene};
use testkit::node::Power;
use testkit::wait;

use super::BOTH;

/// Carries files.
struct Stick(Scene);

impl Stick {
    fn at(&self, name: &str) -> String {
        let path: PathBuf = self.0.node.root().join("config").join(name);
        path.to_str().unwrap().to_owned()
    }

    fn export(&self, name: &str) -> String {
        self.0.evc.run(&["export", DEVICE, &self.at(name), "--force"]).unwrap()
    }

    fn import(&self, name: &str) -> anyhow::Result<String> {
        self.0.node.run(&["import", &self.at(name)])
    }

    /// Evidence, and the controller's answer to it.
    fn answered(&self, name: &str) -> String {
        wait::until("evidence", || {
            self.0.node.run(&["export-evidence", &self.at("evidence"), "--force"]).ok()
        })
        .unwrap();
        let args = ["import", &self.at("evidence"), "--answer", &self.at(name), "--force"];
        self.0.evc.run(&args).unwrap()
    }
}

/// The node boots, and its line leads nowhere.
fn without_a_line(scene: &mut Scene) {
    scene.node.off(Power::Clean).unwrap();
    fs::write(scene.node.root().join("config/server"), "127.0.0.1:1").unwrap();
    scene.node.on(Power::Clean).unwrap();
    scene.node.until_vault("config", "unlocked").unwrap();
    scene.node.until_vault("till", "locked").unwrap();
}

fn refused(what: anyhow::Result<String>, words: &str) {
    let told = what.unwrap_err().to_string();
    assert!(told.contains(words), "{told}");
}

#[test]
fn co9_a_node_without_a_line_opens_its_vault_by_files_alone() {
    let mut scene = Scene::attested().unwrap();
    scene.vault_with_data("till", BOTH).unwrap();
    without_a_line(&mut scene);

    let mut stick = Stick(scene);
    stick.export("first");
    refused(stick.import("first"), "earlier start of this node");
    stick.answered("second");
    stick.import("second").unwrap();
    stick.0.node.until_vault("till", "unlocked").unwrap();
    assert!(stick.0.has_data("till"));

    let again = stick.0.evc.run(&["import", &stick.at("evidence")]).unwrap();
    assert!(again.contains("taken before, and nothing changed"), "the same evidence again: {again}");

    stick.0.apply("till", &format!("{BOTH}\noperation: lock")).unwrap();
    stick.answered("third");
    stick.import("third").unwrap();
    stick.0.node.until_vault("till", "locked").unwrap();
    refused(stick.import("second"), "older than what the controller");
    stick.0.assert_closed("till");
    stick.0.apply("till", BOTH).unwrap();
    stick.export("fourth");

    without_a_line(&mut stick.0);
    refused(stick.import("fourth"), "earlier start of this node");
    stick.0.evc.run(&["device", "lost", DEVICE]).unwrap();
    let told = stick.answered("lost");
    assert!(told.contains("marked as lost"), "{told}");
    stick.import("lost").unwrap();
    stick.0.node.until_vault("till", "locked").unwrap();
    stick.0.assert_closed("till");
}
