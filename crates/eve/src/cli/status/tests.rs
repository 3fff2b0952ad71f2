//! What `eve status` says, and how it ends for a script.

use super::text::controller_words;
use super::*;
use crate::bus::messages::TpmCommands;

#[test]
fn a_time_is_text_in_json() {
    let answered = ControllerStatus { last_answer_unix_s: Some(86_400), ..Default::default() };
    for (controller, at) in [
        (answered, serde_json::json!("1970-01-02T00:00:00Z")),
        (ControllerStatus::default(), serde_json::Value::Null),
    ] {
        let told = serde_json::to_value(status(Some(controller), None)).expect("JSON");
        assert_eq!(told["controller"]["last_answer"], at);
        assert!(told["controller"].get("last_answer_unix_s").is_none(), "{told}");
    }
    assert!(serde_json::to_value(status(None, None)).expect("JSON")["controller"].is_null());
}

fn status(controller: Option<ControllerStatus>, vaults: Option<Vec<VaultReport>>) -> Status {
    Status {
        device: None,
        onboarding: Onboarding::default(),
        tpm: String::new(),
        tpm_health: None,
        tpm_fails: false,
        other_tpm: false,
        session: None,
        controller,
        addresses: Vec::new(),
        agents: Vec::new(),
        generation: None,
        vaults,
        disk_away: false,
        overdue: false,
        notes: Vec::new(),
    }
}

/// Attack A3: who waits looks as often as he likes, and each look hears as the first one did.
#[test]
fn however_often_one_process_looks_it_is_answered() {
    let dir = tempfile::tempdir().expect("a folder");
    std::fs::create_dir_all(dir.path().join("run/eve")).expect("made");
    let supervisor = Bus::join(dir.path(), Agent::Supervisor).expect("joined");
    supervisor.publish(&Agents(Vec::new()));
    let visitor = Bus::visit(dir.path(), Agent::Operator);
    (1..=100).for_each(|n| assert!(heard(glance::<Agents>(&visitor)).is_ok(), "look {n}"));
    let mut hearing = Vec::new();
    let why = loop {
        let one = visitor.subscribe::<Agents>();
        match one.next_within(HEALTH) {
            Ok(_) => hearing.push(one),
            Err(why) => break why,
        }
    };
    assert_eq!(why, Silence::Full, "after {}", hearing.len());
}

/// Issue 8, statuses: docs/statuses.md has each line, and how the controller may be.
#[test]
fn the_document_has_every_line() {
    let commands = TpmCommands { calls: 0, root_reads: 0 };
    let health = TpmHealth { in_lockout: false, lockout_counter: None, sessions_free: None, commands };
    let line = AgentLine { agent: Agent::Nim, pid: None, restarts: 0, silent_since_unix_s: None };
    let mut all = status(Some(ControllerStatus::default()), Some(Vec::new()));
    all.tpm_health = Some(health);
    all.generation = Some(1);
    all.agents = vec![agent_status(&line)];
    all.notes = vec!["a note".to_owned()];
    let text = text::text(&all, None);
    let is: Vec<_> = text.lines().take_while(|line| !line.is_empty()).map(|line| line[..12].trim()).collect();
    let rows = form::rows(include_str!("../../../../../docs/statuses.md"), "### eve status");
    assert_eq!(rows.iter().map(|row| row[0].trim_matches('`')).collect::<Vec<_>>(), is);
    let way = |reachable, not_asked, refused, words: &str| {
        let words = words.to_owned();
        controller_words(
            Some(&ControllerStatus { reachable, not_asked, refused, words, ..Default::default() }),
            false,
        )
    };
    let ways = [
        way(true, false, false, ""),
        way(false, false, false, "x"),
        way(false, false, false, ""),
        way(false, true, false, "x"),
        way(false, false, true, "x"),
    ];
    let row = rows.iter().find(|row| row[0] == "`controller`").expect("its row");
    for (value, said) in form::in_backticks(&row[1]).iter().zip(&ways) {
        assert!(said.contains(value), "{value}: {said}");
    }
    assert_eq!(form::in_backticks(&row[1]).len(), ways.len());
}

