//! A controller of one build with many devices in software: registered, each with its vaults, all attested.

use std::collections::HashMap;
use std::path::Path;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use testkit::Evc;

use super::builds::Build;
use super::device::{Device, Line, Onboarding};
use super::machine::{cpu_time, resident};

/// One certificate lets in at most 4096 with any serial.
const BY_ONE: usize = 4000;
/// Documents of one file; a file has at most 1024.
const OF_A_FILE: usize = 1000;
/// How many set a fleet up at the same time.
const HANDS: usize = 4;
/// Good for a day: what is attested now is not asked again while it is measured.
const POLICY: &str = "kind: VaultPolicy\nname: p\ncustody: tpm+controller\nattest: { every: 24h }\n";
/// So far from one to the next that is asked; a prime, so that all have their turn.
const STRIDE: usize = 7919;
/// So many new sessions of one device within an hour are taken for lives of one node; more are an alarm, and bar its keys.
const LIVES: usize = 8;

/// The controller and its devices.
pub(crate) struct Fleet {
    pub(crate) evc: Evc,
    pub(crate) line: Line,
    devices: Vec<Device>,
    vaults: usize,
    next: usize,
    /// Attested since they last polled.
    fresh: Vec<usize>,
    /// New sessions of each device since its alarm was last settled; none where the build has no such alarm.
    lives: Option<HashMap<usize, usize>>,
}

impl Fleet {
    /// So many devices with so many vaults each.
    pub(crate) fn new(build: &Build, folder: &Path, devices: usize, vaults: usize) -> Result<Self> {
        let folder = folder.join(&build.name);
        std::fs::create_dir_all(&folder)?;
        let evc = Evc::quiet(&folder.join("evc"), &build.programs)?;
        let line = Line::new(&evc)?;
        let registered = registered(&evc, &line, &folder, devices)?;
        evc.apply(POLICY)?;
        let each = |n: usize| (0..vaults).map(move |v| document(n, v));
        let documents: Vec<String> = (0..devices).flat_map(each).collect();
        for file in documents.chunks(OF_A_FILE) {
            evc.apply(&file.join("---\n"))?;
        }
        let has_alarm = evc.run(&["device", "settle", "--help"]).is_ok();
        let lives = has_alarm.then(HashMap::new);
        let mut fleet = Self { evc, line, devices: registered, vaults, next: 0, fresh: Vec::new(), lives };
        fleet.all_attest()?;
        fleet.all_poll()?;
        Ok(fleet)
    }

    fn all_attest(&mut self) -> Result<()> {
        let (line, vaults) = (&self.line, self.vaults);
        let each = |devices: &mut [Device]| devices.iter_mut().try_for_each(|one| attest(one, line, vaults));
        by_hands(&mut self.devices, each)
    }

    /// Every device polls once: what the controller keeps of each, it keeps then.
    fn all_poll(&mut self) -> Result<()> {
        let line = &self.line;
        let poll = |one: &mut Device| {
            let body = one.signed_anew()?;
            nothing_new(one, line, &body)
        };
        by_hands(&mut self.devices, |devices| devices.iter_mut().try_for_each(poll))
    }

    /// The next so many of all, far from each other.
    fn turn(&mut self, count: usize) -> Vec<usize> {
        let from = self.next;
        self.next += count;
        (from..self.next).map(|n| n * STRIDE % self.devices.len()).collect()
    }

    /// The controller's processor time for one unchanged poll, of so many, as nodes send it: as it was signed when it said that first. Each device
    /// has polled since it attested.
    pub(crate) fn poll(&mut self, polls: usize) -> Result<Duration> {
        let turn = self.turn(polls);
        let as_signed = turn.iter().map(|n| self.devices[*n].as_signed());
        let bodies = as_signed.collect::<Result<Vec<_>>>()?;
        self.polled(&turn, &bodies)
    }

    /// The same of polls of which each is signed anew.
    pub(crate) fn poll_signed_anew(&mut self, polls: usize) -> Result<Duration> {
        let turn = self.turn(polls);
        self.polled_anew(&turn)
    }

    fn polled_anew(&mut self, turn: &[usize]) -> Result<Duration> {
        let anew = turn.iter().map(|n| self.devices[*n].signed_anew());
        let bodies = anew.collect::<Result<Vec<_>>>()?;
        self.polled(turn, &bodies)
    }

