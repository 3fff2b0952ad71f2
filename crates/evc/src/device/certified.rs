//! How often devices make their certificates anew. Each time is a commit and a line in the log, and who has a device's key makes as many
//! certificates of it as he likes. Kept in memory alone: a controller that starts begins to count anew.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use vault::ids::DeviceId;

use crate::service::NotAdmitted;
use crate::store::UnixSeconds;

/// Counted for so long, in seconds.
const WINDOW_S: u64 = 3600;
/// Most in it of one device, and from one source, which may be a site of many behind one address.
const MOST_OF_DEVICE: u64 = 8;
const MOST_FROM_SOURCE: u64 = 256;
/// Most that are remembered.
const MOST: usize = 8192;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Who {
    Device(DeviceId),
    Source(IpAddr),
}

/// Since when, and how often since.
#[derive(Debug, Clone, Copy)]
struct Count {
    since: UnixSeconds,
    times: u64,
}

/// Those that did.
#[derive(Debug, Default)]
pub struct Certified(Mutex<HashMap<Who, Count>>);

impl Certified {
    /// Counts one; whether it is the device's first in a while, and so to be told.
    ///
    /// # Errors
    /// [`NotAdmitted::TooOften`]: it is not counted, and is to wait.
    pub(crate) fn may(&self, device: DeviceId, from: IpAddr, now: UnixSeconds) -> Result<bool, NotAdmitted> {
        // Whatever panicked, counts are as good as before.
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        make_room(&mut all, now);
        let bounds = [(Who::Device(device), MOST_OF_DEVICE), (Who::Source(from), MOST_FROM_SOURCE)];
        let times = bounds.map(|(who, _)| counted(&all, who, now).times);
        if bounds.iter().zip(times).any(|((_, most), times)| times >= *most) {
            return Err(NotAdmitted::TooOften { within_s: WINDOW_S });
        }
        for (who, _) in bounds {
            let count = counted(&all, who, now);
            all.insert(who, Count { times: count.times + 1, ..count });
        }
        Ok(times[0] == 0)
    }
}

/// As it stands now. One whose window is over, or begins in the future, begins anew.
fn counted(all: &HashMap<Who, Count>, who: Who, now: UnixSeconds) -> Count {
    let count = all.get(&who).filter(|count| now.abs_diff(count.since) < WINDOW_S);
    count.copied().unwrap_or(Count { since: now, times: 0 })
}

fn make_room(all: &mut HashMap<Who, Count>, now: UnixSeconds) {
    if all.len() + 2 > MOST {
        all.retain(|_, count| now.abs_diff(count.since) < WINDOW_S);
    }
    if all.len() + 2 > MOST {
        all.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// TH-7: neither one key nor one address makes the controller write without end; others go on, and so do these in the next hour.
    #[test]
    fn a_device_and_a_source_make_so_many_certificates_anew_and_no_more() {
        let (certified, address) = (Certified::default(), |n: u8| IpAddr::from([192, 0, 2, n]));
        let device = |n: u128| DeviceId(uuid::Uuid::from_u128(n));
        let told: Vec<_> = (0..9).map(|n| certified.may(device(1), address(n), 100).ok()).collect();
        assert_eq!(told[..2], [Some(true), Some(false)], "told once");
        assert_eq!((told[7], told[8]), (Some(false), None), "eight in an hour");
        assert!(certified.may(device(1), address(1), 100 + WINDOW_S - 1).is_err());
        assert_eq!(certified.may(device(1), address(1), 100 + WINDOW_S), Ok(true), "the next hour");
        assert_eq!(certified.may(device(2), address(1), 100), Ok(true), "another device");
        let from_one = (10..400).filter(|n| certified.may(device(*n), address(77), 100).is_ok()).count();
        assert_eq!(from_one as u64, MOST_FROM_SOURCE);
        assert!(certified.may(device(10), address(78), 100).is_ok(), "from another one");
        for n in 0..20_000_u32 {
            let from = IpAddr::from(n.to_be_bytes());
            assert!(certified.may(device(1000 + u128::from(n)), from, 100).is_ok());
        }
        assert!(certified.0.lock().expect("there").len() <= MOST, "bounded");
    }
}
