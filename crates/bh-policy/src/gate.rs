//! How many calls a target gets at once: a counter, and a bounded queue in the order of arrival.
//!
//! Waiting is a [`Queued`] future. It needs no runtime: a place that frees is handed to the first that may have it,
//! and its waker is called.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use crate::config::ConcurrencyConfig;

/// The right to be in flight. Dropping it frees the place.
#[derive(Debug)]
#[must_use = "dropping a pass gives the place away"]
pub struct Pass(Arc<Gate>);

/// A place in the queue; becomes a [`Pass`]. Dropping it leaves the queue.
#[derive(Debug)]
#[must_use = "dropping this leaves the queue"]
pub struct Queued {
    gate: Arc<Gate>,
    seat: Arc<Mutex<Seat>>,
}

/// What a gate answers.
#[derive(Debug)]
pub(crate) enum Entry {
    Pass(Pass),
    Queued(Queued),
    Full,
}

#[derive(Debug, Default)]
pub(crate) struct Gate(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    inside: u32,
    queue: VecDeque<(u32, Arc<Mutex<Seat>>)>,
}

/// Where one that queued stands. Locked only after the gate, or alone.
#[derive(Debug)]
enum Seat {
    Waiting(Option<Waker>),
    Admitted,
    Left,
}

impl Gate {
    /// Asks for a place. The limits are the caller's own, since two routes may name one target with different ones.
    pub(crate) fn enter(self: &Arc<Self>, limits: Option<&ConcurrencyConfig>) -> Entry {
        let (max, queue_max) = limits.map_or((u32::MAX, 0), |limits| (limits.max, limits.queue));
        let mut inner = lock(&self.0);
        // Whoever waits could not enter when last a place became free, so nobody is overtaken here.
        if inner.inside < max {
            inner.inside += 1;
            return Entry::Pass(Pass(Arc::clone(self)));
        }
        if usize::try_from(queue_max).unwrap_or(usize::MAX) <= inner.queue.len() {
            return Entry::Full;
        }
        let seat = Arc::new(Mutex::new(Seat::Waiting(None)));
        inner.queue.push_back((max, Arc::clone(&seat)));
        Entry::Queued(Queued { gate: Arc::clone(self), seat })
    }

    pub(crate) fn inside(&self) -> u32 {
        lock(&self.0).inside
    }

    pub(crate) fn waiting(&self) -> usize {
        lock(&self.0).queue.len()
    }

    /// One place is free: hand it to the first in the queue whose own limit allows it.
    fn leave(&self) {
        let mut inner = lock(&self.0);
        inner.inside -= 1;
        let inside = inner.inside;
        let Some(place) = inner.queue.iter().position(|(max, _)| inside < *max) else { return };
        let Some((_, seat)) = inner.queue.remove(place) else { return };
        inner.inside += 1;
        let before = std::mem::replace(&mut *lock(&seat), Seat::Admitted);
        drop(inner);
        if let Seat::Waiting(Some(waker)) = before {
            waker.wake();
        }
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        self.0.leave();
    }
}

impl Future for Queued {
    type Output = Pass;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Pass> {
        let mut seat = lock(&self.seat);
        match &mut *seat {
            Seat::Waiting(waker) => {
                *waker = Some(context.waker().clone());
                Poll::Pending
            }
            Seat::Admitted => {
                *seat = Seat::Left;
                drop(seat);
                Poll::Ready(Pass(Arc::clone(&self.gate)))
            }
            Seat::Left => Poll::Pending,
        }
    }
}

impl Drop for Queued {
    fn drop(&mut self) {
        let mut inner = lock(&self.gate.0);
        let before = std::mem::replace(&mut *lock(&self.seat), Seat::Left);
        match before {
            Seat::Waiting(_) => inner.queue.retain(|(_, seat)| !Arc::ptr_eq(seat, &self.seat)),
            Seat::Admitted => {
                drop(inner);
                self.gate.leave();
            }
            Seat::Left => (),
        }
    }
}

