//! `bulkhead token`: a token's life from its key to its revocation.

use serde_json::Value;

use crate::support::Folder;

/// A folder with an issuer's key, its public half and a configuration that believes it.
fn ready(name: &str) -> Folder {
    let folder = Folder::new(name);
    let jwk = folder.out(&["key", "generate", "--out", "issuer.key", "--kid", "main"]);
    folder.write("issuers.json", &jwk);
    folder.write(
        "b.yaml",
        &format!("data_dir: state\ntokens: {{ issuers: [{jwk}] }}\nproviders: [{{ id: echo, kind: echo }}]\n"),
    );
    folder
}

fn mint(folder: &Folder, more: &[&str]) -> String {
    folder.out(&[&["token", "mint", "--key", "issuer.key", "--sub", "ann", "--ttl", "1h"], more].concat())
}

fn holder(folder: &Folder, file: &str) -> String {
    let said = folder.run(&["key", "generate", "--out", file, "--use", "holder"]).ended(0);
    said.json()["x"].as_str().expect("a key").to_owned()
}

fn claims(folder: &Folder, token: &str) -> Value {
    let said = folder.run(&["token", "inspect", token, "--output", "json"]).ended(0).json();
    assert_eq!(said["verified"], false);
    said["links"].as_array().and_then(|links| links.last()).expect("a link")["claims"].clone()
}

#[test]
fn mint_prints_the_token_and_nothing_else() {
    let folder = ready("mint");
    let said = folder
        .run(&[
            "token",
            "mint",
            "--key",
            "issuer.key",
            "--sub",
            "ann",
            "--ttl",
            "30d",
            "--org",
            "acme",
            "--team",
            "ml",
            "--project",
            "p",
            "--models",
            "gpt-4o*, claude-*",
            "--budget",
            "5usd/day:hard",
            "--budget",
            "0.5usd/hour:soft:adaptive",
            "--budget-id",
            "b",
            "--rpm",
            "6",
            "--tpm",
            "7",
            "--concurrency",
            "8",
            "--tag",
            "k=v=w",
            "--role",
            "explain",
        ])
        .ended(0);
    assert_eq!((said.stdout.lines().count(), said.stderr.as_str()), (1, ""));
    let token = said.stdout.trim_end();
    assert!(token.starts_with("bh_"));
    let claims = claims(&folder, token);
    assert_eq!(
        (&claims["sub"], &claims["iss"], &claims["aud"]),
        (&"ann".into(), &"bulkhead".into(), &"bulkhead".into())
    );
    let bh = &claims["bh"];
    assert_eq!(
        *bh,
        serde_json::json!({
            "org": "acme", "team": "ml", "project": "p", "models": ["gpt-4o*", "claude-*"],
            "budgets": [
                { "usd": "5", "window": "day", "mode": "hard", "hold": "strict" },
                { "usd": "0.5", "window": "hour", "mode": "soft", "hold": "adaptive" },
            ],
            "budget_id": "b", "rpm": 6, "tpm": 7, "concurrency": 8, "tags": { "k": "v=w" }, "roles": ["explain"],
        })
    );
    let life = claims["exp"].as_u64().zip(claims["iat"].as_u64()).map(|(exp, iat)| exp - iat);
    assert_eq!(life, Some(30 * 86_400));
    let json = folder
        .run(&["token", "mint", "--key", "issuer.key", "--sub", "ann", "--ttl", "1h", "--output", "json"])
        .ended(0)
        .json();
    assert!(json["token"].is_string() && json["id"].is_string() && json["kid"] == "main");
}

#[test]
fn models_left_out_are_all_and_empty_ones_are_none() {
    let folder = ready("mint-models");
    assert_eq!(claims(&folder, &mint(&folder, &[]))["bh"].get("models"), None);
    assert_eq!(claims(&folder, &mint(&folder, &["--models", ""]))["bh"]["models"], serde_json::json!([]));
}

