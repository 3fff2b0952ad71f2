//! How long a connection may take: from the end of an answer (or of the handshake) to the end of the next request's head, and for a request.
//! One timer for the whole life of a connection looks when the next of these times may be over. A timer for each request would be set and
//! taken back by every poll, for nothing; and the first one set wakes whoever waits for the sockets.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::rt::{Read, ReadBufCursor, Write};
use tokio::time::{Instant, Sleep};

/// How long one request may take.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// What a connection does, and since when.
pub(super) struct Pace {
    idle: Duration,
    now: Mutex<Now>,
}

struct Now {
    doing: Doing,
    since: Instant,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Doing {
    /// No head of a request came.
    Rest,
    Work,
    /// The request took too long.
    Late,
}

/// What took too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TooLong {
    /// The head of a request.
    Idle,
    /// A request.
    Request,
}

impl Pace {
    /// Of a connection that may be idle for so long.
    pub(super) fn of(idle: Duration) -> Self {
        Self { idle, now: Mutex::new(Now { doing: Doing::Rest, since: Instant::now() }) }
    }

    /// A request is worked on, until its answer is there.
    pub(super) async fn work<T>(&self, work: impl Future<Output = T>) -> T {
        self.does(Doing::Work);
        let done = work.await;
        self.does(Doing::Rest);
        done
    }

    /// What it comes to; nothing when the request takes too long. Whoever waits for [`Self::too_long`] polls it then.
    pub(super) async fn patiently<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let mut work = pin!(work);
        poll_fn(|cx| {
            if self.now().doing == Doing::Late { Poll::Ready(None) } else { work.as_mut().poll(cx).map(Some) }
        })
        .await
    }

    /// Waits until something took too long. The timer is the same one each time.
    pub(super) async fn too_long(&self, mut timer: Pin<&mut Sleep>) -> TooLong {
        loop {
            timer.as_mut().await;
            let (next, over) = self.looked(Instant::now());
            timer.as_mut().reset(next);
            if let Some(over) = over {
                return over;
            }
        }
    }

    /// What is over, and when to look again: a request that begins right now has its time by then.
    fn looked(&self, at: Instant) -> (Instant, Option<TooLong>) {
        let mut now = self.now();
        let later = at + PATIENCE;
        match now.doing {
            Doing::Rest if at >= now.since + self.idle => (later, Some(TooLong::Idle)),
            Doing::Rest => (later.min(now.since + self.idle), None),
            Doing::Work if at >= now.since + PATIENCE => {
                now.doing = Doing::Late;
                (later, Some(TooLong::Request))
            }
            Doing::Work => (now.since + PATIENCE, None),
            // It was to be told so, and its peer does not let it.
            Doing::Late if at >= now.since + self.idle.max(PATIENCE) + PATIENCE => {
                (later, Some(TooLong::Idle))
            }
            Doing::Late => (later, None),
        }
    }

    /// An answer goes out, and is taken: its reader is slow, and not idle.
    fn wrote(&self) {
        self.now().since = Instant::now();
    }

    fn does(&self, doing: Doing) {
        *self.now() = Now { doing, since: Instant::now() };
    }

    fn now(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection whose pace is known.
pub(super) struct Paced<'p, S> {
    pub(super) stream: S,
    pub(super) pace: &'p Pace,
}

impl<S: Write + Unpin> Paced<'_, S> {
    fn took(&self, written: Poll<std::io::Result<usize>>) -> Poll<std::io::Result<usize>> {
        if let Poll::Ready(Ok(1..)) = written {
            self.pace.wrote();
        }
        written
    }
}

impl<S: Read + Unpin> Read for Paced<'_, S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: ReadBufCursor<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, into)
    }
}

impl<S: Write + Unpin> Write for Paced<'_, S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.took(written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[std::io::IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, parts);
        self.took(written)
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::sleep;

    use super::*;

    const IDLE: Duration = Duration::from_secs(120);

    /// However long the connection was idle before.
    #[tokio::test(start_paused = true)]
    async fn a_request_has_its_time_whenever_it_begins() {
        for idle_s in [0, 1, 29, 31, 59, 100] {
            let (pace, timer) = (Pace::of(IDLE), sleep(PATIENCE));
            let work = async {
                sleep(Duration::from_secs(idle_s)).await;
                let began = Instant::now();
                (pace.work(pace.patiently(std::future::pending::<()>())).await, began.elapsed())
            };
            tokio::pin!(work, timer);
            let (done, took) = loop {
                tokio::select! {
                    told = work.as_mut() => break told,
                    over = pace.too_long(timer.as_mut()) => assert_eq!(over, TooLong::Request, "{idle_s}"),
                }
            };
            assert!(
                done.is_none() && took.abs_diff(PATIENCE) < Duration::from_millis(5),
                "{idle_s}: {took:?}"
            );
        }
    }

    /// A request at work is not idle, and neither is one whose answer is being taken.
    #[tokio::test(start_paused = true)]
    async fn idle_is_who_does_nothing_at_all() {
        let (pace, timer) = (Pace::of(IDLE), sleep(PATIENCE));
        tokio::pin!(timer);
        let began = Instant::now();
        let busy = async {
            pace.work(sleep(PATIENCE / 2)).await;
            for _ in 0..3 {
                sleep(IDLE / 2).await;
                pace.wrote();
            }
            std::future::pending::<()>().await;
        };
        let over = tokio::select! {
            () = busy => unreachable!("it never ends"),
            over = pace.too_long(timer.as_mut()) => over,
        };
        let expected = PATIENCE / 2 + IDLE / 2 * 3 + IDLE;
        assert_eq!(over, TooLong::Idle);
        assert!(began.elapsed().abs_diff(expected) < Duration::from_millis(5), "{:?}", began.elapsed());
    }
}
