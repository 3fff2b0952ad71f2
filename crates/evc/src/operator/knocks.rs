//! Who wanted to register and may not: so that an operator sees a device that waits, and types no serial by hand. Anybody can say any serial, so
//! it is kept in memory alone, bounded, and what one source says takes no place from the others', and nothing of what they said.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use vault::ids::Project;

use super::Operator;
use crate::api::Knock;
use crate::fleet::heard::ago;
use crate::service::{NotAdmitted, Refusal};
use crate::store::{Tx, UnixSeconds};

/// Most that are remembered, and of one source.
const MOST: usize = 256;
const MOST_OF_SOURCE: usize = 32;
/// Allowed for any serial.
const ANY: &str = "*";

/// SHA-256 of the onboarding certificate, and the serial.
type Who = ([u8; 32], String);

/// It, and the source it came from: each source has its own word of the same device.
type Knocked = (IpAddr, Who);

#[derive(Debug, Clone, Copy)]
struct Came {
    times: u64,
    first: UnixSeconds,
    last: UnixSeconds,
}

/// Those who knocked.
#[derive(Debug, Default)]
pub struct Knocks(Mutex<HashMap<Knocked, Came>>);

impl Knocks {
    /// Remembers a registration that was refused since its serial is not allowed; all others are told in the log alone.
    pub(crate) fn heard(&self, certificate: [u8; 32], from: IpAddr, refused: &Refusal, now: UnixSeconds) {
        let Refusal::NotAdmitted(NotAdmitted::Serial { serial }) = refused else { return };
        let mut all = self.held();
        let who = (from, (certificate, serial.clone()));
        if let Some(came) = all.get_mut(&who) {
            (came.last, came.times) = (now, came.times.saturating_add(1));
            return;
        }
        make_room(&mut all, from);
        all.insert(who, Came { times: 1, first: now, last: now });
    }

    fn all(&self) -> Vec<(Knocked, Came)> {
        self.held().iter().map(|(who, came)| (who.clone(), *came)).collect()
    }