#[test]
fn a_token_verifies_with_its_issuer_and_no_other() {
    let folder = ready("verify");
    let token = mint(&folder, &[]);
    let said = folder.run(&["token", "verify", &token, "--issuers", "issuers.json"]).ended(0);
    assert!(said.stdout.starts_with("accepted: sub ann, token "), "{}", said.stdout);
    let stranger = folder.out(&["key", "generate", "--out", "other.key", "--kid", "main"]);
    folder.write("other.json", &format!("{{\"keys\":[{stranger}]}}"));
    let check = |args: &[&str], code: &str| {
        let args = [&["token", "verify", "--output", "json"], args].concat();
        let said = folder.run(&args).ended(1).json();
        assert_eq!((&said["accepted"], &said["code"]), (&false.into(), &code.into()), "{said}");
    };
    check(&[&token, "--issuers", "other.json"], "invalid_api_key");
    check(&[&token, "--issuers", "issuers.json", "--audience", "prod"], "invalid_api_key");
    check(&[&token, "--issuers", "issuers.json", "--admin"], "wrong_plane");
    check(&[&token[..token.len() - 3], "--issuers", "issuers.json"], "invalid_api_key");
    check(&["nonsense", "--issuers", "issuers.json"], "invalid_api_key");
    folder.run(&["token", "verify", &token, "--issuers", "b.yaml"]).refused(78, "b.yaml: ");
    folder.run(&["token", "verify", &token, "--issuers", "gone.json"]).refused(69, "gone.json cannot be read");
}

#[test]
fn admin_tokens_are_for_the_admin_plane_and_short() {
    let folder = ready("admin");
    let token = mint(&folder, &["--admin"]);
    assert_eq!(claims(&folder, &token)["aud"], "bulkhead/admin");
    folder.run(&["token", "verify", &token, "--issuers", "issuers.json", "--admin"]).ended(0);
    folder.run(&["token", "verify", &token, "--issuers", "issuers.json"]).ended(1);
    let args = ["token", "mint", "--key", "issuer.key", "--sub", "ann", "--admin", "--ttl", "13h"];
    folder.run(&args).refused(2, "12 hours after `iat`");
    folder.run(&[&args[..8], &["1h", "--rpm", "5"]].concat()).refused(2, "has no meaning in an admin token");
}

#[test]
fn a_certificate_must_be_narrowed_by_its_holder_to_be_of_use() {
    let folder = ready("narrow");
    let (first, second) = (holder(&folder, "first.key"), holder(&folder, "second.key"));
    let certificate = mint(&folder, &["--holder", &first, "--models", "gpt-*"]);
    let said = folder.run(&["token", "verify", &certificate, "--issuers", "issuers.json"]).ended(1);
    assert!(said.stdout.contains("certificate, not a credential"), "{}", said.stdout);
    let narrow = |token: &str, key: &str, more: &[&str]| {
        folder.run(&[&["token", "narrow", "--token", token, "--holder-key", key], more].concat())
    };
    let budget = ["--budget", "2usd/total:hard", "--models", "gpt-4o-mini", "--ttl", "10m"];
    let leaf = narrow(&certificate, "first.key", &budget).ended(0).stdout.trim_end().to_owned();
    assert_eq!(leaf.matches('~').count(), 1);
    folder.run(&["token", "verify", &leaf, "--issuers", "issuers.json"]).ended(0);
    let middle = narrow(&certificate, "first.key", &["--holder", &second]).ended(0).stdout.trim_end().to_owned();
    folder.run(&["token", "verify", &middle, "--issuers", "issuers.json"]).ended(1);
    let chain = narrow(&middle, "second.key", &[]).ended(0).stdout.trim_end().to_owned();
    folder.run(&["token", "verify", &chain, "--issuers", "issuers.json"]).ended(0);
    narrow(&certificate, "second.key", &[]).refused(2, "only be narrowed with the key of its holder");
    narrow(&leaf, "first.key", &[]).refused(2, "names no holder");
    narrow(&certificate, "first.key", &["--ttl", "2h"]).refused(2, "expires after its parent");
    narrow(&certificate, "first.key", &["--role", "root"]).refused(2, "claims the role `root`");
    narrow(&certificate, "issuer.key", &[]).refused(2, "is a key for use `issuer`; here one for use `holder`");
    folder
        .run(&["token", "mint", "--key", "first.key", "--sub", "x", "--ttl", "1h"])
        .refused(2, "is a key for use `holder`; here one for use `issuer`");
}

