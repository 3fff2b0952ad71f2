//! `eve bus tail`: what is published on the bus, as its `Debug` shows it, and that redacts secrets; and who asked whom what.

use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::Duration;

use anyhow::bail;

use super::out;
use crate::bus::messages::Agents;
use crate::bus::{Agent, Bus, EachTopic, Silence, Subscription, Topic, TopicId};

/// How long the supervisor is waited for in silence.
const GLANCE: Duration = Duration::from_secs(1);

/// Prints until nobody reads.
pub(super) fn follow(bus: &Bus) -> anyhow::Result<()> {
    match bus.subscribe::<Agents>().next_within(GLANCE) {
        Err(Silence::Refused) => bail!("the bus is heard by root alone: are you root?"),
        Err(Silence::Yet) => eprintln!("waiting for `eve run` with this --root"),
        Ok(_) => {}
    }
    let (sender, lines) = sync_channel(0);
    TopicId::each(&mut Follow { bus, into: &sender });
    Agent::STARTED.into_iter().for_each(|agent| print(bus.watch(agent), &sender));
    drop(sender);
    for line in lines {
        if !out::write(format!("{line}\n").as_bytes())? {
            break;
        }
    }
    Ok(())
}

struct Follow<'a> {
    bus: &'a Bus,
    into: &'a SyncSender<String>,
}

impl EachTopic for Follow<'_> {
    fn topic<T: Topic>(&mut self) {
        print(self.bus.subscribe::<T>(), self.into);
    }
}

fn print<T: std::fmt::Debug + Send + 'static>(mut values: Subscription<T>, into: &SyncSender<String>) {
    let into = into.clone();
    std::thread::spawn(move || values.try_for_each(|value| into.send(format!("{value:?}")).ok()));
}
