//! Token chains: every link's budgets and limits are charged together.

use bh_base::{NanoUsd, Window};
use bh_ledger::{Caller, Config, Limits, Link, Refusal, Tokens};
use proptest::prelude::*;

use crate::world::*;

/// A child of the token with id 0, with a budget of its own.
fn sibling(parent: u64, child: u8, own: u64) -> Caller {
    let root = link(0, &[token_budget(parent, Window::Total)]);
    chain("ann", &[root, link(child, &[token_budget(own, Window::Day)])])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn fifty_siblings_never_spend_more_than_their_parents_budget(
        parent in 1_u64..500,
        own in 1_u64..100,
        calls in proptest::collection::vec((1_u8..=50, 1_u64..40, 0_u64..=100, any::<bool>()), 1..400),
    ) {
        let ledger = ledger(&Config::default());
        let (mut served, mut per_child) = (0, [0_u64; 51]);
        let mut open = Vec::new();
        for (child, bound, percent, settle_now) in calls {
            match reserve(&ledger, NOON, &sibling(parent, child, own), bound) {
                Ok(hold) => {
                    let cost = bound * percent / 100;
                    served += cost;
                    per_child[usize::from(child)] += cost;
                    open.push((hold, cost));
                }
                Err(Refusal::Exhausted(_)) => (),
                Err(other) => panic!("{other:?}"),
            }
            prop_assert!(served <= parent);
            prop_assert!(per_child.iter().all(|spent| *spent <= own));
            if settle_now && let Some((hold, cost)) = open.pop() {
                prop_assert!(!hold.settle(NOON, NanoUsd(cost)).overcharged);
            }
        }
        for (hold, cost) in open {
            prop_assert!(!hold.settle(NOON, NanoUsd(cost)).overcharged);
        }
        let total: u64 = ledger.accounts().iter().filter(|view| view.key.window == Window::Total).map(|v| v.spent.0).sum();
        prop_assert_eq!(total, served);
        prop_assert!(ledger.accounts().iter().all(|view| view.held == NanoUsd::ZERO));
    }
}

#[test]
fn the_youngest_link_refuses_first_and_every_ancestor_is_charged() {
    let links = [
        link(1, &[token_budget(100, Window::Total)]),
        link(2, &[token_budget(20, Window::Total)]),
        link(3, &[token_budget(10, Window::Total), token_budget(30, Window::Month)]),
    ];
    let ledger = ledger(&Config::default());
    let caller = chain("ann", &links);
    spend(&ledger, NOON, &caller, 10);
    assert!(exhausted(reserve(&ledger, NOON, &caller, 1)).starts_with("token:0303"));
    spend(&ledger, NOON, &chain("ann", &links[..2]), 10);
    assert!(exhausted(reserve(&ledger, NOON, &chain("ann", &links[..2]), 1)).starts_with("token:0202"));
    for (start, spent) in [("token:0101", 20), ("token:0202", 20)] {
        assert_eq!(spent_held(&ledger, start), (spent, 0));
    }
}

#[test]
fn a_token_may_warn_at_one_figure_and_block_at_another() {
    let mut line = token_budget(5, Window::Day);
    line.mode = bh_base::BudgetMode::Soft;
    let caller = chain("ann", &[link(1, &[line, token_budget(20, Window::Day)])]);
    let ledger = ledger(&Config::default());
    assert!(matches!(reserve(&ledger, NOON, &caller, 21), Err(Refusal::Exhausted(numbers)) if numbers.limit.0 == 20));
    spend(&ledger, NOON, &caller, 5);
    assert!(matches!(reserve(&ledger, NOON, &caller, 1), Err(Refusal::Exhausted(numbers)) if numbers.limit.0 == 5));
}

#[test]
fn configured_and_claimed_budgets_of_one_token_both_bind() {
    let caller = chain("ann", &[link(1, &[token_budget(50, Window::Day)])]);
    let ledger = ledger(&budgets(&[hard("token:*", 20, Window::Day)]));
    spend(&ledger, NOON, &caller, 20);
    assert!(exhausted(reserve(&ledger, NOON, &caller, 1)).starts_with("token:0101"));
}

fn reissue(id: u8, limit: u64) -> Link {
    Link { budget_id: Some("agents".to_owned()), ..link(id, &[token_budget(limit, Window::Total)]) }
}

#[test]
fn reissues_share_a_counter_by_budget_id() {
    let ledger = ledger(&Config::default());
    spend(&ledger, NOON, &chain("ann", &[reissue(1, 10)]), 6);
    assert!(exhausted(reserve(&ledger, NOON, &chain("ann", &[reissue(2, 10)]), 5)).contains("agents"));
    spend(&ledger, NOON, &chain("ann", &[reissue(2, 10)]), 4);
}

#[test]
fn a_reissue_with_another_limit_is_refused_and_changes_nothing() {
    let ledger = ledger(&Config::default());
    spend(&ledger, NOON, &chain("ann", &[reissue(1, 10)]), 6);
    match reserve(&ledger, NOON, &chain("ann", &[reissue(2, 1_000)]), 1) {
        Err(Refusal::Misconfigured { known, claimed, .. }) => {
            assert_eq!((known, claimed), (NanoUsd(10), NanoUsd(1_000)));
        }
        other => panic!("{other:?}"),
    }
    spend(&ledger, NOON, &chain("ann", &[reissue(1, 10)]), 4);
}

#[test]
fn siblings_share_the_rates_of_their_parent() {
    let mut root = link(1, &[]);
    root.limits = Limits { rpm: Some(3), ..Limits::default() };
    let ledger = ledger(&Config::default());
    for child in 2..5 {
        drop(
            ledger.limit(NOON, &chain("ann", &[root.clone(), link(child, &[])]), Tokens::default()).expect("three fit"),
        );
    }
    let refused = ledger.limit(NOON, &chain("ann", &[root, link(5, &[])]), Tokens::default()).expect_err("a fourth");
    assert!(refused.scope.to_string().starts_with("token:0101"));
}
