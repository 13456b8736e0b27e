//! Must-hold 8: the router, walked path by path and method by method. What can cost money passes admission; everything
//! else is refused in its dialect and calls no provider.

use anyhow::Result;
use bh_base::NanoUsd;
use bh_testkit::ScriptedProvider;
use bh_testkit::answers::Tokens;
use bh_testkit::client::Answer;
use e2e::{Config, Folder, Gateway, Issuer, Wire, hard};
use http::Method;

const MODEL: &str = "gpt-4o-mini";

/// Paths that tell and cost nothing, with the methods they take.
const FREE: &[(&str, &[&str])] = &[
    ("/", &["GET", "HEAD"]),
    ("/livez", &["GET", "HEAD"]),
    ("/readyz", &["GET", "HEAD"]),
    ("/health", &["GET", "HEAD"]),
    ("/v1/models", &["GET", "HEAD"]),
    ("/v1/models/gpt-4o-mini", &["GET", "HEAD"]),
    ("/v1/budget", &["GET", "HEAD"]),
    ("/v1/requests/req_00000000000000000000000000000000", &["GET", "HEAD"]),
    ("/v1/messages/count_tokens", &["POST"]),
];

/// Paths nobody promised, some of them close to a real one.
const UNKNOWN: &[&str] = &[
    "/v1",
    "/v2/chat/completions",
    "/v1/chat",
    "/v1/chat/completions/",
    "/v1/chat/completions/x",
    "//v1/messages",
    "/V1/MESSAGES",
    "/v1/messages/batches",
    "/admin/v1/budgets",
    "/metrics",
    "/ui/",
    "/v1/%63hat/completions",
    "/chat/completions",
    "/.well-known/x",
];

fn methods() -> Vec<Method> {
    let names = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"];
    names.iter().filter_map(|name| name.parse().ok()).collect()
}

struct Doors {
    gateway: Gateway,
    provider: ScriptedProvider,
    token: String,
    _folder: Folder,
}

impl Doors {
    /// A gateway whose organisation has not a cent left, so that every door to money leads to a refusal.
    async fn open() -> Result<Self> {
        let (issuer, folder, provider) = (Issuer::new(5), Folder::new()?, ScriptedProvider::start().await?);
        provider.on(|seen| Some(Wire::OpenAi.reply_to(seen, "money!", Tokens { input: 1, output: 1 })));
        let config = Config::new(&issuer)
            .provider("only", Wire::OpenAi, &provider, "gpt-*")
            .add("budgets", hard("org:acme", NanoUsd(1)));
        Ok(Doors { gateway: Gateway::start(&config, &folder)?, provider, token: issuer.plain()?, _folder: folder })
    }

    /// Knocks with a body that would be answered if money were there.
    async fn knock(&self, path: &str, method: &Method, with_token: bool) -> Result<Answer> {
        let wire = if path.starts_with("/v1/messages") { Wire::Anthropic } else { Wire::OpenAi };
        let mut ask = self.gateway.client.ask(method.clone(), format!("{}{path}", self.gateway.url()));
        if with_token {
            ask = ask.bearer(&self.token);
        }
        ask.json(&wire.ask(MODEL, false)).send().await
    }

    /// The answer must be a refusal with this status in the dialect of its path.
    async fn refused(&self, path: &str, method: &Method, with_token: bool, statuses: &[u16]) -> Result<()> {
        let place = format!("{method} {path}, token: {with_token}");
        let answer = self.knock(path, method, with_token).await?;
        assert!(statuses.contains(&answer.status), "{place}: {}", answer.status);
        if answer.status == 405 {
            assert!(!answer.header("allow").is_empty(), "{place}: 405 without Allow");
        }
        if *method != Method::HEAD && !["/livez", "/readyz", "/health"].contains(&path) {
            let wire = if path.starts_with("/v1/messages") { Wire::Anthropic } else { Wire::OpenAi };
            let told = wire.told(answer).await.map_err(|error| error.context(place.clone()))?;
            assert!(!told.kind.is_empty() && !told.message.is_empty(), "{place}: {told:?}");
        }
        assert_eq!(self.provider.served().requests, 0, "{place} reached the provider");
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_route_that_can_cost_money_is_stopped_by_an_empty_budget() -> Result<()> {
    let doors = Doors::open().await?;
    for (path, surface) in bh_http::PAID {
        assert!(surface.costs_money(), "{path}");
        for method in methods() {
            if method == Method::POST {
                doors.refused(path, &method, false, &[401]).await?;
                doors.refused(path, &method, true, &[402]).await?;
            } else {
                doors.refused(path, &method, false, &[405]).await?;
                doors.refused(path, &method, true, &[405]).await?;
            }
        }
    }
    // The same doors by other spellings of the same request.
    let url = doors.gateway.url();
    for path in ["/v1/chat/completions?x=1", "/v1/chat/completions?", "/v1/messages?beta=true"] {
        let wire = if path.starts_with("/v1/messages") { Wire::Anthropic } else { Wire::OpenAi };
        for stream in [false, true] {
            let ask = doors.gateway.client.post(format!("{url}{path}")).header("x-api-key", &doors.token);
            assert_eq!(ask.json(&wire.ask(MODEL, stream)).send().await?.status, 402, "{path}");
        }
    }
    assert_eq!(doors.provider.served().requests, 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_built_says_so_by_any_method() -> Result<()> {
    let doors = Doors::open().await?;
    for pattern in bh_http::NOT_BUILT {
        let path = pattern.replace("{*rest}", "a/b").replace("{id}", "req_00000000000000000000000000000000");
        for method in methods() {
            for with_token in [false, true] {
                doors.refused(&path, &method, with_token, &[404]).await?;
            }
        }
        let told = Wire::OpenAi.told(doors.knock(&path, &Method::POST, true).await?).await?;
        assert_eq!(told.code.as_deref(), Some("not_built"), "{path}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_other_path_and_method_is_refused_and_calls_nobody() -> Result<()> {
    let doors = Doors::open().await?;
    for (path, allowed) in FREE {
        for method in methods().into_iter().filter(|method| !allowed.contains(&method.as_str())) {
            for with_token in [false, true] {
                doors.refused(path, &method, with_token, &[405]).await?;
            }
        }
    }
    for path in UNKNOWN {
        for method in methods() {
            for with_token in [false, true] {
                doors.refused(path, &method, with_token, &[404]).await?;
            }
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_only_tells_needs_a_token_and_costs_nothing() -> Result<()> {
    let doors = Doors::open().await?;
    for (path, allowed) in FREE {
        for method in methods().into_iter().filter(|method| allowed.contains(&method.as_str())) {
            let open = ["/", "/livez", "/readyz", "/health"].contains(path);
            let expected = match (open, path.contains("/requests/")) {
                (true, _) => (200, 200),
                (false, false) => (401, 200),
                (false, true) => (401, 404),
            };
            let without = doors.knock(path, &method, false).await?.status;
            let with = doors.knock(path, &method, true).await?.status;
            assert_eq!((without, with), expected, "{method} {path}");
        }
    }
    assert_eq!(doors.provider.served().requests, 0);
    Ok(())
}
