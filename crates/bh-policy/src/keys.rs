//! The credentials of a provider: which one a call uses, and what its answer teaches about it.
//!
//! A 429 cools the key *for that target*, because providers count per model: one model's limit must not shut out the
//! others. A refused credential or an empty account concerns the key everywhere.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bh_base::Millis;

use crate::bucket::Bucket;
use crate::config::KeyConfig;
use crate::draw::Draws;
use crate::limits::{
    COOLING_MS_FIRST, COOLING_MS_GUESS_MAX, COOLING_MS_MAX, QUARANTINE_MS_FIRST, QUARANTINE_MS_MAX, QUOTA_REST_MS,
};
use crate::plan::Why;

/// A set of keys by their index; [`KEYS_PER_PROVIDER_MAX`](crate::limits::KEYS_PER_PROVIDER_MAX) fits its bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct KeySet(u64);

impl KeySet {
    pub(crate) const fn insert(&mut self, index: usize) {
        self.0 |= 1 << index;
    }

    pub(crate) const fn contains(self, index: usize) -> bool {
        self.0 >> index & 1 == 1
    }

    pub(crate) const fn without(self, other: KeySet) -> KeySet {
        KeySet(self.0 & !other.0)
    }

    pub(crate) const fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub(crate) const fn len(self) -> u32 {
        self.0.count_ones()
    }
}

/// One key of a provider as configured, with the record that outlives the configuration.
#[derive(Clone, Debug)]
pub(crate) struct Key {
    pub(crate) id: Arc<str>,
    pub(crate) weight: u32,
    /// Of the secret that this configuration has, which may be an older one than the record is about.
    pub(crate) fingerprint: u64,
    pub(crate) record: Arc<KeyRecord>,
}

/// What is known of a key, whichever target it is used for.
#[derive(Debug, Default)]
pub(crate) struct KeyRecord {
    record: Mutex<Record>,
    /// Whether the record holds anything back or counts anything. Most keys do not, and then nobody needs the lock.
    speaks: AtomicBool,
}

#[derive(Debug, Default)]
struct Record {
    fingerprint: Option<u64>,
    quarantine: Option<Quarantine>,
    rest_until: Millis,
    requests: Option<Bucket>,
    tokens: Option<Bucket>,
}

#[derive(Clone, Copy, Debug)]
struct Quarantine {
    until: Millis,
    span_ms: u64,
    probing: bool,
}

/// Why a key cannot be used now, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unready {
    pub(crate) why: Why,
    pub(crate) ready_in: Millis,
}

impl KeyRecord {
    /// Takes over a configuration. A new secret starts with a clean record; the same one keeps it.
    pub(crate) fn configure(&self, config: &KeyConfig, now: Millis) {
        let mut record = self.lock();
        if record.fingerprint != Some(config.fingerprint) {
            *record = Record { fingerprint: Some(config.fingerprint), ..Record::default() };
        }
        set_rate(&mut record.requests, config.rpm, now);
        set_rate(&mut record.tokens, config.tpm, now);
        self.note(&record);
    }

    /// Whether the key can make a call of about `tokens` tokens.
    pub(crate) fn look(&self, tokens: u64, now: Millis) -> Result<(), Unready> {
        if self.is_silent() { Ok(()) } else { self.lock().look(tokens, now) }
    }

    /// The same, and takes the call's share. Returns whether the call is the probe of a quarantined key.
    fn take(&self, tokens: u64, now: Millis) -> Result<bool, Unready> {
        if self.is_silent() {
            return Ok(false);
        }
        let mut record = self.lock();
        record.look(tokens, now)?;
        if let Some(bucket) = &mut record.requests {
            bucket.take(1, now);
        }
        if let Some(bucket) = &mut record.tokens {
            bucket.take(tokens, now);
        }
        Ok(record.quarantine.as_mut().is_some_and(|quarantine| {
            quarantine.probing = true;
            true
        }))
    }

    /// Replaces the tokens a call was thought to use by those it did use.
    pub(crate) fn settle_tokens(&self, foreseen: u64, used: u64, now: Millis) {
        if self.is_silent() {
            return;
        }
        if let Some(bucket) = &mut self.lock().tokens {
            if used <= foreseen {
                bucket.give_back(foreseen - used);
            } else {
                bucket.take(used - foreseen, now);
            }
        }
    }

    /// Takes back a call that was not made.
    pub(crate) fn untake(&self, tokens: u64) {
        let mut record = self.lock();
        if let Some(bucket) = &mut record.requests {
            bucket.give_back(1);
        }
        if let Some(bucket) = &mut record.tokens {
            bucket.give_back(tokens);
        }
    }

