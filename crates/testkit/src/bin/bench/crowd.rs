//! Many devices at the same time, over 16 connections, the generator on the same machine: requests a second, and how long one waits.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::builds::{Builds, in_turn};
use super::contest::{Contest, Unit};
use super::device::{Device, Line};
use super::fleet::{Fleet, attest, nothing_new};
use super::report::{Aims, Report};

const CONNECTIONS: usize = 16;

/// What is measured of one kind of request.
struct Kind {
    what: &'static str,
    rate: Contest,
    cpu: Contest,
    median: Contest,
    late: Contest,
}

/// Requests of each connection in one round.
#[derive(Clone, Copy)]
struct Each {
    polls: usize,
    attestations: usize,
}

pub(crate) fn measure(folder: &Path, builds: &Builds, quick: bool, report: &mut Report) -> Result<()> {
    let (devices, rounds) = if quick { (32, 2) } else { (2000, 9) };
    let each = if quick { Each { polls: 8, attestations: 2 } } else { Each { polls: 250, attestations: 20 } };
    let mut fleets = builds.each(|build| Fleet::new(build, folder, devices, 1))?;
    let (mut polls, mut attestations) = (Kind::new("polls", builds), Kind::new("attestations", builds));
    for round in 0..rounds {
        in_turn(round, &mut fleets, |side, fleet| {
            polls.push(side, fleet, polled, each.polls)?;
            attestations.push(side, fleet, |device, line| attest(device, line, 1), each.attestations)
        })?;
    }
    report.contest_section(
        &format!("{CONNECTIONS} connections, {devices} devices"),
        "The load generator runs on the same machine and signs what attestations send: its time is in the rate, and it is the same for all.",
    );
    polls.tell(report, 2.5);
    attestations.tell(report, 3.0);
    Ok(())
}

fn polled(device: &mut Device, line: &Line) -> Result<()> {
    let body = device.as_signed()?;
    nothing_new(device, line, &body)
}

impl Kind {
    fn new(what: &'static str, builds: &Builds) -> Self {
        let (rate, time) =
            (Contest::new(Unit::Rate, builds.count()), Contest::new(Unit::Time, builds.count()));
        Self { what, rate, cpu: time.clone(), median: time.clone(), late: time }
    }

    /// One round with one build.
    fn push(
        &mut self,
        side: usize,
        fleet: &mut Fleet,
        act: impl Fn(&mut Device, &Line) -> Result<()> + Sync,
        each: usize,
    ) -> Result<()> {
        let lines = (0..CONNECTIONS).map(|_| Line::new(&fleet.evc)).collect::<Result<Vec<_>>>()?;
        let (before, began) = (fleet.cpu_time()?, Instant::now());
        let mut took = all_at_once(fleet, &lines, &act, each)?;
        let (wall, cpu) = (began.elapsed(), fleet.cpu_time()? - before);
        took.sort_unstable();
        let requests = took.len() as f64;
        self.rate.push(side, requests / wall.as_secs_f64());
        self.cpu.push(side, cpu.as_secs_f64() / requests);
        self.median.took(side, took[took.len() / 2]);
        self.late.took(side, took[took.len() * 99 / 100]);
        Ok(())
    }

    fn tell(&self, report: &mut Report, least: f64) {
        let what = self.what;
        report.contest(&format!("{what} a second"), &self.rate, None, Aims::at_least(least));
        report.contest(&format!("{what}: processor time of one"), &self.cpu, None, Aims::default());
        report.contest(&format!("{what}: one takes, median"), &self.median, None, Aims::default());
        report.contest(&format!("{what}: one takes, 99th percentile"), &self.late, None, Aims::default());
    }
}

/// How long each request took.
fn all_at_once(
    fleet: &mut Fleet,
    lines: &[Line],
    act: &(impl Fn(&mut Device, &Line) -> Result<()> + Sync),
    each: usize,
) -> Result<Vec<Duration>> {
    thread::scope(|scope| {
        let parts = fleet.parts(lines.len()).zip(lines);
        let hands: Vec<_> = parts
            .map(|(devices, line)| scope.spawn(move || one_after_another(devices, line, act, each)))
            .collect();
        let took = hands.into_iter().map(|hand| hand.join().expect("it does not panic"));
        Ok(took.collect::<Result<Vec<_>>>()?.concat())
    })
}

fn one_after_another(
    devices: &mut [Device],
    line: &Line,
    act: impl Fn(&mut Device, &Line) -> Result<()>,
    each: usize,
) -> Result<Vec<Duration>> {
    let count = devices.len();
    (0..each)
        .map(|n| {
            let began = Instant::now();
            act(&mut devices[n % count], line)?;
            Ok(began.elapsed())
        })
        .collect()
}
