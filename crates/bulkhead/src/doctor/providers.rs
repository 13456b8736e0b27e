//! The providers: is there a key, and can the server be reached with the TLS a call would use? No call is made.

use bh_upstream::{Kind, ProviderConfig, Unreachable, reach};
use tokio::task::JoinSet;

use super::Finding;
use crate::ask::chain;

const CHECK: &str = "provider";

/// Looks at every provider at once and tells of them in the configuration's order.
pub(super) async fn examine(providers: &[ProviderConfig], found: &mut (dyn FnMut(Finding) + Send)) {
    if providers.is_empty() {
        return found(Finding::warn(
            CHECK,
            "none is configured",
            "add one under providers:, `kind: echo` for a first try",
        ));
    }
    let mut looks = JoinSet::new();
    for (at, provider) in providers.iter().cloned().enumerate() {
        looks.spawn(async move { (at, one(&provider).await) });
    }
    let mut findings = looks.join_all().await;
    findings.sort_by_key(|(at, _)| *at);
    findings.into_iter().for_each(|(_, finding)| found(finding));
}

async fn one(provider: &ProviderConfig) -> Finding {
    let id = &provider.id;
    let keys = match (provider.keys.len(), provider.kind) {
        (_, Kind::Echo) => return Finding::ok(CHECK, format!("{id} is in this process and needs nothing")),
        (0, Kind::OpenAi | Kind::Anthropic | Kind::OpenAiCompatible) => "no key".to_owned(),
        (1, Kind::OpenAi | Kind::Anthropic | Kind::OpenAiCompatible) => "one key".to_owned(),
        (count, Kind::OpenAi | Kind::Anthropic | Kind::OpenAiCompatible) => format!("{count} keys"),
    };
    match reach(provider).await {
        Ok(reached) => {
            let at = reached.map_or_else(String::new, |reached| {
                let how = if reached.is_tls { "TLS" } else { "plain TCP" };
                format!("{} by {how} in {} ms", reached.authority, reached.took.as_millis())
            });
            Finding::ok(CHECK, format!("{id} is reached at {at}; {keys}, not tried, since a call may cost"))
        }
        Err(error @ Unreachable::Config(_)) => {
            Finding::fail(CHECK, format!("{id}: {}", chain(&error)), "mend its entry")
        }
        Err(error @ Unreachable::Connect { .. }) => {
            let next = "look at base_url, DNS, firewalls, and at the certificate if it speaks of one";
            Finding::fail(CHECK, format!("{id}: {}", chain(&error)), next)
        }
    }
}