    /// The provider accepted the key. Returns whether that ended a quarantine: only the probe's answer does, since
    /// an older call may have been accepted before the key was refused.
    pub(crate) fn accepted(&self, used: Use) -> bool {
        if !used.probe {
            return false;
        }
        let mut record = self.lock();
        let restored = record.is_meant(used) && record.quarantine.take().is_some();
        self.note(&record);
        restored
    }

    /// The provider refused the key. Returns until when it is out of use, unless that was about an older secret.
    pub(crate) fn refused(&self, used: Use, now: Millis) -> Option<Millis> {
        let mut record = self.lock();
        if !record.is_meant(used) {
            return None;
        }
        let span_ms = match record.quarantine {
            // Calls that were in flight when the first refusal came say nothing new.
            Some(known) if !used.probe => return Some(known.until),
            Some(known) => known.span_ms.saturating_mul(2).min(QUARANTINE_MS_MAX),
            None => QUARANTINE_MS_FIRST,
        };
        let until = now.plus(Millis(span_ms));
        record.quarantine = Some(Quarantine { until, span_ms, probing: false });
        self.note(&record);
        Some(until)
    }

    /// A probe ended without saying anything about the key.
    pub(crate) fn probe_ended(&self, used: Use) {
        if !used.probe {
            return;
        }
        let mut record = self.lock();
        if record.is_meant(used)
            && let Some(quarantine) = &mut record.quarantine
        {
            quarantine.probing = false;
        }
    }

    /// The account behind the key has nothing left. Returns until when it rests, unless that was an older secret.
    pub(crate) fn exhausted(&self, used: Use, retry_after_ms: Option<u64>, now: Millis) -> Option<Millis> {
        let rest = retry_after_ms.unwrap_or(QUOTA_REST_MS).min(COOLING_MS_MAX);
        let mut record = self.lock();
        if !record.is_meant(used) {
            return None;
        }
        record.rest_until = record.rest_until.max(now.plus(Millis(rest)));
        self.note(&record);
        Some(record.rest_until)
    }

    /// A reader may see this a moment late, as it might have come a moment earlier.
    fn is_silent(&self) -> bool {
        !self.speaks.load(Ordering::Relaxed)
    }

