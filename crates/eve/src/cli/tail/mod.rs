//! `eve bus tail`: what is published on the bus, and who asked whom what, each with its time, in words or for programs. No type of a secret
//! has a form that can be read (`crate::bus::secret`), and lists of bytes are told by their length.

mod words;

use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::{Duration, SystemTime};

use anyhow::bail;
use cli::{Output, write, yaml};
use serde::Serialize;
use serde_json::{Value, json};
use vault::text::plain;

use self::words::{readable, words};
use super::args::Root;
use crate::bus::messages::Agents;
use crate::bus::{Agent, Bus, EachTopic, Silence, Subscription, Topic, TopicId};

/// How long the supervisor is waited for in silence.
const GLANCE: Duration = Duration::from_secs(1);

/// Prints until nobody reads.
pub(super) fn follow(root: &Root, output: Output) -> anyhow::Result<()> {
    let bus = &root.bus();
    match bus.subscribe::<Agents>().next_within(GLANCE) {
        Err(Silence::Refused) => bail!("the bus is heard by root alone: are you root?"),
        Err(Silence::Full) => bail!(super::status::NO_PLACE),
        Err(Silence::Yet) => cli::complain(&format!("waiting: {}", plain(&root.not_running()))),
        Ok(_) => {}
    }
    let (sender, values) = sync_channel(0);
    TopicId::each(&mut Follow { bus, into: &sender });
    Agent::STARTED.into_iter().for_each(|agent| print(ASKED, bus.watch(agent), &sender));
    drop(sender);
    for (topic, value) in values {
        if !write(line(&topic, value, SystemTime::now(), output).as_bytes())? {
            break;
        }
    }
    Ok(())
}

fn line(topic: &str, value: Value, at: SystemTime, output: Output) -> String {
    let (at, value) = (humantime::format_rfc3339_millis(at).to_string(), readable(value));
    let whole = |value| json!({ "at": at, "topic": topic, "value": value });
    match output {
        Output::Json => format!("{}\n", plain(&whole(value).to_string())),
        Output::Yaml => format!("---\n{}", yaml(&whole(value))),
        Output::Name => format!("topic/{topic}\n"),
        Output::Table | Output::Wide => format!("{at} {topic}: {}\n", plain(&said(topic, &value))),
    }
}

/// What a topic's value says; of a call who was asked by whom.
fn said(topic: &str, value: &Value) -> String {
    if topic != ASKED {
        return words(value);
    }
    let of = |name: &str| words(&value[name]);
    let by = if value["by"].is_null() { "a stranger".to_owned() } else { of("by") };
    let vault = if value["vault"].is_null() { String::new() } else { format!(" of vault {}", of("vault")) };
    format!("{} by {by} for {}{vault}: {}", of("of"), of("call"), of("end").to_lowercase())
}

/// What calls stand under, beside the topics.
const ASKED: &str = "Asked";

/// A topic, and a value of it.
type TopicValue = (String, Value);

struct Follow<'a> {
    bus: &'a Bus,
    into: &'a SyncSender<TopicValue>,
}

impl EachTopic for Follow<'_> {
    fn topic<T: Topic>(&mut self) {
        print(&format!("{:?}", T::ID), self.bus.subscribe::<T>(), self.into);
    }
}

fn print<T: Serialize + Send + 'static>(
    topic: &str,
    mut values: Subscription<T>,
    into: &SyncSender<TopicValue>,
) {
    let (topic, into) = (topic.to_owned(), into.clone());
    std::thread::spawn(move || values.try_for_each(|value| into.send((topic.clone(), shown(&value))).ok()));
}

fn shown(value: &impl Serialize) -> Value {
    serde_json::to_value(value).unwrap_or_else(|error| format!("can't be shown: {error}").into())
}

#[cfg(test)]
mod tests {
    use vault::secret::RootSecret;

    use super::*;
    use crate::bus::BusRoot;

    #[test]
    fn a_line_has_its_time_and_its_topic_in_every_form() {
        let (at, value) = (SystemTime::UNIX_EPOCH, json!({ "is_up": true, "key": vec![7; 32] }));
        let told = |output| line("TpmStatus", value.clone(), at, output);
        assert_eq!(told(Output::Table), "1970-01-01T00:00:00.000Z TpmStatus: is up yes; key 32 bytes\n");
        assert_eq!(told(Output::Name), "topic/TpmStatus\n");
        let json: Value = serde_json::from_str(&told(Output::Json)).expect("JSON");
        assert_eq!(json["value"], json!({ "is_up": true, "key": "32 bytes" }));
        assert!(told(Output::Yaml).starts_with("---\nat: \"1970-"), "{}", told(Output::Yaml));
    }

    #[test]
    fn a_call_is_a_sentence() {
        let call = |vault: Value| json!({ "by": "operator", "of": "vaultmgr", "call": "LockVault", "vault": vault, "end": "Answered" });
        assert_eq!(said(ASKED, &call(json!("v"))), "vaultmgr by operator for LockVault of vault v: answered");
        assert_eq!(said(ASKED, &call(Value::Null)), "vaultmgr by operator for LockVault: answered");
    }

    /// Invariant 3: a type of a secret has no form that an operator could be shown, however short the secret's bytes are written.
    #[test]
    fn a_secret_has_no_readable_form() {
        let root = BusRoot(RootSecret::copied_from(&[7; 32]));
        assert_eq!(shown(&root), json!("redacted"));
    }
}
