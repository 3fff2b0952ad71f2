//! Threats, Added since: what strangers say of themselves gets into an operator's shell by no completion. By the real script, in a real bash.

mod common;

use std::path::Path;
use std::process::Command;

use common::{Device, Evc};

/// What bash does with a line: its completion function, then the line as it stands, carried out.
const TAB_AND_ENTER: &str = "
COMP_WORDS=(evc get pending SN); COMP_CWORD=3; COMP_LINE='evc get pending SN'; COMP_POINT=18; COMP_TYPE=9
type _clap_complete_evc >/dev/null || exit 3
_clap_complete_evc evc SN pending
echo \"offered ${COMPREPLY[@]}\"
for one in \"${COMPREPLY[@]}\"; do eval \"evc get pending $one\"; done
";

fn knocks(evc: &Evc, serial: &str) {
    let device = Device { serial: serial.to_owned(), ..Device::new("edge-9") };
    assert_eq!(device.register(evc), 403, "a stranger, with an onboarding key of his own");
}

fn ran(evc: &Evc, mut command: Command) -> String {
    let bin = Path::new(env!("CARGO_BIN_EXE_evc")).parent().expect("a folder");
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").expect("set"));
    let ran = command.env("PATH", path).env("EVC_DATA", evc.dir.path()).env("EVC_URL", &evc.url).output();
    let ran = ran.expect("ran");
    format!("{} {}", String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr))
}

/// Anybody can knock with any serial. bash puts what it is offered into the line as it is, and Enter has it carried out.
#[test]
fn a_serial_that_knocked_is_no_command_of_the_shell() {
    let (evc, dir) = (Evc::start(), tempfile::tempdir().expect("a folder"));
    knocks(&evc, "SN-7$(touch${IFS}pwned)");
    knocks(&evc, "SN-8");
    let script = Command::new(env!("CARGO_BIN_EXE_evc")).args(["completions", "bash"]).output().expect("ran");
    let text = format!("{}{TAB_AND_ENTER}", String::from_utf8_lossy(&script.stdout));
    let mut bash = Command::new("bash");
    bash.args(["--norc", "-c", &text]).current_dir(dir.path());
    let told = ran(&evc, bash);
    assert!(told.starts_with("offered SN-8"), "{told}");
    assert!(!dir.path().join("pwned").exists(), "{told}");
}

/// Nor is anything of the kind offered to another shell, of a knock or of an allowance.
#[test]
fn what_a_shell_would_expand_is_offered_to_none() {
    let evc = Evc::start();
    let hostile = ["SN `id`", "-SN", "SN;id", "SN\\", "SN'", "SN*", "~SN", "SN$IFS"];
    for serial in hostile {
        knocks(&evc, serial);
        let device = Device::new("edge-8");
        let allow = serde_json::json!({ "cert_pem": device.onboard.pem, "serial": serial, "name": null });
        evc.operator("POST", "/onboarding", &allow.to_string(), Some(&evc.token));
    }
    for (shell, kind) in
        [("bash", "pending"), ("zsh", "pending"), ("fish", "pending"), ("fish", "onboarding")]
    {
        let mut complete = Command::new(env!("CARGO_BIN_EXE_evc"));
        complete.env("COMPLETE", shell).env("_CLAP_COMPLETE_INDEX", "3").args(["--", "evc", "get", kind, ""]);
        let told = ran(&evc, complete);
        assert!(!told.contains("SN"), "{shell} {kind}: {told}");
    }
}