    fn note(&self, record: &Record) {
        let resting = record.rest_until != Millis(0);
        let counting = record.requests.is_some() || record.tokens.is_some();
        self.speaks.store(resting || counting || record.quarantine.is_some(), Ordering::Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, Record> {
        // The record is consistent between any two statements, so a panic elsewhere does not spoil it.
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Record {
    /// Whether a call was made with the secret this record is about.
    fn is_meant(&self, used: Use) -> bool {
        self.fingerprint == Some(used.fingerprint)
    }

    fn look(&self, tokens: u64, now: Millis) -> Result<(), Unready> {
        if let Some(quarantine) = &self.quarantine
            && (quarantine.probing || now < quarantine.until)
        {
            let ready_in = quarantine.until.since(now).max(Millis(crate::limits::RETRY_AFTER_MS_DEFAULT));
            return Err(Unready { why: Why::KeysQuarantined, ready_in });
        }
        if now < self.rest_until {
            return Err(Unready { why: Why::KeysOutOfQuota, ready_in: self.rest_until.since(now) });
        }
        let wait = |bucket: &Option<Bucket>, amount| bucket.as_ref().map_or(Millis(0), |b| b.wait_for(amount, now));
        let ready_in = wait(&self.requests, 1).max(wait(&self.tokens, tokens));
        if ready_in == Millis(0) { Ok(()) } else { Err(Unready { why: Why::KeysBusy, ready_in }) }
    }
}

fn set_rate(bucket: &mut Option<Bucket>, per_minute: Option<u64>, now: Millis) {
    match (bucket.as_mut(), per_minute) {
        (Some(bucket), Some(rate)) => bucket.set_rate(rate, now),
        (None, Some(rate)) => *bucket = Some(Bucket::full(rate, now)),
        (_, None) => *bucket = None,
    }
}

/// Which keys a target has been told to leave alone, by key id.
#[derive(Debug, Default)]
pub(crate) struct Coolings {
    list: Mutex<Vec<(Arc<str>, Cooling)>>,
    /// Whether the list has any entry, so that most calls need no lock.
    any: AtomicBool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cooling {
    pub(crate) until: Millis,
    /// Whether the provider named the time; otherwise it is our guess, and may be set aside when nothing else is left.
    pub(crate) asked: bool,
    strikes: u32,
}

impl Coolings {
    pub(crate) fn of(&self, key: &str, now: Millis) -> Option<Cooling> {
        if !self.any.load(Ordering::Relaxed) {
            return None;
        }
        self.lock().iter().find(|(id, _)| **id == *key).map(|(_, cooling)| *cooling).filter(|c| now < c.until)
    }

    /// A 429: the provider's own time wins, else a doubling guess. Returns until when the key cools.
    pub(crate) fn throttled(&self, key: &Arc<str>, retry_after_ms: Option<u64>, now: Millis) -> Millis {
        let mut list = self.lock();
        let place = list.iter().position(|(id, _)| id == key).unwrap_or_else(|| {
            list.push((Arc::clone(key), Cooling { until: Millis(0), asked: false, strikes: 0 }));
            self.any.store(true, Ordering::Relaxed);
            list.len() - 1
        });
        let cooling = &mut list[place].1;
        let guess = COOLING_MS_FIRST.saturating_mul(1 << cooling.strikes.min(16)).min(COOLING_MS_GUESS_MAX);
        let until = now.plus(Millis(retry_after_ms.unwrap_or(guess).min(COOLING_MS_MAX)));
        // Answers to calls made before the first 429 must not double the guess once each.
        if cooling.until <= now {
            cooling.strikes += 1;
        }
        if cooling.until < until {
            (cooling.until, cooling.asked) = (until, retry_after_ms.is_some());
        }
        cooling.until
    }

    pub(crate) fn accepted(&self, key: &str) {
        if self.any.load(Ordering::Relaxed) {
            let mut list = self.lock();
            list.retain(|(id, _)| **id != *key);
            self.any.store(!list.is_empty(), Ordering::Relaxed);
        }
    }

    pub(crate) fn is_empty(&self, now: Millis) -> bool {
        self.lock().iter().all(|(_, cooling)| cooling.until <= now)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<(Arc<str>, Cooling)>> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Which keys can be used for one target now.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Survey {
    /// Ready.
    pub(crate) ready: KeySet,
    /// Held back by nothing but our own guess.
    pub(crate) guessed: KeySet,
    /// When none is ready: the one that will be first.
    pub(crate) first: Unready,
}

/// Looks at every key, changing nothing.
pub(crate) fn survey(keys: &[Key], coolings: &Coolings, tokens: u64, now: Millis) -> Survey {
    let (mut ready, mut guessed) = (KeySet::default(), KeySet::default());
    let mut first: Option<Unready> = None;
    for (index, key) in keys.iter().enumerate().filter(|(_, key)| key.weight != 0) {
        let unready = match (key.record.look(tokens, now), coolings.of(&key.id, now)) {
            (Err(unready), _) => unready,
            (Ok(()), Some(cooling)) => {
                if !cooling.asked {
                    guessed.insert(index);
                }
                Unready { why: Why::KeysCooling, ready_in: cooling.until.since(now) }
            }
            (Ok(()), None) => {
                ready.insert(index);
                continue;
            }
        };
        if first.is_none_or(|known| unready.ready_in < known.ready_in) {
            first = Some(unready);
        }
    }
    let none = Unready { why: Why::KeysBusy, ready_in: Millis(crate::limits::RETRY_AFTER_MS_DEFAULT) };
    Survey { ready, guessed, first: first.unwrap_or(none) }
}

/// What a call needs of a key.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wish {
    pub(crate) tokens: u64,
    /// Keys that already failed in this chain on this target.
    pub(crate) except: KeySet,
    /// Whether a key that only our own guess holds back will do when no other is ready.
    pub(crate) despite_guess: bool,
}

/// One use of a key: with which secret, and whether it is the probe of a quarantined key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Use {
    fingerprint: u64,
    probe: bool,
}

/// A key taken for a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Taken {
    pub(crate) index: usize,
    pub(crate) used: Use,
}

/// Chooses by weight among the keys that are ready, and takes the call's share of it.
pub(crate) fn take_key(
    keys: &[Key],
    coolings: &Coolings,
    wish: Wish,
    now: Millis,
    draws: &mut Draws,
) -> Result<Taken, Unready> {
    let found = survey(keys, coolings, wish.tokens, now);
    let mut open = found.ready.without(wish.except);
    if open.is_empty() && wish.despite_guess {
        open = found.guessed.without(wish.except);
    }
    loop {
        let weight = |(index, key): (usize, &Key)| if open.contains(index) { u64::from(key.weight) } else { 0 };
        let Some(index) = draws.weighted(keys.iter().enumerate().map(weight)) else { return Err(found.first) };
        // Another request may have taken the last of it since the survey: then the next key.
        match keys[index].record.take(wish.tokens, now) {
            Ok(probe) => {
                let fingerprint = keys[index].fingerprint;
                return Ok(Taken { index, used: Use { fingerprint, probe } });
            }
            Err(_) => {
                let mut gone = KeySet::default();
                gone.insert(index);
                open = open.without(gone);
            }
        }
    }
}

#[cfg(test)]
mod tests;