    fn held(&self) -> MutexGuard<'_, HashMap<Knocked, Came>> {
        // Whatever panicked, a list of strangers is as good as before.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The one that came longest ago goes: of this source where it has its share, else of the one that has most.
fn make_room(all: &mut HashMap<Knocked, Came>, from: IpAddr) {
    let mut of_sources: HashMap<IpAddr, usize> = HashMap::new();
    all.keys().for_each(|(source, _)| *of_sources.entry(*source).or_default() += 1);
    let has_its_share = of_sources.get(&from).is_some_and(|count| *count >= MOST_OF_SOURCE);
    if !has_its_share && all.len() < MOST {
        return;
    }
    let most = of_sources.values().copied().max().unwrap_or_default();
    let may_go = |source: &IpAddr| if has_its_share { *source == from } else { of_sources[source] == most };
    let oldest = all.iter().filter(|((source, _), _)| may_go(source)).min_by_key(|(_, came)| came.last);
    if let Some(who) = oldest.map(|(who, _)| who.clone()) {
        all.remove(&who);
    }
}

/// What all sources said of each device, under the source that said it last.
fn merged(all: Vec<(Knocked, Came)>) -> Vec<(Knocked, Came)> {
    let mut by_device: HashMap<Who, (IpAddr, Came)> = HashMap::new();
    for ((from, who), came) in all {
        let told = by_device.entry(who).or_insert((from, Came { times: 0, ..came }));
        let times = told.1.times.saturating_add(came.times);
        let first = told.1.first.min(came.first);
        let (from, last) = if came.last > told.1.last { (from, came.last) } else { (told.0, told.1.last) };
        *told = (from, Came { times, first, last });
    }
    by_device.into_iter().map(|(who, (from, came))| ((from, who), came)).collect()
}

impl Operator {
    /// Those who wanted to register and still may not, the last first.
    ///
    /// # Errors
    /// [`Refusal`] of the store's.
    pub async fn knocks(&self, now: UnixSeconds) -> Result<Vec<Knock>, Refusal> {
        let came = merged(self.knocks.all());
        let mut waiting = self.store.read(|tx| Box::pin(not_allowed(tx, &self.project, &came))).await?;
        waiting.sort_by_key(|(_, came)| std::cmp::Reverse(came.last));
        Ok(waiting.into_iter().map(|(who, came)| shown(who, &came, now)).collect())
    }
}

/// Who was allowed since is not waiting for an operator any more.
async fn not_allowed(
    tx: &mut dyn Tx,
    project: &Project,
    all: &[(Knocked, Came)],
) -> Result<Vec<(Knocked, Came)>, Refusal> {
    let mut waiting = Vec::new();
    for (knocked @ (_, who), came) in all {
        let own = tx.onboarding(&who.0, &who.1).await?;
        let any = tx.onboarding(&who.0, ANY).await?;
        if own.or(any).is_none_or(|row| row.project != *project) {
            waiting.push((knocked.clone(), *came));
        }
    }
    Ok(waiting)
}

fn shown((from, (certificate, serial)): Knocked, came: &Came, now: UnixSeconds) -> Knock {
    Knock {
        serial,
        certificate: hex::encode(certificate),
        from,
        times: came.times,
        first: crate::clock::text(came.first),
        last: crate::clock::text(came.last),
        seen: ago(came.last, now),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A source that knocks with any number of serials takes no place that another one has.
    #[test]
    fn a_flood_of_one_source_hides_nobody_else() {
        let (knocks, address) = (Knocks::default(), |n: u8| IpAddr::from([192, 0, 2, n]));
        let knock = |serial: &str, from: IpAddr, now| {
            let refused = NotAdmitted::Serial { serial: serial.into() }.into();
            knocks.heard([7; 32], from, &refused, now);
        };
        knock("SN-1", address(1), 1);
        for n in 0..10_000 {
            knock(&format!("X-{n}"), address(2), n + 2);
        }
        let all = knocks.all();
        assert_eq!(all.len(), MOST_OF_SOURCE + 1);
        assert!(all.iter().any(|((_, (_, serial)), _)| serial == "SN-1"));
        for source in 3..=255 {
            (0..10).for_each(|n| knock(&format!("Y-{source}-{n}"), address(source), 20_000 + n));
        }
        assert_eq!(knocks.all().len(), MOST, "bounded");
        knocks.heard([7; 32], address(1), &NotAdmitted::OthersSerial.into(), 1);
        assert!(
            knocks.all().iter().any(|((_, (_, serial)), _)| serial == "SN-1"),
            "by any number of sources"
        );
        assert_eq!(knocks.all().len(), MOST, "what is no unknown serial is not one that waits");
    }

    /// F9: who repeats another's serial does not have it as his own to push out; the operator sees one device, and how often in all.
    #[test]
    fn a_serial_that_is_said_elsewhere_too_stays_where_it_was_said_first() {
        let (knocks, [one, other]) = (Knocks::default(), [1, 2].map(|n| IpAddr::from([192, 0, 2, n])));
        let knock = |serial: &str, from: IpAddr, now| {
            let refused = NotAdmitted::Serial { serial: serial.into() }.into();
            knocks.heard([7; 32], from, &refused, now);
        };
        (1..=3).for_each(|now| knock("SN-1", one, now));
        knock("SN-1", other, 4);
        let shown = |knocks: &Knocks| {
            let mut all = merged(knocks.all());
            all.retain(|((_, (_, serial)), _)| serial == "SN-1");
            all.iter().map(|((from, _), came)| (*from, came.times, came.first, came.last)).collect::<Vec<_>>()
        };
        assert_eq!(shown(&knocks), [(other, 4, 1, 4)]);
        (0..1000).for_each(|n| knock(&format!("X-{n}"), other, 5 + n));
        assert_eq!(shown(&knocks), [(one, 3, 1, 3)]);
    }
}
