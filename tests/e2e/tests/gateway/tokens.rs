//! Must-hold 6 over HTTP: what is no token is refused with its code in either dialect, and never with a panic; what is
//! taken back stops working while the gateway runs; siblings share what their parent may spend.

use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use bh_base::{Millis, NanoUsd};
use bh_seal::{SigningKey, hmac_sha256};
use bh_testkit::answers::Tokens;
use bh_testkit::{ScriptedProvider, Seed};
use bh_token::{Claims, Grants, Revocations, inspect};
use e2e::{Bill, Config, Folder, Gateway, Issuer, SOON, Wire, budget, eventually, prices, say};
use serde_json::json;
use tokio_util::task::TaskTracker;

use crate::forge;

const MODEL: &str = "gpt-4o-mini";
const TOKENS: Tokens = Tokens { input: 9, output: 3 };

struct Setting {
    gateway: Gateway,
    folder: Folder,
    issuer: Issuer,
    provider: ScriptedProvider,
}

async fn setting(config: impl FnOnce(Config, &Folder) -> Result<Config>) -> Result<Setting> {
    let (issuer, folder, provider) = (Issuer::new(3), Folder::new()?, ScriptedProvider::start().await?);
    provider.on(|seen| Some(Wire::OpenAi.reply_to(seen, "hello", TOKENS)));
    let base = Config::new(&issuer).provider("only", Wire::OpenAi, &provider, "gpt-*");
    let gateway = Gateway::start(&config(base, &folder)?, &folder)?;
    Ok(Setting { gateway, folder, issuer, provider })
}

impl Setting {
    /// What a call with this token comes to: status and code, or what an Anthropic client is told.
    async fn call(&self, wire: Wire, token: &str) -> Result<(u16, String)> {
        let answer = wire.send(&self.gateway.client, &self.gateway.url(), token, &wire.ask(MODEL, false)).await?;
        if answer.status == 200 {
            return Ok((200, wire.text(answer).await?));
        }
        assert!(answer.header("x-request-id").starts_with("req_"), "{:?}", answer.headers);
        let told = wire.told(answer).await?;
        Ok((told.status, told.code.unwrap_or(told.kind)))
    }

    /// Both dialects refuse it alike, and nobody is called.
    async fn refused(&self, what: &str, token: &str, status: u16, code: &str) -> Result<()> {
        assert_eq!(self.call(Wire::OpenAi, token).await?, (status, code.to_owned()), "{what}");
        let kind = if status == 401 { "authentication_error" } else { "permission_error" };
        assert_eq!(self.call(Wire::Anthropic, token).await?, (status, kind.to_owned()), "{what}");
        assert_eq!(self.provider.served().requests, 0, "{what} reached the provider");
        Ok(())
    }
}

