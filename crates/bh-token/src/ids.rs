//! The hashes that name tokens and their counters. Every field goes in with its length, so that no two different
//! lists of fields hash alike; a root hashes three fields, a child two, counters four or more.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bh_base::TokenId;
use bh_seal::{PublicKey, Sha256, sha256};

/// The id of a root token: SHA-256 over `iss`, `kid` and `jti`.
#[must_use]
pub fn root_id(iss: &str, kid: &str, jti: &str) -> TokenId {
    digest(&[iss.as_bytes(), kid.as_bytes(), jti.as_bytes()])
}

/// The id of a child: SHA-256 over its parent's id and its own `jti`.
#[must_use]
pub fn child_id(parent: TokenId, jti: &str) -> TokenId {
    digest(&[&parent.0, jti.as_bytes()])
}

/// The usual `kid` of a key: its RFC 7638 thumbprint, 43 characters of base64url.
#[must_use]
pub fn thumbprint(key: &PublicKey) -> String {
    let canonical = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{key}"}}"#);
    URL_SAFE_NO_PAD.encode(sha256(&[canonical.as_bytes()]))
}

/// The counter that root tokens with one `budget_id` share. Issuer and organisation are part of it, so that nobody
/// drains a stranger's budget by guessing its name.
pub(crate) fn root_counter(iss: &str, org: Option<&str>, budget_id: &str) -> TokenId {
    let known: &[u8] = if org.is_some() { b"org" } else { b"" };
    digest(&[b"budget", iss.as_bytes(), known, org.unwrap_or_default().as_bytes(), budget_id.as_bytes()])
}

/// The counter that children of one parent with one `budget_id` share.
pub(crate) fn child_counter(parent: TokenId, budget_id: &str) -> TokenId {
    digest(&[b"budget", b"child", &parent.0, budget_id.as_bytes()])
}

fn digest(fields: &[&[u8]]) -> TokenId {
    let mut hash = Sha256::new();
    for field in fields {
        hash.field(field);
    }
    TokenId(hash.finish())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn ids_are_the_golden_ones() {
        let root = root_id("bulkhead", "main", "t1");
        assert_eq!(root.to_string(), "5db7f60dddf58984dd066557572ce93d07fbe13d1efe1d91c1ac718b9ffa009a");
        assert_eq!(
            child_id(root, "c1").to_string(),
            "1fb99ae4c43f103270d69843f291865aeba7d22d05dc8dd2e04d113acda024c6"
        );
    }

    #[test]
    fn no_two_lists_of_fields_hash_alike() {
        let parent = root_id("a", "b", "c");
        let ids = [
            parent,
            root_id("ab", "", "c"),
            root_id("a", "bc", ""),
            root_id("", "ab", "c"),
            child_id(parent, "c"),
            child_id(parent, ""),
            root_counter("a", None, "c"),
            root_counter("a", Some(""), "c"),
            root_counter("a", Some("c"), ""),
            child_counter(parent, "c"),
        ];
        assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len());
    }

    #[test]
    fn the_thumbprint_is_that_of_rfc_8037() {
        let key = PublicKey::from_base64url("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo").unwrap();
        assert_eq!(thumbprint(&key), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    }
}
