//! The bounded queue before the spool's writer. Callers pay for a push and seldom for a wake-up: the writer is woken
//! for the first record, then lets others gather until there are enough or the oldest has waited long enough.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bh_audit::{Lost, RecordBody};
use bh_base::Millis;
use tokio::sync::oneshot;

use crate::spool::{Receipt, SpoolFault};

/// Records that make a group worth writing at once.
pub(crate) const GROUP_RECORDS: usize = 64;
/// Records written with one sync at most.
pub(crate) const GROUP_RECORDS_MAX: usize = 512;
/// Longest wait of a record for others.
pub(crate) const GROUP_WAIT: Duration = Duration::from_millis(10);
/// How long a failing disk is left alone before it is tried again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Who is told when a record is on disk.
pub(crate) type Waiter = oneshot::Sender<Result<Receipt, SpoolFault>>;

/// Something queued.
pub(crate) struct Item {
    pub(crate) now: Millis,
    /// Nothing: a barrier that only tells its waiter when everything before it is on disk.
    pub(crate) body: Option<RecordBody>,
    pub(crate) waiter: Option<Waiter>,
}

/// What the writer is to do next.
pub(crate) enum Work {
    /// Write these, and a Gap if anything was lost.
    Group(Vec<Item>, Option<Lost>),
    /// The disk was left alone for a while: try again. The time is the latest a caller brought.
    Retry(Millis),
    /// Everything is written: end the epoch at this time, or just stop.
    End(Option<Millis>),
}

pub(crate) struct Queue {
    inner: Mutex<Inner>,
    wake: Condvar,
    records_max: usize,
}

struct Inner {
    items: VecDeque<Item>,
    lost: Lost,
    /// Somebody waits for a record that is in the queue.
    urgent: bool,
    /// The writer sleeps until there is anything at all.
    idle: bool,
    /// The writer lets records gather.
    gathering: bool,
    /// The disk fails: nobody is promised anything.
    failing: Option<SpoolFault>,
    end: Option<Option<Millis>>,
    /// The latest time a caller brought, refused ones included.
    now: Millis,
}

impl Queue {
    pub(crate) fn new(records_max: usize) -> Self {
        let inner = Inner {
            items: VecDeque::with_capacity(GROUP_RECORDS_MAX.min(records_max)),
            lost: Lost::default(),
            urgent: false,
            idle: false,
            gathering: false,
            failing: None,
            end: None,
            now: Millis(0),
        };
        Queue { inner: Mutex::new(inner), wake: Condvar::new(), records_max }
    }

    /// Queues an item. `room` slots are left to others. What is refused is counted and becomes part of a Gap when
    /// `count_lost` says so.
    pub(crate) fn push(&self, item: Item, room: usize, count_lost: bool) -> Result<(), SpoolFault> {
        let mut inner = self.lock();
        inner.now = inner.now.max(item.now);
        let fault = if inner.end.is_some() {
            Some(SpoolFault::Closed)
        } else if self.records_max.saturating_sub(room) <= inner.items.len() {
            Some(SpoolFault::Overloaded)
        } else {
            // What nobody waits for can wait for the disk.
            inner.failing.filter(|_| item.waiter.is_some())
        };
        if let Some(fault) = fault {
            if count_lost && fault != SpoolFault::Closed {
                inner.count_lost(&item);
            }
            return Err(fault);
        }
        inner.urgent |= item.waiter.is_some();
        inner.items.push_back(item);
        let enough = inner.urgent || GROUP_RECORDS <= inner.items.len();
        let wakes = inner.idle || (inner.gathering && enough);
        if wakes {
            (inner.idle, inner.gathering) = (false, false);
        }
        drop(inner);
        if wakes {
            self.wake.notify_one();
        }
        Ok(())
    }

