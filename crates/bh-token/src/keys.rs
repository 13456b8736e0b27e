//! The key set: whose signatures are believed, and for what. A JWKS (RFC 7517, 8037) with three members of our own.

use serde::Serialize;

use bh_seal::PublicKey;

use crate::check::{self, NAME_BYTES_MAX, ROLES_MAX, SHORT_NAME_BYTES_MAX, is_admin};
use crate::claims::Claims;
use crate::fault::{Fault, Faults, Problem};
use crate::ids::root_id;
use crate::json::{self, Node, Reader};
use bh_base::TokenId;

/// The role that a key limited by `orgs` or `roles` must list before its admin tokens are believed.
pub const ADMIN_ROLE: &str = "admin";
/// Most keys in a set.
pub const KEYS_MAX: usize = 256;
/// Most organisations a key may list.
pub const ORGS_MAX: usize = 4096;

/// One issuer's public key and what it may speak for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuerKey {
    /// The `kid` that tokens name.
    pub kid: String,
    /// The key.
    pub key: PublicKey,
    /// The only `iss` whose tokens it signs. Absent: any, so that a single issuer needs no name; such a key is as
    /// powerful as all issuers together unless `orgs` and `roles` limit it.
    pub iss: Option<String>,
    /// The organisations it may speak for; a token must then name one of them. Absent: any, and tokens without one.
    pub orgs: Option<Vec<String>>,
    /// The roles it may give; empty: none. Absent: any. A key with `orgs` or `roles` issues admin tokens only if
    /// `roles` lists [`ADMIN_ROLE`], because the admin plane knows no organisations.
    pub roles: Option<Vec<String>>,
}

/// Checked keys under a revision. A verified token may be remembered only as long as the revision stays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeySet {
    keys: Vec<IssuerKey>,
    revision: u64,
}

impl IssuerKey {
    /// A key without limits.
    #[must_use]
    pub fn new(kid: impl Into<String>, key: PublicKey) -> Self {
        IssuerKey { kid: kid.into(), key, iss: None, orgs: None, roles: None }
    }

    /// The public JWK as one line of JSON.
    #[must_use]
    pub fn to_jwk(&self) -> String {
        serde_json::to_string(&Jwk::of(self)).expect("a JWK is texts and lists of texts")
    }

    /// Whether it may speak for the claims, or the claim for which it may not.
    pub(crate) fn speaks_for(&self, claims: &Claims) -> Result<(), &'static str> {
        let listed = |list: &[String], name: &str| list.iter().any(|entry| entry == name);
        if let Some(orgs) = &self.orgs
            && !claims.org.as_ref().is_some_and(|org| listed(orgs, org))
        {
            return Err("bh.org");
        }
        if let Some(roles) = &self.roles
            && !claims.grants.roles.iter().flatten().all(|role| listed(roles, role))
        {
            return Err("bh.roles");
        }
        let limited = self.orgs.is_some() || self.roles.is_some();
        let admin = self.roles.as_ref().is_some_and(|roles| listed(roles, ADMIN_ROLE));
        if is_admin(&claims.aud) && limited && !admin {
            return Err("aud");
        }
        Ok(())
    }
}

impl KeySet {
    /// Checks keys. An empty set is one: it believes nobody. The revision must differ from that of every other set
    /// this process has used.
    ///
    /// # Errors
    /// Every fault at once, at `keys[i]`: names, empty lists, and two keys that share a `kid` without each naming
    /// another `iss`.
    pub fn new(keys: Vec<IssuerKey>, revision: u64) -> Result<Self, Faults> {
        let numbered: Vec<(usize, IssuerKey)> = keys.into_iter().enumerate().collect();
        let mut faults = Vec::new();
        check_keys(&numbered, &mut faults);
        Self::made(numbered, revision, faults)
    }

    /// Reads a JWKS: `{"keys": [{"kty":"OKP","crv":"Ed25519","kid":…,"x":…}]}`, with `iss`, `orgs` and `roles` of our
    /// own beside the usual `use`, `alg` and `key_ops`.
    ///
    /// # Errors
    /// Every fault at once: of JSON, of form, unknown members, a private key, and all of [`KeySet::new`].
    pub fn parse(text: &str, revision: u64) -> Result<Self, Faults> {
        let node = json::parse(text)?;
        let mut faults = Vec::new();
        let mut keys = Vec::new();
        if let Some(mut top) = Reader::open(&node, "", &["keys"], &[], &mut faults) {
            let list = top.list("keys");
            for (i, node) in top.required("keys", list).iter().enumerate() {
                if let Some(key) = jwk(node, &format!("keys[{i}]"), top.faults) {
                    keys.push((i, key));
                }
            }
        }
        check_keys(&keys, &mut faults);
        Self::made(keys, revision, faults)
    }

    /// The JWKS that [`KeySet::parse`] reads back, one member per line.
    #[must_use]
    pub fn to_json(&self) -> String {
        let keys = self.keys.iter().map(Jwk::of).collect();
        serde_json::to_string_pretty(&Jwks { keys }).expect("a JWKS is texts and lists of texts")
    }

    /// The keys, in the order given.
    #[must_use]
    pub fn keys(&self) -> &[IssuerKey] {
        &self.keys
    }

    /// The revision.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// The key for `(iss, kid)`.
    #[must_use]
    pub fn find(&self, iss: &str, kid: &str) -> Option<&IssuerKey> {
        self.keys.iter().find(|key| key.kid == kid && key.iss.as_ref().is_none_or(|own| own == iss))
    }

