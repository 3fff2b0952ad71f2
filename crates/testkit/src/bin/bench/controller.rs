//! Processor time of `evc serve` for an unchanged poll and for an attestation, with few and many devices and vaults, beside the
//! cryptography that neither can do without.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;

use super::builds::{Builds, in_turn};
use super::contest::{Contest, Unit};
use super::fleet::Fleet;
use super::floor::Floor;
use super::report::{Aims, Report};

/// Parts of a round, in which the builds take turns.
const SLICES: usize = 5;

/// How much is measured.
struct Size {
    fleet: usize,
    vaults: usize,
    rounds: usize,
    polls: usize,
}

impl Size {
    fn of(quick: bool) -> Self {
        if quick {
            Self { fleet: 12, vaults: 16, rounds: 3, polls: 50 }
        } else {
            Self { fleet: 2000, vaults: 300, rounds: 15, polls: 500 }
        }
    }
}

/// One kind of fleet, of each build.
struct Case {
    devices: usize,
    vaults: usize,
    fleets: Vec<Fleet>,
    /// In one round; with many vaults one costs as much as dozens with one.
    polls: usize,
    attestations: usize,
    poll: Contest,
    anew: Contest,
    attestation: Contest,
    first: Contest,
}

pub(crate) fn measure(folder: &Path, builds: &Builds, quick: bool, report: &mut Report) -> Result<()> {
    let size = Size::of(quick);
    let (polls, attestations) = (size.polls, size.polls / 10);
    let few = size.polls / 100 + 1;
    let mut cases = [
        Case::new(folder, builds, (1, 1), (polls, attestations))?,
        Case::new(folder, builds, (size.fleet, 1), (polls, attestations))?,
        Case::new(folder, builds, (1, 4), (polls, attestations))?,
        Case::new(folder, builds, (1, size.vaults), (attestations, few))?,
    ];
    let mut floor = Floor::new()?;
    for round in 0..size.rounds {
        cases.iter_mut().try_for_each(|case| case.round(round))?;
        floor.measure()?;
    }
    tell(report, &cases, &floor);
    let [_, fleet, ..] = &mut cases;
    memory(report, fleet, None)
}

/// A fleet so large that its set-up takes long: what grows with it.
pub(crate) fn measure_large(
    folder: &Path,
    builds: &Builds,
    devices: usize,
    quick: bool,
    report: &mut Report,
) -> Result<()> {
    let Size { rounds, polls, .. } = Size::of(quick);
    let mut one = Case::new(folder, builds, (1, 1), (polls, polls / 10))?;
    let mut large = Case::new(folder, builds, (devices, 1), (polls, polls / 10))?;
    let mut floor = Floor::new()?;
    for round in 0..rounds {
        one.round(round)?;
        large.round(round)?;
        floor.measure()?;
    }
    report.contest_section(
        &format!("A fleet of {devices}"),
        "As above. All devices registered, attested and polled once before; the polls go to all of them in turn.",
    );
    report.contest("poll, 1 device", &one.poll, Some(floor.poll()), Aims::default());
    large.tell(report, &floor, (Aims::of(0.2, 1.5), Aims::of(0.4, 2.2)));
    let growth = large.poll.times(&one.poll);
    report.speed_row(
        &format!("poll, 1 to {devices} devices: growth under 1.1"),
        &growth.to_string(),
        growth.median < 1.1,
    );
    memory(report, &mut large, Some(110.0))
}

impl Case {
    fn new(folder: &Path, builds: &Builds, size: (usize, usize), each: (usize, usize)) -> Result<Self> {
        let (devices, vaults) = size;
        let folder = folder.join(format!("{devices}-{vaults}"));
        let fleets = builds.each(|build| Fleet::new(build, &folder, devices, vaults))?;
        let time = Contest::new(Unit::Time, builds.count());
        let [poll, anew, attestation, first] = [0; 4].map(|_| time.clone());
        let (polls, attestations) = each;
        Ok(Self { devices, vaults, fleets, polls, attestations, poll, anew, attestation, first })
    }

