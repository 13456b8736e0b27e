//! The rules that claims must meet, the same for minting and for reading.

use bh_base::Millis;

use crate::claims::{ChildClaims, Claims, Grants};
use crate::fault::{Fault, Problem};

/// Longest name of an issuer, audience, subject, organisation, team, project, or tag key and value, in bytes.
pub const NAME_BYTES_MAX: usize = 256;
/// Longest `jti`, `kid`, `budget_id`, role or model pattern, in bytes.
pub const SHORT_NAME_BYTES_MAX: usize = 128;
/// Most model patterns in one link.
pub const MODELS_MAX: usize = 128;
/// Most roles in one link.
pub const ROLES_MAX: usize = 32;
/// Most tags in a root.
pub const TAGS_MAX: usize = 32;
/// Most a limit (`rpm`, `tpm`, `concurrency`) may say; the least is 1.
pub const LIMIT_MAX: u64 = 1_000_000_000_000;
/// Latest time a claim may name, in seconds since the Unix epoch: the end of the year 9999.
pub const TIME_SECONDS_MAX: u64 = 253_402_300_799;
/// Longest life of a token for the admin plane, from `iat` to `exp`.
pub const ADMIN_LIFETIME_MAX: Millis = Millis::from_secs(12 * 3600);

const ADMIN_SUFFIX: &str = "/admin";

/// The audience of the admin plane of a cluster.
#[must_use]
pub fn admin_audience(cluster: &str) -> String {
    format!("{cluster}{ADMIN_SUFFIX}")
}

/// Whether an audience is some cluster's admin plane.
pub(crate) fn is_admin(audience: &str) -> bool {
    audience.ends_with(ADMIN_SUFFIX)
}

/// Seconds of an instant, rounded down: `iat` and `exp`.
pub(crate) fn seconds(at: Millis) -> u64 {
    at.as_secs()
}

/// Seconds of an instant, rounded up: `nbf`.
pub(crate) fn seconds_up(at: Millis) -> u64 {
    at.0.div_ceil(1000)
}

/// Every fault of a root's claims.
pub(crate) fn root(claims: &Claims, faults: &mut Vec<Fault>) {
    name("iss", &claims.iss, NAME_BYTES_MAX, faults);
    name("aud", &claims.aud, NAME_BYTES_MAX, faults);
    name("sub", &claims.sub, NAME_BYTES_MAX, faults);
    name("jti", &claims.jti, SHORT_NAME_BYTES_MAX, faults);
    for (at, value) in [("bh.org", &claims.org), ("bh.team", &claims.team), ("bh.project", &claims.project)] {
        if let Some(value) = value {
            name(at, value, NAME_BYTES_MAX, faults);
        }
    }
    if TAGS_MAX < claims.tags.len() {
        faults.push(Fault::new("bh.tags", Problem::TooMany { max: TAGS_MAX }));
    }
    for (key, value) in &claims.tags {
        // A tag is spelt `k=v` in scopes, so its key must end before the first `=`.
        if !is_name(key, NAME_BYTES_MAX) || key.contains('=') {
            faults.push(Fault::new("bh.tags", Problem::TagKey));
        }
        name(&format!("bh.tags.{key}"), value, NAME_BYTES_MAX, faults);
    }
    times(claims.issued_at, claims.not_before, claims.expires_at, faults);
    grants(&claims.grants, faults);
    let cluster = claims.aud.strip_suffix(ADMIN_SUFFIX).unwrap_or(&claims.aud);
    if cluster.contains('/') || cluster.is_empty() {
        faults.push(Fault::new("aud", Problem::Audience));
    }
    if is_admin(&claims.aud) {
        admin(claims, faults);
    }
}

/// Every fault of a child's claims that shows without its parent.
pub(crate) fn child(claims: &ChildClaims, issued_at: Millis, faults: &mut Vec<Fault>) {
    name("jti", &claims.jti, SHORT_NAME_BYTES_MAX, faults);
    times(issued_at, claims.not_before, claims.expires_at, faults);
    grants(&claims.grants, faults);
}

/// Whether a text can be a name: something, not too long, nothing invisible, and no `*`, which means "any" in scopes.
pub(crate) fn is_name(text: &str, bytes_max: usize) -> bool {
    !text.is_empty()
        && text.len() <= bytes_max
        && text.trim() == text
        && !text.chars().any(|c| c.is_control() || c == '*')
}

