//! From the JSON of a link to claims: strict, and with every fault.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bh_base::{BudgetMode, HoldMode, Millis, NanoUsd, UnknownWord, Window};
use bh_seal::PublicKey;

use crate::check;
use crate::claims::{ChildClaims, Claims, Grants, Quality, RoutingMode, TokenBudget};
use crate::fault::{Fault, Faults, Problem};
use crate::json::{Node, Reader};

/// A child as it was read: its claims and what ties it to the text before it.
pub(crate) struct ReadChild {
    pub(crate) claims: ChildClaims,
    pub(crate) issued_at: Millis,
    /// SHA-256 of everything before this link.
    pub(crate) prev: [u8; 32],
}

const GRANTS: [&str; 8] = ["models", "budgets", "budget_id", "rpm", "tpm", "concurrency", "roles", "holder"];
const IDENTITY: [&str; 6] = ["org", "team", "project", "tags", "routing", "quality"];

/// Reads a root's claims.
pub(crate) fn root(node: &Node) -> Result<Claims, Faults> {
    let mut faults = Vec::new();
    let known = ["iss", "aud", "sub", "jti", "iat", "nbf", "exp", "bh"];
    let claims = Reader::open(node, "", &known, &[], &mut faults).map(root_claims);
    finish(claims, faults, check::root)
}

/// Reads a child's claims; identity in it is a fault.
pub(crate) fn child(node: &Node) -> Result<ReadChild, Faults> {
    let mut faults = Vec::new();
    let known = ["jti", "iat", "nbf", "exp", "bh"];
    let child = Reader::open(node, "", &known, &["iss", "aud", "sub"], &mut faults).map(child_claims);
    finish(child, faults, |child, faults| check::child(&child.claims, child.issued_at, faults))
}

/// Reads the issuer from claims whose signature has not been checked, to find the key that might have signed them.
pub(crate) fn issuer(node: &Node) -> Option<&str> {
    match node {
        Node::Object(members) => members.iter().find(|(name, _)| name == "iss").and_then(|(_, node)| node.text()),
        Node::Null | Node::Bool | Node::Whole(_) | Node::Float(_) | Node::Text(_) | Node::List(_) => None,
    }
}

fn finish<T>(value: Option<T>, mut faults: Vec<Fault>, check: impl Fn(&T, &mut Vec<Fault>)) -> Result<T, Faults> {
    match value {
        // What was read with faults holds defaults that would only add misleading ones.
        Some(value) if faults.is_empty() => {
            check(&value, &mut faults);
            if faults.is_empty() { Ok(value) } else { Err(Faults(faults)) }
        }
        Some(_) | None => Err(Faults(faults)),
    }
}

fn root_claims(mut top: Reader<'_, '_>) -> Claims {
    let mut claims = Claims {
        iss: required_text(&mut top, "iss"),
        aud: required_text(&mut top, "aud"),
        sub: required_text(&mut top, "sub"),
        jti: required_text(&mut top, "jti"),
        issued_at: required_time(&mut top, "iat"),
        not_before: time(&mut top, "nbf"),
        expires_at: required_time(&mut top, "exp"),
        org: None,
        team: None,
        project: None,
        tags: BTreeMap::new(),
        routing: None,
        quality: None,
        grants: Grants::default(),
    };
    let Some(bh) = top.get("bh") else { return claims };
    let known: Vec<&str> = GRANTS.into_iter().chain(IDENTITY).collect();
    let Some(mut bh) = Reader::open(bh, "bh", &known, &[], top.faults) else { return claims };
    claims.org = owned_text(&mut bh, "org");
    claims.team = owned_text(&mut bh, "team");
    claims.project = owned_text(&mut bh, "project");
    claims.tags = tags(&mut bh);
    claims.routing = bh.text("routing").and_then(|text| {
        let mode = RoutingMode::parse(text);
        if mode.is_none() {
            bh.fault("routing", Problem::Routing);
        }
        mode
    });
    claims.quality = quality(&mut bh);
    claims.grants = grants(&mut bh);
    claims
}

fn child_claims(mut top: Reader<'_, '_>) -> ReadChild {
    let mut child = ReadChild {
        claims: ChildClaims {
            jti: required_text(&mut top, "jti"),
            not_before: time(&mut top, "nbf"),
            expires_at: required_time(&mut top, "exp"),
            grants: Grants::default(),
        },
        issued_at: required_time(&mut top, "iat"),
        prev: [0; 32],
    };
    let Some(bh) = top.get("bh") else {
        top.fault("bh", Problem::Missing);
        return child;
    };
    let known: Vec<&str> = GRANTS.into_iter().chain(["prev"]).collect();
    let Some(mut bh) = Reader::open(bh, "bh", &known, &IDENTITY, top.faults) else { return child };
    let prev = bh.text("prev").and_then(|text| {
        let digest = URL_SAFE_NO_PAD.decode(text).ok().and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
        if digest.is_none() {
            bh.fault("prev", Problem::Expected("a SHA-256 as 43 characters of base64url"));
        }
        digest
    });
    child.prev = bh.required("prev", prev);
    child.claims.grants = grants(&mut bh);
    child
}