    /// One round, in slices: whatever makes the machine slower for a moment meets both builds.
    fn round(&mut self, round: usize) -> Result<()> {
        let none = vec![Duration::ZERO; self.fleets.len()];
        let [mut poll, mut anew, mut attestation, mut first] = [0; 4].map(|_| none.clone());
        let (polls, attestations) = (self.polls.div_ceil(SLICES), self.attestations.div_ceil(SLICES));
        for slice in 0..SLICES {
            in_turn(round + slice, &mut self.fleets, |side, fleet| {
                poll[side] += fleet.poll(polls)? / SLICES as u32;
                anew[side] += fleet.poll_signed_anew(polls)? / SLICES as u32;
                attestation[side] += fleet.attest(attestations)? / SLICES as u32;
                first[side] += fleet.first_polls()? / SLICES as u32;
                Ok(())
            })?;
        }
        let all = [(poll, &mut self.poll), (anew, &mut self.anew), (attestation, &mut self.attestation)];
        for (took, contest) in all.into_iter().chain([(first, &mut self.first)]) {
            took.into_iter().enumerate().for_each(|(side, one)| contest.took(side, one));
        }
        Ok(())
    }

    fn words(&self) -> String {
        let many = |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
        format!("{}, {} each", many(self.devices, "device"), many(self.vaults, "vault"))
    }

    fn tell(&self, report: &mut Report, floor: &Floor, aims: (Aims, Aims)) {
        let vaults = u32::try_from(self.vaults).unwrap_or(u32::MAX);
        report.contest(&format!("poll, {}", self.words()), &self.poll, Some(floor.poll()), aims.0);
        let what = format!("poll signed anew, {}", self.words());
        report.contest(&what, &self.anew, Some(floor.poll()), Aims::default());
        let (attestation, least) = (&self.attestation, floor.attestation(vaults));
        report.contest(&format!("attestation, {}", self.words()), attestation, Some(least), aims.1);
        let (first, what) = (&self.first, format!("first poll after it, {}", self.words()));
        report.contest(&what, first, Some(floor.poll()), Aims::default());
    }
}

fn tell(report: &mut Report, cases: &[Case; 4], floor: &Floor) {
    report.contest_section(
        "Controller",
        "Processor time of `evc serve`, all threads, per request over one kept connection (TLS 1.3); every poll was answered \
         *unchanged*, every attestation released all keys. A poll goes as nodes send it: as it was signed when it said that first. One that is \
         signed anew has a row of its own. The first poll after an attestation tells that its section was accepted, which \
         is written: it has a row of its own, and the other polls are of devices that polled since. The floor is what must be computed whatever the program: for a poll that \
         is signed anew one verification of the device's signature, by which the other polls are counted too; for an attestation (challenge, evidence, section) three of those, one of the quote, \
         three signatures, one HPKE seal, and for each further vault one more message of it.",
    );
    let attests = Aims::of(0.4, 2.2);
    let aims = [
        (Aims::of(0.2, 1.5), attests),
        (Aims::of(0.2, 1.5), attests),
        (Aims::default(), attests),
        (Aims::ratio(0.1), Aims::ratio(0.25)),
    ];
    for (case, aims) in cases.iter().zip(aims) {
        case.tell(report, floor, aims);
    }
    let growth = cases[1].poll.times(&cases[0].poll);
    let what = format!("poll, 1 to {} devices: growth under 1.1", cases[1].devices);
    report.speed_row(&what, &growth.to_string(), growth.median < 1.1);
    let growth = cases[1].anew.times(&cases[0].anew);
    report.contest_row(&format!("the same, signed anew, {} devices", cases[1].devices), &growth.to_string());
    report.contest_row("one P-256 verification", &floor.verify.words());
    report.contest_row("one P-256 signature", &floor.sign.words());
    report.contest_row("one HPKE seal", &floor.seal.words());
    report.contest_row("one more key of the same encapsulation", &floor.further.words());
}

/// With all that is kept of each device: under so many MiB, where that is promised.
fn memory(report: &mut Report, case: &mut Case, most_mib: Option<f64>) -> Result<()> {
    let mut resident = Contest::new(Unit::Memory, case.fleets.len());
    for (side, fleet) in case.fleets.iter_mut().enumerate() {
        resident.push(side, fleet.resident()?);
    }
    report.contest(&format!("resident memory, {}", case.words()), &resident, None, Aims::default());
    if let Some(most) = most_mib {
        let mib = resident.ours() / f64::from(1 << 20);
        report.speed_row(&format!("resident memory under {most} MiB"), &format!("{mib:.1} MiB"), mib < most);
    }
    Ok(())
}
