//! Keys by themselves: which is taken, and how long each stays away.

use super::*;

fn config(id: &str, weight: u32) -> KeyConfig {
    KeyConfig { id: id.into(), weight, rpm: None, tpm: None, fingerprint: 1 }
}

fn pool(configs: &[KeyConfig]) -> Vec<Key> {
    let key = |config: &KeyConfig| {
        let record = Arc::new(KeyRecord::default());
        record.configure(config, Millis(0));
        Key { id: config.id.as_str().into(), weight: config.weight, fingerprint: config.fingerprint, record }
    };
    configs.iter().map(key).collect()
}

fn take(keys: &[Key], coolings: &Coolings, now: u64, draw: u64) -> Result<Taken, Unready> {
    let wish = Wish { tokens: 10, except: KeySet::default(), despite_guess: false };
    take_key(keys, coolings, wish, Millis(now), &mut Draws::new(draw))
}

/// A key's index, or why there is none and for how long.
type Expected = Result<usize, (Why, u64)>;

/// Takes at each moment and compares.
#[track_caller]
fn check(keys: &[Key], coolings: &Coolings, expected: &[(u64, Expected)]) {
    for (now, expected) in expected {
        let taken = take(keys, coolings, *now, 1).map(|taken| {
            keys[taken.index].record.untake(10);
            keys[taken.index].record.probe_ended(taken.used);
            taken.index
        });
        let expected = expected.map_err(|(why, ready_in)| Unready { why, ready_in: Millis(ready_in) });
        assert_eq!(taken, expected, "at {now}");
    }
}

#[test]
fn keys_are_taken_by_weight() {
    let keys = pool(&[config("a", 3), config("b", 0), config("c", 1)]);
    let mut seen = [0_u32; 3];
    for draw in 0..8_000 {
        seen[take(&keys, &Coolings::default(), 0, draw).unwrap().index] += 1;
    }
    assert_eq!(seen[1], 0);
    assert!(seen[0].abs_diff(6_000) < 200, "{seen:?}");
}

#[test]
fn a_throttled_key_cools_for_as_long_as_the_provider_says() {
    let (keys, coolings) = (pool(&[config("a", 1)]), Coolings::default());
    assert_eq!(coolings.throttled(&keys[0].id, Some(5_000), Millis(0)), Millis(5_000));
    check(
        &keys,
        &coolings,
        &[(0, Err((Why::KeysCooling, 5_000))), (4_999, Err((Why::KeysCooling, 1))), (5_000, Ok(0))],
    );
    // Another target of the same key is not concerned.
    check(&keys, &Coolings::default(), &[(0, Ok(0))]);
}

#[test]
fn a_guessed_cooling_doubles_only_when_it_was_tried_again_and_ends_with_success() {
    let (keys, coolings) = (pool(&[config("a", 1)]), Coolings::default());
    let until = |now| coolings.throttled(&keys[0].id, None, Millis(now));
    assert_eq!(until(0), Millis(1_000));
    assert_eq!(until(500), Millis(2_500), "a call that was in flight meanwhile");
    assert_eq!(until(999), Millis(2_999), "and another: no strike is added");
    assert_eq!(until(3_000), Millis(5_000));
    assert_eq!(until(5_000), Millis(9_000));
    for _ in 0..20 {
        let now = coolings.of("a", Millis(0)).unwrap().until;
        assert!(until(now.0).since(now) <= Millis(COOLING_MS_GUESS_MAX));
    }
    coolings.accepted("a");
    assert_eq!(until(1_000_000), Millis(1_001_000));
}

#[test]
fn a_lying_retry_after_is_bounded() {
    let (keys, coolings) = (pool(&[config("a", 1)]), Coolings::default());
    assert_eq!(coolings.throttled(&keys[0].id, Some(u64::MAX), Millis(0)), Millis(COOLING_MS_MAX));
}

#[test]
fn only_a_guess_may_be_set_aside() {
    let keys = pool(&[config("a", 1), config("b", 1)]);
    let coolings = Coolings::default();
    coolings.throttled(&keys[0].id, Some(2_000), Millis(0));
    coolings.throttled(&keys[1].id, None, Millis(0));
    let wish = Wish { tokens: 0, except: KeySet::default(), despite_guess: true };
    for draw in 0..50 {
        let taken = take_key(&keys, &coolings, wish, Millis(0), &mut Draws::new(draw)).unwrap();
        assert_eq!(taken.index, 1);
    }
    check(&keys, &coolings, &[(0, Err((Why::KeysCooling, 1_000)))]);
}