    /// The ids a root token with this `jti` could have, one per key; `default_iss` stands in where a key names no
    /// `iss`. For revoking by `jti`.
    #[must_use]
    pub fn root_ids(&self, jti: &str, default_iss: &str) -> Vec<TokenId> {
        self.keys.iter().map(|key| root_id(key.iss.as_deref().unwrap_or(default_iss), &key.kid, jti)).collect()
    }

    fn made(keys: Vec<(usize, IssuerKey)>, revision: u64, faults: Vec<Fault>) -> Result<Self, Faults> {
        if faults.is_empty() {
            Ok(KeySet { keys: keys.into_iter().map(|(_, key)| key).collect(), revision })
        } else {
            Err(Faults(faults))
        }
    }
}

fn jwk(node: &Node, at: &str, faults: &mut Vec<Fault>) -> Option<IssuerKey> {
    let known = ["kty", "crv", "kid", "x", "d", "alg", "use", "key_ops", "iss", "orgs", "roles"];
    let mut jwk = Reader::open(node, at, &known, &[], faults)?;
    if jwk.get("d").is_some() {
        jwk.fault("d", Problem::PrivateKey);
    }
    for (name, accepted, expected) in [
        ("kty", &["OKP"][..], "\"OKP\", the only type of key that signs tokens here"),
        ("crv", &["Ed25519"], "\"Ed25519\", the only curve that signs tokens here"),
        ("alg", &["EdDSA", "Ed25519"], "\"EdDSA\", the only algorithm that signs tokens here"),
        ("use", &["sig"], "\"sig\""),
    ] {
        match jwk.text(name) {
            Some(text) if !accepted.contains(&text) => jwk.fault(name, Problem::Expected(expected)),
            Some(_) => (),
            None if jwk.get(name).is_none() && ["kty", "crv"].contains(&name) => jwk.fault(name, Problem::Missing),
            None => (),
        }
    }
    if let Some(ops) = jwk.texts("key_ops")
        && !ops.iter().any(|op| op == "verify")
    {
        jwk.fault("key_ops", Problem::Expected("a list with \"verify\""));
    }
    let iss = jwk.text("iss").map(str::to_owned);
    let (orgs, roles) = (jwk.texts("orgs"), jwk.texts("roles"));
    for name in ["kid", "x"] {
        if jwk.get(name).is_none() {
            jwk.fault(name, Problem::Missing);
        }
    }
    let kid = jwk.text("kid");
    let x = jwk.text("x");
    let key = x.and_then(|x| PublicKey::from_base64url(x).map_err(|fault| jwk.fault("x", fault)).ok());
    Some(IssuerKey { kid: kid?.to_owned(), key: key?, iss, orgs, roles })
}

fn check_keys(keys: &[(usize, IssuerKey)], faults: &mut Vec<Fault>) {
    if KEYS_MAX < keys.len() {
        faults.push(Fault::new("keys", Problem::TooMany { max: KEYS_MAX }));
    }
    for (n, (i, key)) in keys.iter().enumerate() {
        let at = format!("keys[{i}]");
        check::name(&format!("{at}.kid"), &key.kid, SHORT_NAME_BYTES_MAX, faults);
        if let Some(iss) = &key.iss {
            check::name(&format!("{at}.iss"), iss, NAME_BYTES_MAX, faults);
        }
        if key.orgs.as_ref().is_some_and(Vec::is_empty) {
            faults.push(Fault::new(format!("{at}.orgs"), Problem::SpeaksForNobody));
        }
        names(&format!("{at}.orgs"), key.orgs.as_deref(), ORGS_MAX, NAME_BYTES_MAX, faults);
        names(&format!("{at}.roles"), key.roles.as_deref(), ROLES_MAX, SHORT_NAME_BYTES_MAX, faults);
        let clash = |other: &IssuerKey| {
            other.kid == key.kid && (other.iss.is_none() || key.iss.is_none() || other.iss == key.iss)
        };
        if keys[..n].iter().any(|(_, earlier)| clash(earlier)) {
            faults.push(Fault::new(format!("{at}.kid"), Problem::SameKid));
        }
    }
}

fn names(at: &str, list: Option<&[String]>, max: usize, bytes_max: usize, faults: &mut Vec<Fault>) {
    let list = list.unwrap_or_default();
    if max < list.len() {
        faults.push(Fault::new(at, Problem::TooMany { max }));
    }
    for (i, entry) in list.iter().enumerate() {
        check::name(&format!("{at}[{i}]"), entry, bytes_max, faults);
    }
}

#[derive(Serialize)]
struct Jwks<'a> {
    keys: Vec<Jwk<'a>>,
}

#[derive(Serialize)]
struct Jwk<'a> {
    kty: &'static str,
    crv: &'static str,
    kid: &'a str,
    x: String,
    alg: &'static str,
    #[serde(rename = "use")]
    usage: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    iss: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    orgs: Option<&'a [String]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    roles: Option<&'a [String]>,
}

impl<'a> Jwk<'a> {
    fn of(key: &'a IssuerKey) -> Self {
        Jwk {
            kty: "OKP",
            crv: "Ed25519",
            kid: &key.kid,
            x: key.key.to_base64url(),
            alg: "EdDSA",
            usage: "sig",
            iss: key.iss.as_deref(),
            orgs: key.orgs.as_deref(),
            roles: key.roles.as_deref(),
        }
    }
}
