//! `eve bus tail`: what is published on the bus, as its `Debug` shows it, and that redacts secrets; and who asked whom what.

use std::io::Write;
use std::sync::mpsc::{SyncSender, sync_channel};

use crate::bus::messages::{
    Agents, Challenge, ControllerStatus, Evidence, NetworkStatus, Onboarded, Onboarding, Session,
    SignedConfig, TpmStatus, VaultStatus,
};
use crate::bus::{Agent, Bus, Subscription, Topic};

/// Prints until nobody reads.
pub(super) fn follow(bus: &Bus) -> anyhow::Result<()> {
    let (sender, lines) = sync_channel(0);
    pass_on::<Agents>(bus, &sender);
    pass_on::<NetworkStatus>(bus, &sender);
    pass_on::<TpmStatus>(bus, &sender);
    pass_on::<Onboarding>(bus, &sender);
    pass_on::<Onboarded>(bus, &sender);
    pass_on::<SignedConfig>(bus, &sender);
    pass_on::<Challenge>(bus, &sender);
    pass_on::<ControllerStatus>(bus, &sender);
    pass_on::<Session>(bus, &sender);
    pass_on::<Evidence>(bus, &sender);
    pass_on::<VaultStatus>(bus, &sender);
    Agent::STARTED.into_iter().for_each(|agent| print(bus.watch(agent), &sender));
    drop(sender);
    let mut out = std::io::stdout();
    // Whoever reads a pipe may go away: that is the end, and no error.
    lines
        .into_iter()
        .try_for_each(|line: String| writeln!(out, "{line}").and_then(|()| out.flush()))
        .or(Ok(()))
}

fn pass_on<T: Topic>(bus: &Bus, into: &SyncSender<String>) {
    print(bus.subscribe::<T>(), into);
}

fn print<T: std::fmt::Debug + Send + 'static>(mut values: Subscription<T>, into: &SyncSender<String>) {
    let into = into.clone();
    std::thread::spawn(move || values.try_for_each(|value| into.send(format!("{value:?}")).ok()));
}
