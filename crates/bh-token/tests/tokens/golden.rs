//! Tokens are a format that people keep for months: these bytes must never change unnoticed.

use bh_base::Millis;
use bh_token::{Quality, RoutingMode, narrow};

use crate::support::*;

#[test]
fn a_token_from_fixed_seeds_is_the_golden_one() {
    let mut claims = certificate();
    claims.not_before = Some(NOW);
    claims.team = Some("ml".into());
    claims.project = Some("search".into());
    claims.tags = [("env".to_owned(), "prod".to_owned())].into();
    claims.routing = Some(RoutingMode::Cost);
    claims.quality = Quality::from_f64(0.7);
    claims.grants.models = Some(vec!["gpt-4o*".into()]);
    claims.grants.budgets = vec![budget(5)];
    claims.grants.budget_id = Some("b1".into());
    claims.grants.rpm = Some(60);
    claims.grants.tpm = Some(1000);
    claims.grants.concurrency = Some(4);
    claims.grants.roles = Some(vec!["explain".into()]);
    let root = minted(&claims);
    let mut leaf = child("c1");
    leaf.grants.budgets = vec![budget(2)];
    leaf.expires_at = NOW.plus(Millis::from_secs(600));
    let text = narrow(&root, &holder(0), &leaf, NOW).unwrap();
    assert_eq!(text, include_str!("golden.txt").trim_end());
    let verified = data(&text).unwrap();
    assert_eq!(verified.id().to_string(), "1fb99ae4c43f103270d69843f291865aeba7d22d05dc8dd2e04d113acda024c6");
}