/// Every way to be no root token: what it is, the token, the code.
fn bad_roots(issuer: &Issuer) -> Result<Vec<(&'static str, String, &'static str)>> {
    let good = issuer.plain()?;
    let claims = forge::claims_of(&good)?;
    let header = |header: &str| forge::root(issuer, header, &claims);
    let with = |change: &dyn Fn(&mut serde_json::Value)| {
        let mut changed = claims.clone();
        change(&mut changed);
        forge::root(issuer, forge::ROOT, &changed)
    };
    let second = claims["iat"].as_u64().unwrap_or_default();
    let jwt = |header: &str| format!("{}.{}", forge::encode(header), forge::encode(&claims.to_string()));
    let unsigned = format!("bh_{}.", jwt(r#"{"typ":"bh+jwt","alg":"none","kid":"main"}"#));
    let message = jwt(r#"{"typ":"bh+jwt","alg":"HS256","kid":"main"}"#);
    let mac = hmac_sha256(&issuer.key().public().to_bytes(), message.as_bytes());
    let hashed =
        format!("bh_{message}.{}", base64::Engine::encode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, mac));
    let jwk = r#"{"typ":"bh+jwt","alg":"EdDSA","kid":"main","jwk":{"kty":"OKP","crv":"Ed25519","x":"AAAA"}}"#;
    Ok(vec![
        ("no token of ours", "sk-proj-0123456789".to_owned(), "invalid_api_key"),
        ("nothing after the prefix", "bh_".to_owned(), "invalid_api_key"),
        ("alg none", unsigned, "invalid_api_key"),
        ("alg none, signed", header(r#"{"typ":"bh+jwt","alg":"none","kid":"main"}"#), "invalid_api_key"),
        ("another alg", header(r#"{"typ":"bh+jwt","alg":"ES256","kid":"main"}"#), "invalid_api_key"),
        ("the public key as a shared secret", hashed, "invalid_api_key"),
        ("a wrong kid", header(r#"{"typ":"bh+jwt","alg":"EdDSA","kid":"other"}"#), "invalid_api_key"),
        ("no kid", header(r#"{"typ":"bh+jwt","alg":"EdDSA"}"#), "invalid_api_key"),
        ("an embedded key", header(jwk), "invalid_api_key"),
        (
            "a key by reference",
            header(r#"{"typ":"bh+jwt","alg":"EdDSA","kid":"main","jku":"https://evil.example"}"#),
            "invalid_api_key",
        ),
        (
            "a certificate chain",
            header(r#"{"typ":"bh+jwt","alg":"EdDSA","kid":"main","x5c":["AAAA"]}"#),
            "invalid_api_key",
        ),
        (
            "a critical extension",
            header(r#"{"typ":"bh+jwt","alg":"EdDSA","kid":"main","crit":["b64"]}"#),
            "invalid_api_key",
        ),
        ("a stranger's signature", forge::root(&Issuer::new(99), forge::ROOT, &claims), "invalid_api_key"),
        ("a tampered header", forge::tampered(&good, 0), "invalid_api_key"),
        ("tampered claims", forge::tampered(&good, 1), "invalid_api_key"),
        ("a tampered signature", forge::tampered(&good, 2), "invalid_api_key"),
        ("5 KiB", format!("bh_{}", "a".repeat(5 * 1024)), "invalid_api_key"),
        ("expired", with(&|claims| claims["exp"] = json!(second - 1)), "invalid_api_key"),
        (
            "expired an hour ago",
            with(&|claims| (claims["iat"], claims["exp"]) = (json!(second - 7200), json!(second - 3600))),
            "token_expired",
        ),
        ("not yet valid", with(&|claims| claims["nbf"] = json!(second + 600)), "invalid_api_key"),
        ("from the future", with(&|claims| claims["iat"] = json!(second + 600)), "invalid_api_key"),
        ("another cluster's", with(&|claims| claims["aud"] = json!("elsewhere")), "invalid_api_key"),
        ("an unknown claim", with(&|claims| claims["bh"]["superuser"] = json!(true)), "invalid_api_key"),
        (
            "a claim twice",
            format!(
                "bh_{}",
                forge::link(forge::ROOT, &claims.to_string().replacen('{', r#"{"sub":"bob","#, 1), issuer.key())
            ),
            "invalid_api_key",
        ),
    ])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_token_is_refused_in_either_dialect() -> Result<()> {
    let setting = setting(|config, _| Ok(config)).await?;
    for (what, token, code) in bad_roots(&setting.issuer)? {
        setting.refused(what, &token, 401, code).await?;
    }
    for wire in Wire::BOTH {
        let bare = setting.gateway.client.post(format!("{}{}", setting.gateway.url(), wire.path()));
        let told = wire.told(bare.json(&wire.ask(MODEL, false)).send().await?).await?;
        assert_eq!((told.status, told.kind.as_str()), (401, "authentication_error"));
    }
    assert_eq!(setting.provider.served().requests, 0);
    assert_eq!(setting.call(Wire::OpenAi, &setting.issuer.plain()?).await?.0, 200, "a good one passes");
    assert!(!setting.gateway.output().contains("panicked"), "{}", setting.gateway.output());
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_part_of_a_chain_and_no_wider_child_is_accepted() -> Result<()> {
    let setting = setting(|config, _| Ok(config)).await?;
    let issuer = &setting.issuer;
    let holders: Vec<_> = (0..5).map(|n| SigningKey::from_seed([50 + n; 32])).collect();
    let certificate = issuer.token(|claims| {
        claims.grants.holder = Some(holders[0].public());
        claims.grants.models = Some(vec!["gpt-4o*".to_owned()]);
        claims.grants.roles = Some(vec!["dev".to_owned()]);
    })?;
    let expiry = forge::claims_of(&certificate)?["exp"].as_u64().unwrap_or_default();
    let child = |bh| forge::child(&certificate, &holders[0], expiry, bh);
    let leaf = issuer.narrow(&certificate, &holders[0], Grants::default())?;
    let next = |n: usize| Grants { holder: Some(holders[n].public()), ..Grants::default() };
    let middle = issuer.narrow(&certificate, &holders[0], next(1))?;
    let mut deep = middle.clone();
    for n in 1..4 {
        deep = forge::child(&deep, &holders[n], expiry, json!({"holder": holders[n + 1].public().to_base64url()}));
    }
    let (_, alone) = leaf.split_once('~').unwrap_or_default();
    let other = issuer.token(|claims| claims.grants.holder = Some(holders[0].public()))?;
    for (what, token) in [
        ("a certificate alone", certificate.clone()),
        ("a chain that ends in a certificate", middle.clone()),
        ("a child alone", format!("bh_{alone}")),
        ("a child alone, bare", alone.to_owned()),
        ("a child under another parent", format!("{other}~{alone}")),
        ("a child claiming an identity", child(json!({"org": "other"}))),
        ("a child with a wider role", child(json!({"roles": ["dev", "explain"]}))),
        ("a child that outlives its parent", forge::child(&certificate, &holders[0], expiry + 60, json!({}))),
        ("a child signed by somebody else", forge::child(&certificate, &holders[4], expiry, json!({}))),
        (
            "a child under a token that is no certificate",
            forge::child(&issuer.plain()?, &holders[0], expiry, json!({})),
        ),
        ("a chain too deep", forge::child(&deep, &holders[4], expiry, json!({}))),
    ] {
        setting.refused(what, &token, 401, "invalid_api_key").await?;
    }
    let wider = child(json!({"models": ["*"]}));
    let answer = Wire::OpenAi
        .send(&setting.gateway.client, &setting.gateway.url(), &wider, &Wire::OpenAi.ask("gpt-5", false))
        .await?;
    let told = Wire::OpenAi.told(answer).await?;
    assert_eq!((told.status, told.code.as_deref()), (403, Some("model_not_allowed")), "a wider child reaches no more");
    assert_eq!(setting.provider.served().requests, 0);
    assert_eq!(setting.call(Wire::Anthropic, &leaf).await?.0, 200, "a rightly narrowed one passes");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_opens_its_own_plane_only() -> Result<()> {
    let setting = setting(|config, _| Ok(config)).await?;
    let admin = setting.issuer.admin()?;
    setting.refused("an admin token on the data plane", &admin, 403, "wrong_plane").await?;
    let on_admin = async |token: &str| -> Result<(u16, String)> {
        let url = format!("{}/admin/v1/budgets", setting.gateway.admin_url());
        let answer = setting.gateway.client.get(url).bearer(token).send().await?;
        Ok((answer.status, answer.json().await?["error"]["code"].as_str().unwrap_or_default().to_owned()))
    };
    assert_eq!(on_admin(&setting.issuer.plain()?).await?, (403, "wrong_plane".to_owned()));
    assert_eq!(on_admin("bh_x").await?, (401, "invalid_api_key".to_owned()));
    assert_eq!(on_admin(&admin).await?, (200, String::new()));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_ancestor_kills_the_tree_while_the_gateway_runs() -> Result<()> {
    let setting = setting(|config, _| Ok(config)).await?;
    let issuer = &setting.issuer;
    let holder = SigningKey::from_seed([60; 32]);
    let certificate = issuer.token(|claims| claims.grants.holder = Some(holder.public()))?;
    let children = [
        issuer.narrow(&certificate, &holder, Grants::default())?,
        issuer.narrow(&certificate, &holder, Grants::default())?,
    ];
    let bystander = issuer.plain()?;
    let bob = issuer.token(|claims| claims.sub = "bob".to_owned())?;
    for token in children.iter().chain([&bystander, &bob]) {
        assert_eq!(setting.call(Wire::OpenAi, token).await?.0, 200);
    }
    let mut revoked = Revocations::new();
    assert!(revoked.revoke_id(inspect(&certificate)?.links[0].id));
    let list = setting.folder.data().join("revocations.json");
    Folder::write(&list, &revoked.to_json())?;
    let gone = (401, "token_revoked".to_owned());
    for token in &children {
        eventually("a revoked tree is refused", SOON, async || {
            Ok((setting.call(Wire::OpenAi, token).await? == gone).then_some(()))
        })
        .await?;
    }
    assert_eq!(setting.call(Wire::OpenAi, &bystander).await?.0, 200, "others go on");
    revoked.revoke_subject("bob", Millis::from_secs(4_000_000_000))?;
    Folder::write(&list, &revoked.to_json())?;
    eventually("a revoked subject is refused", SOON, async || {
        Ok((setting.call(Wire::OpenAi, &bob).await? == gone).then_some(()))
    })
    .await?;
    assert_eq!(setting.call(Wire::OpenAi, &bystander).await?.0, 200, "others go on");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_removed_key_refuses_its_tokens_while_the_gateway_runs() -> Result<()> {
    let setting = setting(|config, folder| {
        let file = folder.file("keys.json");
        Folder::write(&file, &Issuer::new(3).jwks()?)?;
        Ok(config.set("tokens.issuers", json!([{"file": file.display().to_string()}])))
    })
    .await?;
    let token = setting.issuer.plain()?;
    assert_eq!(setting.call(Wire::OpenAi, &token).await?.0, 200);
    let another = Issuer::new(4);
    Folder::write(&setting.folder.file("keys.json"), &another.jwks()?)?;
    eventually("a remembered token of a removed key is refused", SOON, async || {
        Ok((setting.call(Wire::OpenAi, &token).await? == (401, "invalid_api_key".to_owned())).then_some(()))
    })
    .await?;
    assert_eq!(setting.call(Wire::OpenAi, &another.plain()?).await?.0, 200, "the new key's tokens pass");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_siblings_never_spend_more_than_their_parents_budget() -> Result<()> {
    let limit = NanoUsd(3_000_000);
    let setting = setting(|config, _| Ok(config)).await?;
    let (bill, row) = (Bill::default(), prices("openai", MODEL)?);
    let seed = Mutex::new(Seed::announced("siblings"));
    let charged = bill.clone();
    setting.provider.on(move |seen| {
        let output = seed.lock().unwrap_or_else(PoisonError::into_inner).within(1..65) as u64;
        let tokens = Tokens { input: 9, output };
        charged.charge(&row, tokens);
        Some(Wire::OpenAi.reply_to(seen, "hello", tokens))
    });
    let holder = SigningKey::from_seed([61; 32]);
    let grants = |claims: &mut Claims| {
        claims.grants.holder = Some(holder.public());
        claims.grants.budgets = vec![budget(limit)];
    };
    let certificate = setting.issuer.token(grants)?;
    let (tracker, refused) = (TaskTracker::new(), Arc::new(Mutex::new(0)));
    let mut siblings = Vec::new();
    for _ in 0..50 {
        // Each may spend more than all of them together.
        let own = Grants { budgets: vec![budget(NanoUsd::from_usd(1000))], ..Grants::default() };
        let token = setting.issuer.narrow(&certificate, &holder, own)?;
        let (client, url, refused) = (setting.gateway.client.clone(), setting.gateway.url(), Arc::clone(&refused));
        siblings.push(tracker.spawn(async move {
            for turn in 0..6 {
                let answer = Wire::OpenAi.send(&client, &url, &token, &Wire::OpenAi.ask(MODEL, turn % 2 == 0)).await?;
                match answer.status {
                    200 => Wire::OpenAi.text(answer).await.map(drop)?,
                    402 => *refused.lock().unwrap_or_else(PoisonError::into_inner) += 1,
                    // Rights that were under way for longer than a request may wait.
                    503 => (),
                    status => anyhow::bail!("status {status}"),
                }
            }
            Ok(())
        }));
    }
    for sibling in siblings {
        sibling.await??;
    }
    let refused = *refused.lock().unwrap_or_else(PoisonError::into_inner);
    say(&format!("served {} of {limit} USD, {refused} refused", bill.total()));
    assert!(bill.total() <= limit, "served {} of {limit} USD", bill.total());
    assert!(limit.0 / 2 < bill.total().0 && 0 < refused, "served {}, refused {refused}", bill.total());
    Ok(())
}
