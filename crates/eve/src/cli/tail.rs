//! `eve bus tail`: what is published on the bus, and who asked whom what, each with its time. The text is what its `Debug` shows, which redacts
//! secrets, with lists of bytes as their length.

use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::{Duration, SystemTime};

use anyhow::bail;
use serde_json::json;
use vault::text::plain;

use super::args::Root;
use super::out;
use crate::bus::messages::Agents;
use crate::bus::{Agent, Bus, EachTopic, Silence, Subscription, Topic, TopicId};

/// How long the supervisor is waited for in silence.
const GLANCE: Duration = Duration::from_secs(1);

/// Prints until nobody reads.
pub(super) fn follow(root: &Root, json: bool) -> anyhow::Result<()> {
    let bus = &root.bus();
    match bus.subscribe::<Agents>().next_within(GLANCE) {
        Err(Silence::Refused) => bail!("the bus is heard by root alone: are you root?"),
        Err(Silence::Full) => bail!(super::status::NO_PLACE),
        Err(Silence::Yet) => eprintln!("waiting: {}", plain(&root.not_running())),
        Ok(_) => {}
    }
    let (sender, values) = sync_channel(0);
    TopicId::each(&mut Follow { bus, into: &sender });
    Agent::STARTED.into_iter().for_each(|agent| print("Asked", bus.watch(agent), &sender));
    drop(sender);
    for (topic, text) in values {
        if !out::write(line(&topic, &text, SystemTime::now(), json).as_bytes())? {
            break;
        }
    }
    Ok(())
}

fn line(topic: &str, text: &str, at: SystemTime, json: bool) -> String {
    let (at, text) = (humantime::format_rfc3339_millis(at), without_bytes(text));
    if json {
        return format!(
            "{}\n",
            plain(&json!({ "at": at.to_string(), "topic": topic, "text": text }).to_string())
        );
    }
    // Of most the value begins with the topic's name.
    let name = if text.starts_with(topic) { String::new() } else { format!("{topic} ") };
    format!("{at} {name}{}\n", plain(&text))
}

/// Longest list of bytes that is shown as such.
const FEW: usize = 4;

/// A list of bytes (a key, a point) says nothing to a reader but how long it is.
fn without_bytes(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, list)) = rest.split_once('[') {
        shown += before;
        let (items, after) = list.split_once(']').unwrap_or((list, ""));
        let count = items.split(", ").filter(|item| item.parse::<u8>().is_ok()).count();
        if count > FEW && count == items.split(", ").count() {
            shown += &format!("{count} bytes");
            rest = after;
        } else {
            shown.push('[');
            rest = list;
        }
    }
    shown + rest
}

/// A topic, and a value of it.
type TopicValue = (String, String);

struct Follow<'a> {
    bus: &'a Bus,
    into: &'a SyncSender<TopicValue>,
}

impl EachTopic for Follow<'_> {
    fn topic<T: Topic>(&mut self) {
        print(&format!("{:?}", T::ID), self.bus.subscribe::<T>(), self.into);
    }
}

fn print<T: std::fmt::Debug + Send + 'static>(
    topic: &str,
    mut values: Subscription<T>,
    into: &SyncSender<TopicValue>,
) {
    let (topic, into) = (topic.to_owned(), into.clone());
    std::thread::spawn(move || {
        values.try_for_each(|value| into.send((topic.clone(), format!("{value:?}"))).ok())
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_its_time_and_no_bytes() {
        let text = "TpmStatus { key: [4, 1, 2, 3, 255], ports: [Port { n: [1, 2] }], note: \"[x\" }";
        let shown = "TpmStatus { key: 5 bytes, ports: [Port { n: [1, 2] }], note: \"[x\" }";
        let at = SystemTime::UNIX_EPOCH;
        assert_eq!(line("TpmStatus", text, at, false), format!("1970-01-01T00:00:00.000Z {shown}\n"));
        let json: serde_json::Value = serde_json::from_str(&line("TpmStatus", text, at, true)).expect("JSON");
        assert_eq!((&json["topic"], &json["text"]), (&json!("TpmStatus"), &json!(shown)));
    }
}