/// Invariant 8: what nobody answers for is unknown, and neither "no vaults" nor "not contacted".
#[test]
fn silence_is_not_told_as_a_state() {
    let answers = ControllerStatus { server: "c:1".to_owned(), reachable: true, ..Default::default() };
    let yet = ControllerStatus { server: "c:1".to_owned(), ..Default::default() };
    assert_eq!(controller_words(Some(&answers), false), "c:1 answers");
    assert_eq!(controller_words(Some(&yet), false), "c:1 not asked for vaults yet");
    let unsigned =
        ControllerStatus { not_asked: true, words: "this node's key did not sign".to_owned(), ..yet.clone() };
    assert_eq!(controller_words(Some(&unsigned), false), "c:1 not asked: this node's key did not sign");
    assert_eq!(controller_words(None, false), "unknown: zedagent does not answer");
    assert!(silent(&status(Some(yet.clone()), Some(Vec::new()))).is_empty(), "no vaults is an answer");
    assert_eq!(silent(&status(Some(yet), None)), ["vaultmgr"]);
    assert_eq!(silent(&status(None, Some(Vec::new()))), ["zedagent"]);
    let at_9 = ControllerStatus { overdue_at_s: Some(9), ..answers };
    assert_eq!((at_9.is_overdue(9), at_9.is_overdue(10)), (false, true));
    let overdue = Status { overdue: true, ..status(Some(at_9), Some(Vec::new())) };
    assert_eq!(silent(&overdue), ["zedagent"], "an answer of long ago is none");
}

/// Seen-by-users 1.12: a node that can't do its work fails to a shell, whichever way; and who refuses is not called silent.
#[test]
fn a_node_that_is_not_what_it_was_fails() {
    let refuses = |removed| ControllerStatus {
        server: "c:1".to_owned(),
        words: "(401)".to_owned(),
        removed,
        refused: true,
        attestation: Some("accepted".to_owned()),
        ..Default::default()
    };
    let told = |removed| status(Some(refuses(removed)), Some(Vec::new()));
    sound(&told(false)).expect("it may be taken in anew");
    let words = sound(&told(true)).expect_err("removed").to_string();
    assert!(words.contains("removed this device"), "{words}");
    let other = Status { other_tpm: true, ..told(false) };
    let words = sound(&other).expect_err("another's").to_string();
    assert!(words.contains("another node's"), "{words}");
    assert_eq!(controller_words(Some(&refuses(true)), false), "c:1 answers, and refuses: (401)");
    assert!(!attestation_words(Some(&refuses(true))).contains("accepted"));
    assert_eq!(attestation_words(Some(&refuses(false))), "accepted");
}

/// Seen-by-users 1.12, 0.6: a TPM that does not answer is told as that, under its own name, and is a failure to a shell.
#[test]
fn a_tpm_that_fails_is_told_and_blamed() {
    let failing = TpmStatus::Failing { why: "gone".to_owned() };
    let none = TpmStatus::Absent { device_key: Vec::new() };
    assert_eq!((fails(&failing, None), fails(&none, None)), (true, false));
    let ready = TpmStatus::sample(false);
    let commands = TpmCommands { calls: 0, root_reads: 0 };
    let heard = TpmHealth { in_lockout: false, lockout_counter: None, sessions_free: None, commands };
    assert_eq!((fails(&ready, None), fails(&ready, Some(&heard))), (true, false));
    assert!(tpm_words(&ready, None).starts_with("failing: it does not answer"));
    assert_eq!(tpm_words(&ready, Some(&heard)), "ready");
    let refused =
        ControllerStatus { server: "c:1".to_owned(), words: "not signed".to_owned(), ..Default::default() };
    let words = controller_words(Some(&refused), true);
    assert_eq!(words, "c:1 is not asked: this node's TPM does not sign");
    let mut told = status(Some(refused), Some(Vec::new()));
    told.tpm_fails = true;
    assert_eq!(silent(&told), ["this node's TPM"]);
    let before = ControllerStatus { server: "c:1".to_owned(), reachable: true, ..Default::default() };
    let words = controller_words(Some(&before), true);
    assert!(words.contains("is not asked"), "it answered before the TPM failed: {words}");
}
