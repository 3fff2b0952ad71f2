//! When there is something to do though nothing is heard. It comes however often somebody asks meanwhile: who looks at the vaults all the time keeps
//! no job from being noticed, and no step that failed from being tried again.

use std::time::Instant;

/// The soonest time that was named since it was done last.
#[derive(Debug, Default)]
pub(super) struct Due(Option<Instant>);

impl Due {
    /// It is to be done then, or sooner where that was said before.
    pub(super) fn by(&mut self, then: Option<Instant>) -> Option<Instant> {
        self.0 = self.0.into_iter().chain(then).min();
        self.0
    }

    /// Whether it is to be done now; then it counts as done.
    pub(super) fn take(&mut self, now: Instant) -> bool {
        self.0.take_if(|due| *due <= now).is_some()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// A time that is put off with each question comes all the same.
    #[test]
    fn what_is_put_off_each_time_comes_when_it_was_named_first() {
        let (mut due, begun) = (Due::default(), Instant::now());
        assert!(!due.take(begun), "nothing is to be done");
        let at = |ms| begun + Duration::from_millis(ms);
        for ms in [0, 100, 200, 300, 400] {
            assert_eq!(due.by(Some(at(ms + 500))), Some(at(500)));
            assert!(!due.take(at(ms)));
        }
        assert_eq!(due.by(None), Some(at(500)), "nothing else names a time");
        assert!(due.take(at(500)) && !due.take(at(10_000)), "once");
        assert_eq!(due.by(Some(at(700))), Some(at(700)));
    }
}
