//! `eve bus table`: the bus as the code has it, a row for each topic and call.

use cli::{Forms, NOTHING, aligned};
use serde_json::json;

use crate::bus::{Agent, CallId, TopicId};

/// The two tables.
pub(super) fn forms() -> serde_json::Result<Forms> {
    let topics = TopicId::ALL.map(|topic| {
        json!({ "topic": topic, "published_by": topic.publisher().name(), "heard_by": names(topic.hearers()),
            "most_bytes": topic.most(), "about": topic.about() })
    });
    let calls = CallId::ALL.map(|call| {
        let (question, answer) = call.most();
        json!({ "call": call, "asked_by": names(call.askers()), "answered_by": call.answerer().name(),
            "most_bytes_asked": question, "most_bytes_answered": answer, "about": call.about() })
    });
    let ids = TopicId::ALL.iter().map(|id| format!("topic/{id:?}"));
    let ids = ids.chain(CallId::ALL.iter().map(|id| format!("call/{id:?}"))).collect();
    Forms::of(&json!({ "topics": topics, "calls": calls }), text(), ids)
}

fn text() -> String {
    let topics = TopicId::ALL.map(|topic| {
        let (by, to) = (topic.publisher().name().to_owned(), listed(topic.hearers()));
        vec![format!("{topic:?}"), by, to, size(topic.most()), topic.about().to_owned()]
    });
    let calls = CallId::ALL.map(|call| {
        let (question, answer) = call.most();
        let (by, of) = (listed(call.askers()), call.answerer().name().to_owned());
        let most = format!("{} > {}", size(question), size(answer));
        vec![format!("{call:?}"), by, of, most, call.about().to_owned()]
    });
    let topics = table(["TOPIC", "PUBLISHED BY", "HEARD BY", "AT MOST", "WHAT IT IS"], &topics);
    let calls = table(["CALL", "ASKED BY", "ANSWERED BY", "AT MOST", "WHAT IS ASKED"], &calls);
    format!(
        "{topics}\n{calls}\nThe operator (root on the node) hears every topic. What has no row is refused.\n"
    )
}

fn names(agents: &[Agent]) -> Vec<&'static str> {
    agents.iter().map(|agent| agent.name()).collect()
}

fn listed(agents: &[Agent]) -> String {
    if agents.is_empty() { NOTHING.to_owned() } else { names(agents).join(" ") }
}

fn size(bytes: usize) -> String {
    if bytes >= 1 << 20 { format!("{} MiB", bytes >> 20) } else { format!("{} KiB", bytes >> 10) }
}

fn table(heads: [&str; 5], rows: &[Vec<String>]) -> String {
    let heads = heads.map(str::to_owned).to_vec();
    aligned(&[heads].into_iter().chain(rows.iter().cloned()).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The page says of the rows that matter most who may: roots of the TPM go to vaultmgr alone.
    #[test]
    fn the_page_has_a_row_for_each_topic_and_call() {
        let page = text();
        for name in
            TopicId::ALL.map(|id| format!("{id:?}")).iter().chain(&CallId::ALL.map(|id| format!("{id:?}")))
        {
            assert_eq!(
                page.lines().filter(|line| line.split(' ').next() == Some(name)).count(),
                1,
                "{name}\n{page}"
            );
        }
        let roots = page.lines().find(|line| line.starts_with("ReadRoots")).expect("its row");
        let words: Vec<_> = roots.split_whitespace().collect();
        assert_eq!(words[..3], ["ReadRoots", "vaultmgr", "tpmmgr"], "{roots}");
    }
}