fn grants(bh: &mut Reader<'_, '_>) -> Grants {
    Grants {
        models: bh.texts("models"),
        budgets: budgets(bh),
        budget_id: owned_text(bh, "budget_id"),
        rpm: bh.whole("rpm"),
        tpm: bh.whole("tpm"),
        concurrency: bh.whole("concurrency"),
        roles: bh.texts("roles"),
        holder: bh
            .text("holder")
            .and_then(|text| PublicKey::from_base64url(text).map_err(|fault| bh.fault("holder", fault)).ok()),
    }
}

fn budgets(bh: &mut Reader<'_, '_>) -> Vec<TokenBudget> {
    let nodes = bh.list("budgets").unwrap_or_default();
    let at = bh.place("budgets");
    nodes.iter().enumerate().filter_map(|(i, node)| budget(node, &format!("{at}[{i}]"), bh.faults)).collect()
}

fn budget(node: &Node, at: &str, faults: &mut Vec<Fault>) -> Option<TokenBudget> {
    let mut budget = Reader::open(node, at, &["usd", "window", "mode", "hold"], &[], faults)?;
    for name in ["usd", "window"] {
        if budget.get(name).is_none() {
            budget.fault(name, Problem::Missing);
        }
    }
    let usd = match budget.get("usd") {
        // A number would already have been through somebody's binary float.
        Some(Node::Whole(_) | Node::Float(_)) => {
            budget.fault("usd", Problem::Expected("dollars as a text, such as \"5\" or \"0.25\""));
            None
        }
        Some(Node::Null | Node::Bool | Node::Text(_) | Node::List(_) | Node::Object(_)) | None => budget.text("usd"),
    };
    let usd = usd.and_then(|text| NanoUsd::parse_usd(text).map_err(|fault| budget.fault("usd", fault)).ok());
    let window = word(&mut budget, "window", Window::parse);
    let mode = word(&mut budget, "mode", BudgetMode::parse).unwrap_or(BudgetMode::Hard);
    let hold = word(&mut budget, "hold", HoldMode::parse).unwrap_or(HoldMode::Strict);
    Some(TokenBudget { usd: usd?, window: window?, mode, hold })
}

fn word<T>(reader: &mut Reader<'_, '_>, name: &str, parse: fn(&str) -> Result<T, UnknownWord>) -> Option<T> {
    let text = reader.text(name)?;
    parse(text).map_err(|fault| reader.fault(name, fault)).ok()
}

fn tags(bh: &mut Reader<'_, '_>) -> BTreeMap<String, String> {
    let mut tags = BTreeMap::new();
    let Some(node) = bh.get("tags") else { return tags };
    let Node::Object(members) = node else {
        bh.fault("tags", Problem::Expected("an object"));
        return tags;
    };
    for (key, value) in members {
        match value.text() {
            Some(value) => {
                if tags.insert(key.clone(), value.to_owned()).is_some() {
                    bh.fault(&format!("tags.{key}"), Problem::Repeated);
                }
            }
            None => bh.fault(&format!("tags.{key}"), Problem::Expected("a text")),
        }
    }
    tags
}

#[expect(clippy::cast_precision_loss, reason = "only 0 and 1 can pass, and both are exact")]
fn quality(bh: &mut Reader<'_, '_>) -> Option<Quality> {
    let value = match bh.get("quality")? {
        Node::Float(value) => Some(*value),
        Node::Whole(value) => Some(*value as f64),
        Node::Null | Node::Bool | Node::Text(_) | Node::List(_) | Node::Object(_) => None,
    };
    let quality = value.and_then(Quality::from_f64);
    if quality.is_none() {
        bh.fault("quality", Problem::Quality);
    }
    quality
}

fn owned_text(reader: &mut Reader<'_, '_>, name: &str) -> Option<String> {
    reader.text(name).map(str::to_owned)
}

fn required_text(reader: &mut Reader<'_, '_>, name: &str) -> String {
    let text = owned_text(reader, name);
    reader.required(name, text)
}

fn time(reader: &mut Reader<'_, '_>, name: &str) -> Option<Millis> {
    reader.whole(name).map(Millis::from_secs)
}

fn required_time(reader: &mut Reader<'_, '_>, name: &str) -> Millis {
    let at = time(reader, name);
    reader.required(name, at)
}