    /// Waits for work. While the disk fails, only time or the end is waited for.
    pub(crate) fn take(&self) -> Work {
        let mut inner = self.lock();
        if inner.failing.is_some() {
            if inner.end.is_none() {
                inner = self.wait(inner, RETRY_AFTER);
            }
            return match inner.end {
                Some(end) => Work::End(end),
                None => Work::Retry(inner.now),
            };
        }
        let mut gathering_until = None;
        loop {
            let something = !inner.items.is_empty() || 0 < inner.lost.total();
            if !something {
                if let Some(end) = inner.end {
                    return Work::End(end);
                }
                inner.idle = true;
                inner = self.wake.wait(inner).unwrap_or_else(PoisonError::into_inner);
                inner.idle = false;
                continue;
            }
            let now = Instant::now();
            let until = *gathering_until.get_or_insert(now + GROUP_WAIT);
            if inner.urgent || GROUP_RECORDS <= inner.items.len() || inner.end.is_some() || until <= now {
                return inner.group();
            }
            inner.gathering = true;
            inner = self.wait(inner, until - now);
            inner.gathering = false;
        }
    }

    /// From now on nobody is promised anything: who waits is told so, an Admit that is waited for never happened, and
    /// the rest waits for the disk as long as there is room.
    pub(crate) fn fail(&self, fault: SpoolFault) {
        let mut inner = self.lock();
        inner.failing = Some(fault);
        inner.urgent = false;
        let mut waiters = Vec::new();
        let queued = std::mem::take(&mut inner.items);
        for mut item in queued {
            let is_promise = item.body.as_ref().is_none_or(|body| matches!(body, RecordBody::Admit(_)));
            let waiter = item.waiter.take();
            if waiter.is_none() || !is_promise {
                inner.items.push_back(item);
            }
            waiters.extend(waiter);
        }
        drop(inner);
        for waiter in waiters {
            tell(waiter, Err(fault));
        }
    }

    /// The disk works again.
    pub(crate) fn recover(&self) {
        self.lock().failing = None;
    }

    /// Whether the disk fails, and how.
    pub(crate) fn failing(&self) -> Option<SpoolFault> {
        self.lock().failing
    }

    /// No more items: the writer ends after what is queued.
    pub(crate) fn end(&self, close_at: Option<Millis>) {
        let mut inner = self.lock();
        inner.end.get_or_insert(close_at);
        drop(inner);
        self.wake.notify_one();
    }

    fn wait<'a>(&self, inner: MutexGuard<'a, Inner>, timeout: Duration) -> MutexGuard<'a, Inner> {
        self.wake.wait_timeout(inner, timeout).unwrap_or_else(PoisonError::into_inner).0
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn group(&mut self) -> Work {
        let count = GROUP_RECORDS_MAX.min(self.items.len());
        let items = self.items.drain(..count).collect();
        self.urgent = self.items.iter().any(|item| item.waiter.is_some());
        // What was lost was lost behind everything that is queued, so it is said once all of that is taken.
        let said = self.items.is_empty() && 0 < self.lost.total();
        Work::Group(items, said.then(|| std::mem::take(&mut self.lost)))
    }

    fn count_lost(&mut self, item: &Item) {
        let Some(body) = &item.body else {
            return;
        };
        let lost = &mut self.lost;
        if lost.total() == 0 {
            lost.first_ms = item.now.0;
        }
        lost.last_ms = lost.last_ms.max(item.now.0);
        let counter = match body {
            RecordBody::Admit(_) => &mut lost.admits,
            RecordBody::Settle(_) => &mut lost.settles,
            RecordBody::Deny(_) => &mut lost.denies,
            RecordBody::ConfigSeen(_) | RecordBody::KeySetSeen(_) | RecordBody::AdminAction(_) => &mut lost.others,
        };
        *counter += 1;
    }
}

/// Tells a waiter, who may have gone.
pub(crate) fn tell(waiter: Waiter, result: Result<Receipt, SpoolFault>) {
    if waiter.send(result).is_err() {
        tracing::trace!("nobody waits for this audit record any more");
    }
}