#[test]
fn a_refused_key_is_probed_by_one_call_and_stays_away_twice_as_long_when_refused_again() {
    let (keys, coolings) = (pool(&[config("a", 1)]), Coolings::default());
    let first = take(&keys, &coolings, 0, 1).unwrap();
    let second = take(&keys, &coolings, 0, 1).unwrap();
    let record = &keys[0].record;
    assert_eq!(record.refused(first.used, Millis(0)), Some(Millis(60_000)));
    assert_eq!(record.refused(second.used, Millis(5)), Some(Millis(60_000)), "it was in flight");
    assert!(!record.accepted(second.used), "an old call does not lift a quarantine");
    check(&keys, &coolings, &[(59_000, Err((Why::KeysQuarantined, 1_000)))]);
    let probe = take(&keys, &coolings, 60_000, 1).unwrap();
    check(&keys, &coolings, &[(60_000, Err((Why::KeysQuarantined, 1_000)))]);
    assert_eq!(record.refused(probe.used, Millis(60_000)), Some(Millis(180_000)));
    let probe = take(&keys, &coolings, 180_000, 1).unwrap();
    assert!(record.accepted(probe.used));
    check(&keys, &coolings, &[(180_000, Ok(0))]);
}

#[test]
fn a_probe_that_taught_nothing_makes_room_for_the_next() {
    let (keys, coolings) = (pool(&[config("a", 1)]), Coolings::default());
    let used = take(&keys, &coolings, 0, 1).unwrap().used;
    keys[0].record.refused(used, Millis(0));
    let probe = take(&keys, &coolings, 60_000, 1).unwrap();
    keys[0].record.probe_ended(probe.used);
    assert!(take(&keys, &coolings, 60_000, 1).is_ok());
}

#[test]
fn a_new_secret_starts_anew_and_what_the_old_one_did_is_not_held_against_it() {
    let (keys, coolings) = (pool(&[config("a", 1)]), Coolings::default());
    let old = take(&keys, &coolings, 0, 1).unwrap();
    keys[0].record.refused(old.used, Millis(0));
    keys[0].record.configure(&config("a", 1), Millis(0));
    check(&keys, &coolings, &[(0, Err((Why::KeysQuarantined, 60_000)))]);
    keys[0].record.configure(&KeyConfig { fingerprint: 2, ..config("a", 1) }, Millis(0));
    check(&keys, &coolings, &[(0, Ok(0))]);
    assert_eq!(keys[0].record.refused(old.used, Millis(1)), None);
    assert_eq!(keys[0].record.exhausted(old.used, None, Millis(1)), None);
    check(&keys, &coolings, &[(1, Ok(0))]);
}

#[test]
fn an_empty_account_rests_for_every_target() {
    let keys = pool(&[config("a", 1)]);
    let used = take(&keys, &Coolings::default(), 0, 1).unwrap().used;
    assert_eq!(keys[0].record.exhausted(used, None, Millis(0)), Some(Millis(QUOTA_REST_MS)));
    check(&keys, &Coolings::default(), &[(0, Err((Why::KeysOutOfQuota, QUOTA_REST_MS))), (QUOTA_REST_MS, Ok(0))]);
}

#[test]
fn a_key_keeps_to_its_own_requests_and_tokens_per_minute() {
    let keys = pool(&[KeyConfig { rpm: Some(2), ..config("a", 1) }, KeyConfig { tpm: Some(25), ..config("b", 1) }]);
    let coolings = Coolings::default();
    let mut taken = [0, 0];
    for draw in 0..4 {
        taken[take(&keys, &coolings, 0, draw).unwrap().index] += 1;
    }
    assert_eq!(taken, [2, 2], "two requests of one, two times ten tokens of the other");
    // The first to be ready again is b: it misses 5 of 25 tokens a minute, a misses one of 2 requests.
    assert_eq!(take(&keys, &coolings, 0, 1), Err(Unready { why: Why::KeysBusy, ready_in: Millis(12_000) }));
    keys[1].record.settle_tokens(10, 2, Millis(0));
    assert_eq!(take(&keys, &coolings, 0, 1).unwrap().index, 1, "unused tokens came back");
}

#[test]
fn more_tokens_than_foreseen_are_paid_back_first() {
    let keys = pool(&[KeyConfig { tpm: Some(60), ..config("a", 1) }]);
    let coolings = Coolings::default();
    take(&keys, &coolings, 0, 1).unwrap();
    keys[0].record.settle_tokens(10, 70, Millis(0));
    check(&keys, &coolings, &[(0, Err((Why::KeysBusy, 20_000))), (20_000, Ok(0))]);
}