/// Reports a text that cannot be a name.
pub(crate) fn name(at: &str, text: &str, bytes_max: usize, faults: &mut Vec<Fault>) {
    if !is_name(text, bytes_max) {
        faults.push(Fault::new(at, Problem::Name { bytes_max }));
    }
}

fn times(issued_at: Millis, not_before: Option<Millis>, expires_at: Millis, faults: &mut Vec<Fault>) {
    let (iat, nbf, exp) = (seconds(issued_at), not_before.map(seconds_up), seconds(expires_at));
    for (at, time) in [("iat", Some(iat)), ("nbf", nbf), ("exp", Some(exp))] {
        if time.is_some_and(|t| TIME_SECONDS_MAX < t) {
            faults.push(Fault::new(at, Problem::Range { min: 0, max: TIME_SECONDS_MAX }));
        }
    }
    if exp <= iat {
        faults.push(Fault::new("exp", Problem::NotLater("iat")));
    }
    if nbf.is_some_and(|nbf| exp <= nbf) {
        faults.push(Fault::new("exp", Problem::NotLater("nbf")));
    }
}

fn grants(grants: &Grants, faults: &mut Vec<Fault>) {
    if let Some(models) = &grants.models {
        list("bh.models", models, MODELS_MAX, faults, |pattern| {
            let fits = !pattern.is_empty() && pattern.len() <= SHORT_NAME_BYTES_MAX;
            let visible = !pattern.chars().any(|c| c.is_control() || c.is_whitespace());
            (!fits || !visible).then_some(Problem::Pattern { bytes_max: SHORT_NAME_BYTES_MAX })
        });
    }
    if let Some(roles) = &grants.roles {
        list("bh.roles", roles, ROLES_MAX, faults, |role| {
            let bytes_max = SHORT_NAME_BYTES_MAX;
            (!is_name(role, bytes_max)).then_some(Problem::Name { bytes_max })
        });
    }
    for (i, budget) in grants.budgets.iter().enumerate() {
        if grants.budgets[..i].iter().any(|earlier| earlier.window == budget.window) {
            faults.push(Fault::new(format!("bh.budgets[{i}].window"), Problem::Repeated));
        }
    }
    if let Some(id) = &grants.budget_id {
        name("bh.budget_id", id, SHORT_NAME_BYTES_MAX, faults);
        if grants.budgets.is_empty() {
            faults.push(Fault::new("bh.budget_id", Problem::Without("bh.budgets")));
        }
    }
    for (at, limit) in [("bh.rpm", grants.rpm), ("bh.tpm", grants.tpm), ("bh.concurrency", grants.concurrency)] {
        if limit.is_some_and(|n| !(1..=LIMIT_MAX).contains(&n)) {
            faults.push(Fault::new(at, Problem::Range { min: 1, max: LIMIT_MAX }));
        }
    }
}

fn list(at: &str, entries: &[String], max: usize, faults: &mut Vec<Fault>, wrong: impl Fn(&str) -> Option<Problem>) {
    if max < entries.len() {
        faults.push(Fault::new(at, Problem::TooMany { max }));
    }
    for (i, entry) in entries.iter().enumerate() {
        if let Some(problem) = wrong(entry) {
            faults.push(Fault::new(format!("{at}[{i}]"), problem));
        }
    }
}

fn admin(claims: &Claims, faults: &mut Vec<Fault>) {
    if ADMIN_LIFETIME_MAX.as_secs() < seconds(claims.expires_at).saturating_sub(seconds(claims.issued_at)) {
        let hours_max = ADMIN_LIFETIME_MAX.as_secs() / 3600;
        faults.push(Fault::new("exp", Problem::AdminTooLong { hours_max }));
    }
    let grants = &claims.grants;
    for (at, present) in [
        ("bh.models", grants.models.is_some()),
        ("bh.budgets", !grants.budgets.is_empty()),
        ("bh.budget_id", grants.budget_id.is_some()),
        ("bh.rpm", grants.rpm.is_some()),
        ("bh.tpm", grants.tpm.is_some()),
        ("bh.concurrency", grants.concurrency.is_some()),
        ("bh.routing", claims.routing.is_some()),
        ("bh.quality", claims.quality.is_some()),
        ("bh.holder", grants.holder.is_some()),
    ] {
        if present {
            faults.push(Fault::new(at, Problem::NotForAdmin));
        }
    }
}