/// The state behind these locks is consistent between any two statements, so a panic elsewhere does not spoil it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(max: u32, queue: u32) -> ConcurrencyConfig {
        ConcurrencyConfig { max, queue }
    }

    fn pass(entry: Entry) -> Pass {
        match entry {
            Entry::Pass(pass) => pass,
            Entry::Queued(_) | Entry::Full => panic!("expected a pass, got {entry:?}"),
        }
    }

    fn queued(entry: Entry) -> Queued {
        match entry {
            Entry::Queued(queued) => queued,
            Entry::Pass(_) | Entry::Full => panic!("expected a place in the queue, got {entry:?}"),
        }
    }

    fn poll(queued: &mut Queued) -> Option<Pass> {
        match Pin::new(queued).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(pass) => Some(pass),
            Poll::Pending => None,
        }
    }

    #[test]
    fn a_free_place_goes_to_the_first_in_the_queue() {
        let (gate, limits) = (Arc::new(Gate::default()), limits(1, 2));
        let first = pass(gate.enter(Some(&limits)));
        let mut second = queued(gate.enter(Some(&limits)));
        let mut third = queued(gate.enter(Some(&limits)));
        assert!(matches!(gate.enter(Some(&limits)), Entry::Full));
        assert!(poll(&mut second).is_none());
        drop(first);
        assert!(poll(&mut third).is_none(), "third must not overtake second");
        let second = poll(&mut second).expect("the place was handed over");
        assert_eq!((gate.inside(), gate.waiting()), (1, 1));
        drop(second);
        drop(poll(&mut third).expect("the place was handed on"));
        assert_eq!((gate.inside(), gate.waiting()), (0, 0));
    }

    #[test]
    fn leaving_the_queue_gives_the_place_to_the_next() {
        let (gate, limits) = (Arc::new(Gate::default()), limits(1, 2));
        let first = pass(gate.enter(Some(&limits)));
        let second = queued(gate.enter(Some(&limits)));
        let mut third = queued(gate.enter(Some(&limits)));
        drop(first);
        // The second was admitted but never looked: its client left meanwhile.
        drop(second);
        drop(poll(&mut third).expect("the place was passed on"));
        assert_eq!((gate.inside(), gate.waiting()), (0, 0));
    }

    #[test]
    fn leaving_before_being_admitted_frees_the_seat() {
        let (gate, limits) = (Arc::new(Gate::default()), limits(1, 1));
        let first = pass(gate.enter(Some(&limits)));
        drop(queued(gate.enter(Some(&limits))));
        assert_eq!((gate.inside(), gate.waiting()), (1, 0));
        drop(first);
        assert_eq!(gate.inside(), 0);
    }

    #[test]
    fn a_waker_is_called_once_the_place_is_free() {
        struct Flag(std::sync::atomic::AtomicU32);
        impl std::task::Wake for Flag {
            fn wake(self: Arc<Self>) {
                self.0.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            }
        }
        let (gate, limits) = (Arc::new(Gate::default()), limits(1, 1));
        let first = pass(gate.enter(Some(&limits)));
        let mut second = queued(gate.enter(Some(&limits)));
        let flag = Arc::new(Flag(std::sync::atomic::AtomicU32::new(0)));
        let waker = Waker::from(Arc::clone(&flag));
        assert!(Pin::new(&mut second).poll(&mut Context::from_waker(&waker)).is_pending());
        drop(first);
        assert_eq!(flag.0.load(std::sync::atomic::Ordering::SeqCst), 1);
        assert!(poll(&mut second).is_some());
    }

    #[test]
    fn a_stricter_limit_in_front_does_not_block_a_wider_one_behind() {
        let gate = Arc::new(Gate::default());
        let (narrow, wide) = (limits(1, 9), limits(2, 9));
        let (one, two) = (pass(gate.enter(Some(&wide))), pass(gate.enter(Some(&wide))));
        let mut strict = queued(gate.enter(Some(&narrow)));
        let mut other = queued(gate.enter(Some(&wide)));
        drop(one);
        assert!(poll(&mut strict).is_none());
        let other = poll(&mut other).expect("its own limit of two allows it");
        drop(two);
        drop(other);
        assert!(poll(&mut strict).is_some());
    }

    #[test]
    fn without_limits_everyone_passes_and_is_counted() {
        let gate = Arc::new(Gate::default());
        let passes: Vec<Pass> = (0..100).map(|_| pass(gate.enter(None))).collect();
        assert_eq!(gate.inside(), 100);
        drop(passes);
        assert_eq!(gate.inside(), 0);
    }
}