    fn polled(&self, turn: &[usize], bodies: &[Vec<u8>]) -> Result<Duration> {
        let before = self.cpu_time()?;
        for (n, body) in turn.iter().zip(bodies) {
            nothing_new(&self.devices[*n], &self.line, body)?;
        }
        Ok((self.cpu_time()? - before) / u32::try_from(turn.len().max(1))?)
    }

    /// The same for one attestation: challenge, evidence, section with the keys of all vaults.
    pub(crate) fn attest(&mut self, rounds: usize) -> Result<Duration> {
        let turn = self.turn(rounds);
        self.settle(&turn)?;
        let before = self.cpu_time()?;
        for n in &turn {
            attest(&mut self.devices[*n], &self.line, self.vaults)?;
        }
        let each = (self.cpu_time()? - before) / u32::try_from(rounds)?;
        self.fresh.extend(turn);
        Ok(each)
    }

    /// The same for the first poll after an attestation, by which a device tells that it accepted its section: of all that did not poll since.
    pub(crate) fn first_polls(&mut self) -> Result<Duration> {
        let mut fresh = std::mem::take(&mut self.fresh);
        fresh.sort_unstable();
        fresh.dedup();
        self.polled_anew(&fresh)
    }

    /// Settles the alarm of those that would have too many sessions with these: what is measured is a node's life, and not a flood of them.
    fn settle(&mut self, turn: &[usize]) -> Result<()> {
        let Some(lives) = &mut self.lives else { return Ok(()) };
        let mut next: HashMap<usize, usize> = HashMap::new();
        turn.iter().for_each(|device| *next.entry(*device).or_default() += 1);
        for (device, new) in next {
            let since = lives.entry(device).or_default();
            if *since + new > LIVES {
                self.evc.run(&["device", "settle", &name(device)])?;
                *since = 0;
            }
            *since += new;
        }
        Ok(())
    }

    /// Devices in equal parts, to be asked by as many at the same time.
    pub(crate) fn parts(&mut self, parts: usize) -> impl Iterator<Item = &mut [Device]> {
        let each = self.devices.len().div_ceil(parts).max(1);
        self.devices.chunks_mut(each)
    }

    pub(crate) fn cpu_time(&self) -> Result<Duration> {
        cpu_time(self.pid()?)
    }

    /// Resident memory of the controller, bytes.
    pub(crate) fn resident(&self) -> Result<f64> {
        resident(self.pid()?)
    }

    fn pid(&self) -> Result<u32> {
        self.evc.pid().context("evc is down")
    }
}

/// Polls; it is to bring nothing.
pub(crate) fn nothing_new(device: &Device, line: &Line, body: &[u8]) -> Result<()> {
    ensure!(device.unchanged(line, body)?, "a poll that should have brought nothing");
    Ok(())
}

/// Attests; every vault's key is to be released.
pub(crate) fn attest(device: &mut Device, line: &Line, vaults: usize) -> Result<()> {
    let released = device.attest(line)?;
    ensure!(released == vaults, "{released} of {vaults} keys were released");
    Ok(())
}

fn registered(evc: &Evc, line: &Line, folder: &Path, devices: usize) -> Result<Vec<Device>> {
    let numbers: Vec<usize> = (0..devices).collect();
    let mut all = Vec::with_capacity(devices);
    for (certificate, numbers) in numbers.chunks(BY_ONE).enumerate() {
        let onboarding = Onboarding::allowed(evc, folder, &format!("onboarding-{certificate}"))?;
        let mut places: Vec<(usize, Option<Device>)> = numbers.iter().map(|n| (*n, None)).collect();
        let register = |(n, place): &mut (usize, Option<Device>)| {
            *place = Some(Device::registered(line, &onboarding, &name(*n))?);
            Ok(())
        };
        by_hands(&mut places, |places| places.iter_mut().try_for_each(register))?;
        all.extend(places.into_iter().filter_map(|(_, device)| device));
    }
    Ok(all)
}

fn name(device: usize) -> String {
    format!("bench-{device}")
}

fn document(device: usize, vault: usize) -> String {
    format!("kind: Vault\nname: till-{vault}\ndevice: {}\npolicy: p\n", name(device))
}

/// Does it to all, some at the same time.
fn by_hands<T: Send>(all: &mut [T], act: impl Fn(&mut [T]) -> Result<()> + Sync) -> Result<()> {
    let each = all.len().div_ceil(HANDS).max(1);
    let act = &act;
    thread::scope(|scope| {
        let hands: Vec<_> = all.chunks_mut(each).map(|part| scope.spawn(move || act(part))).collect();
        hands.into_iter().try_for_each(|hand| hand.join().expect("it does not panic"))
    })
}
