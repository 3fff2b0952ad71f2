//! A future that wakes itself while it is polled is polled again at once. Whoever reads a body, and what brings it, are one task here, and wake
//! each other for each request. To the runtime that is a task to be run again, and so one more thread to be woken for it: that costs
//! more than what there is left to do.

use std::pin::pin;
use std::sync::atomic::AtomicU8;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Release};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

/// So often in a row. Then others have their turn: who has no more to do in this turn wakes itself too.
const MOST: usize = 4;

/// Nobody polls, and nobody woke.
const REST: u8 = 0;
/// It is polled.
const POLLED: u8 = 1;
/// It was woken since it was last polled.
const WOKEN: u8 = 2;

/// What is woken, and passes it on to the task that is waiting.
struct Bell {
    state: AtomicU8,
    task: Mutex<Option<Waker>>,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // Whoever polls sees it by itself; and who was woken is not woken again.
        if self.state.swap(WOKEN, AcqRel) == REST {
            self.pass_on();
        }
    }
}

impl Bell {
    fn pass_on(&self) {
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(task) = task {
            task.wake();
        }
    }

    fn is_of(&self, task: &Waker) {
        let mut known = self.task.lock().unwrap_or_else(PoisonError::into_inner);
        if !known.as_ref().is_some_and(|known| known.will_wake(task)) {
            *known = Some(task.clone());
        }
    }

    /// Whether it was not woken since it began to be polled.
    fn comes_to_rest(&self) -> bool {
        self.state.compare_exchange(POLLED, REST, AcqRel, Acquire).is_ok()
    }

    fn poll<T>(&self, mut once: impl FnMut() -> Poll<T>) -> Poll<T> {
        for _ in 0..MOST {
            self.state.store(POLLED, Release);
            let polled = once();
            if polled.is_ready() || self.comes_to_rest() {
                return polled;
            }
        }
        // Still woken: nobody else passes that on.
        self.pass_on();
        Poll::Pending
    }
}

/// The same future.
pub(super) async fn at_once<F: Future>(work: F) -> F::Output {
    let bell = Arc::new(Bell { state: AtomicU8::new(REST), task: Mutex::default() });
    let waker = Waker::from(Arc::clone(&bell));
    let mut work = pin!(work);
    std::future::poll_fn(|cx| {
        bell.is_of(cx.waker());
        bell.poll(|| work.as_mut().poll(&mut Context::from_waker(&waker)))
    })
    .await
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

    use super::*;

    /// Counts how often the task is woken.
    #[derive(Default)]
    struct Task(AtomicUsize);

    impl Wake for Task {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, SeqCst);
        }
    }

    /// What one poll of a future that wakes itself so often came to, how often it was polled for that, and how often its task was woken.
    fn polled(wakes: usize) -> (bool, usize, usize) {
        let (task, polls) = (Arc::new(Task::default()), AtomicUsize::new(0));
        let work = pin!(at_once(poll_fn(|cx| match polls.fetch_add(1, SeqCst) {
            n if n == wakes => Poll::Ready(()),
            _ => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
        })));
        let is_ready = work.poll(&mut Context::from_waker(&task.clone().into())).is_ready();
        (is_ready, polls.load(SeqCst), task.0.load(SeqCst))
    }

    #[test]
    fn who_wakes_itself_goes_on_at_once_and_not_for_ever() {
        assert_eq!(polled(0), (true, 1, 0));
        assert_eq!(polled(MOST - 1), (true, MOST, 0), "nobody else was woken for it");
        assert_eq!(polled(usize::MAX), (false, MOST, 1), "the others' turn, and then its own again");
    }

    /// Threats, Controller: no wake is lost, whenever it comes.
    #[test]
    fn who_is_woken_by_others_is_polled_again() {
        let (task, waker) = (Arc::new(Task::default()), Mutex::new(None::<Waker>));
        let mut work = pin!(at_once(poll_fn(|cx| -> Poll<()> {
            *waker.lock().expect("held") = Some(cx.waker().clone());
            Poll::Pending
        })));
        for round in 1..4 {
            assert!(work.as_mut().poll(&mut Context::from_waker(&task.clone().into())).is_pending());
            let waker = waker.lock().expect("held").take().expect("it waits");
            (0..3).for_each(|_| waker.wake_by_ref());
            assert_eq!(task.0.load(SeqCst), round, "once for each time that it waits");
        }
    }
}
