//! `eve bus table`: the bus as the code has it, a row for each topic and call.

use crate::bus::{Agent, CallId, TopicId};

/// The two tables.
pub(super) fn text() -> String {
    let topics = TopicId::ALL.map(|topic| {
        let (by, to) = (topic.publisher().name(), names(topic.hearers()));
        [format!("{topic:?}"), by.to_owned(), to, size(topic.most()), topic.about().to_owned()]
    });
    let calls = CallId::ALL.map(|call| {
        let (question, answer) = call.most();
        let most = format!("{} > {}", size(question), size(answer));
        [
            format!("{call:?}"),
            names(call.askers()),
            call.answerer().name().to_owned(),
            most,
            call.about().to_owned(),
        ]
    });
    let topics = table(["TOPIC", "PUBLISHED BY", "HEARD BY", "AT MOST", "WHAT IT IS"], &topics);
    let calls = table(["CALL", "ASKED BY", "ANSWERED BY", "AT MOST", "WHAT IS ASKED"], &calls);
    format!(
        "{topics}\n{calls}\nThe operator (root on the node) hears every topic. What has no row is refused.\n"
    )
}

fn names(agents: &[Agent]) -> String {
    let names: Vec<_> = agents.iter().map(|agent| agent.name()).collect();
    if names.is_empty() { "-".to_owned() } else { names.join(" ") }
}

fn size(bytes: usize) -> String {
    if bytes >= 1 << 20 { format!("{} MiB", bytes >> 20) } else { format!("{} KiB", bytes >> 10) }
}

fn table(heads: [&str; 5], rows: &[[String; 5]]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].len());
        cells.chain([heads[column].len()]).max().unwrap_or_default()
    };
    let [a, b, c, d] = [0, 1, 2, 3].map(width);
    let heads = heads.map(str::to_owned);
    let line = |[one, two, three, four, five]: &[String; 5]| {
        format!("{one:<a$}  {two:<b$}  {three:<c$}  {four:<d$}  {five}\n")
    };
    std::iter::once(&heads).chain(rows).map(line).collect()
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
