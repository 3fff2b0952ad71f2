//! Who wanted to register and may not: so that an operator sees a device that waits, and types no serial by hand. Anybody can say any serial, so
//! it is kept in memory alone, bounded, and what one source says takes no place from the others'.

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

#[derive(Debug, Clone)]
struct Came {
    from: IpAddr,
    times: u64,
    first: UnixSeconds,
    last: UnixSeconds,
}

/// Those who knocked.
#[derive(Debug, Default)]
pub struct Knocks(Mutex<HashMap<Who, Came>>);

impl Knocks {
    /// Remembers a registration that was refused since its serial is not allowed; all others are told in the log alone.
    pub(crate) fn heard(&self, certificate: [u8; 32], from: IpAddr, refused: &Refusal, now: UnixSeconds) {
        let Refusal::NotAdmitted(NotAdmitted::Serial { serial }) = refused else { return };
        let mut all = self.held();
        let who = (certificate, serial.clone());
        if let Some(came) = all.get_mut(&who) {
            (came.from, came.last, came.times) = (from, now, came.times.saturating_add(1));
            return;
        }
        make_room(&mut all, from);
        all.insert(who, Came { from, times: 1, first: now, last: now });
    }

    fn all(&self) -> Vec<(Who, Came)> {
        self.held().iter().map(|(who, came)| (who.clone(), came.clone())).collect()
    }

    fn held(&self) -> MutexGuard<'_, HashMap<Who, Came>> {
        // Whatever panicked, a list of strangers is as good as before.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The one that came longest ago goes: of this source where it has its share, else of all.
fn make_room(all: &mut HashMap<Who, Came>, from: IpAddr) {
    let of_source = all.values().filter(|came| came.from == from).count();
    if of_source < MOST_OF_SOURCE && all.len() < MOST {
        return;
    }
    let may_go = |came: &Came| of_source < MOST_OF_SOURCE || came.from == from;
    let oldest = all.iter().filter(|(_, came)| may_go(came)).min_by_key(|(_, came)| came.last);
    if let Some(who) = oldest.map(|(who, _)| who.clone()) {
        all.remove(&who);
    }
}

impl Operator {
    /// Those who wanted to register and still may not, the last first.
    ///
    /// # Errors
    /// [`Refusal`] of the store's.
    pub async fn knocks(&self, now: UnixSeconds) -> Result<Vec<Knock>, Refusal> {
        let came = self.knocks.all();
        let mut waiting = self.store.read(|tx| Box::pin(not_allowed(tx, &self.project, &came))).await?;
        waiting.sort_by_key(|(_, came)| std::cmp::Reverse(came.last));
        Ok(waiting.into_iter().map(|(who, came)| shown(who, &came, now)).collect())
    }
}

/// Who was allowed since is not waiting for an operator any more.
async fn not_allowed(
    tx: &mut dyn Tx,
    project: &Project,
    all: &[(Who, Came)],
) -> Result<Vec<(Who, Came)>, Refusal> {
    let mut waiting = Vec::new();
    for (who, came) in all {
        let own = tx.onboarding(&who.0, &who.1).await?;
        let any = tx.onboarding(&who.0, ANY).await?;
        if own.or(any).is_none_or(|row| row.project != *project) {
            waiting.push((who.clone(), came.clone()));
        }
    }
    Ok(waiting)
}

fn shown((certificate, serial): Who, came: &Came, now: UnixSeconds) -> Knock {
    Knock {
        serial,
        certificate: hex::encode(certificate),
        from: came.from,
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
        assert!(all.iter().any(|((_, serial), _)| serial == "SN-1"));
        for source in 3..=255 {
            (0..10).for_each(|n| knock(&format!("Y-{source}-{n}"), address(source), 20_000 + n));
        }
        assert_eq!(knocks.all().len(), MOST, "bounded");
        knocks.heard([7; 32], address(1), &NotAdmitted::OthersSerial.into(), 1);
        assert_eq!(knocks.all().len(), MOST, "what is no unknown serial is not one that waits");
    }
}