#[test]
fn a_revoked_token_is_refused_and_so_is_what_was_narrowed_from_it() {
    let folder = ready("revoke");
    let public = holder(&folder, "h.key");
    let certificate = mint(&folder, &["--holder", &public]);
    let leaf = folder.out(&["token", "narrow", "--token", &certificate, "--holder-key", "h.key"]);
    let bystander = mint(&folder, &[]);
    let jti = claims(&folder, &certificate)["jti"].as_str().expect("a jti").to_owned();
    let revoke = ["token", "revoke", "--config", "b.yaml", "--jti"];
    let said = folder.run(&[&revoke[..], &[&jti]].concat()).ended(0);
    assert!(said.stdout.starts_with("revoked; "), "{}", said.stdout);
    let again = folder.run(&[&revoke[..], &[&jti, "--output", "json"]].concat()).ended(0).json();
    assert_eq!(again["news"], false);
    let verify = |token: &str| {
        let args = ["token", "verify", token, "--issuers", "issuers.json", "--revocations", "state/revocations.json"];
        folder.run(&[&args[..], &["--output", "json"]].concat()).json()
    };
    assert_eq!(verify(&leaf)["code"], "token_revoked");
    assert_eq!(verify(&bystander)["accepted"], true);
    let id = verify(&bystander)["id"].as_str().expect("an id").to_owned();
    folder.run(&[&revoke[..], &[&id]].concat()).ended(0);
    assert_eq!(verify(&bystander)["code"], "token_revoked");
    assert_eq!(verify(&leaf)["code"], "token_revoked");
}

#[test]
fn a_jti_of_another_issuer_is_revoked_under_its_name() {
    let folder = ready("revoke-iss");
    let token = mint(&folder, &["--iss", "other"]);
    let jti = claims(&folder, &token)["jti"].as_str().expect("a jti").to_owned();
    let verify = || {
        let args = ["token", "verify", &token, "--issuers", "issuers.json", "--revocations", "state/revocations.json"];
        folder.run(&args).code
    };
    folder.run(&["token", "revoke", "--config", "b.yaml", "--jti", &jti]).ended(0);
    assert_eq!(verify(), 0);
    folder.run(&["token", "revoke", "--config", "b.yaml", "--jti", &jti, "--iss", "other"]).ended(0);
    assert_eq!(verify(), 1);
}

#[test]
fn everything_a_subject_was_issued_before_some_time_can_be_revoked() {
    let folder = ready("revoke-sub");
    let token = mint(&folder, &[]);
    let revoke =
        |before: &str| folder.run(&["token", "revoke", "--config", "b.yaml", "--sub", "ann", "--before", before]);
    let verify = || {
        let args = ["token", "verify", &token, "--issuers", "issuers.json", "--revocations", "state/revocations.json"];
        folder.run(&args).code
    };
    revoke("2020-01-01T00:00:00Z").ended(0);
    assert_eq!(verify(), 0);
    revoke("2100-01-01T00:00:00Z").ended(0);
    assert_eq!(verify(), 1);
    revoke("yesterday").refused(2, "expected `now`, seconds since 1970");
    let mode = std::os::unix::fs::PermissionsExt::mode(
        &std::fs::metadata(folder.0.join("state/revocations.json")).expect("the list").permissions(),
    );
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn a_damaged_list_is_not_replaced() {
    let folder = ready("revoke-damaged");
    std::fs::create_dir(folder.0.join("state")).expect("a folder");
    folder.write("state/revocations.json", "{");
    folder.run(&["token", "revoke", "--config", "b.yaml", "--jti", "x"]).refused(78, "revocations.json: ");
    assert_eq!(folder.read("state/revocations.json"), "{");
}

#[test]
fn inspect_believes_nothing_and_says_so() {
    let folder = ready("inspect");
    let token = mint(&folder, &[]);
    let said = folder.out(&["token", "inspect", &token]);
    assert!(said.starts_with("NOT VERIFIED") && said.contains("sub ann") && said.contains("root "), "{said}");
    folder.run(&["token", "inspect", "bh_x"]).ended(1);
    folder.run(&["token", "inspect", &"x".repeat(5000)]).refused(1, "at most 4096 are looked at");
}
