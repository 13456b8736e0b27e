//! A configuration as a value. It is written as JSON, which is YAML too, so that no test stumbles over quoting.

use bh_base::NanoUsd;
use bh_testkit::ScriptedProvider;
use serde_json::{Value, json};

use crate::issuer::Issuer;
use crate::wire::Wire;

/// What the gateway is started with. Secrets go by environment variables, as the configuration demands.
#[derive(Debug, Clone)]
pub struct Config {
    value: Value,
    pub(crate) env: Vec<(String, String)>,
}

impl Config {
    /// Listeners on free ports, tokens of this issuer, nothing else.
    #[must_use]
    pub fn new(issuer: &Issuer) -> Self {
        let value = json!({
            "server": {"listen": "127.0.0.1:0", "admin_listen": "127.0.0.1:0", "drain_s": 20},
            "tokens": {"issuers": [issuer.entry()]},
            "providers": [],
        });
        Config { value, env: Vec::new() }
    }

    /// Sets the value at a path such as `server.drain_s`; objects on the way are made.
    ///
    /// # Panics
    /// When something else than an object is in the way.
    #[must_use]
    pub fn set(mut self, path: &str, value: Value) -> Self {
        let (way, name) = path.rsplit_once('.').unwrap_or(("", path));
        let mut at = &mut self.value;
        for step in way.split('.').filter(|step| !step.is_empty()) {
            let object = at.as_object_mut().expect("the path leads through objects");
            at = object.entry(step).or_insert_with(|| json!({}));
        }
        at.as_object_mut().expect("the path leads to an object").insert(name.to_owned(), value);
        self
    }

    /// Adds an entry to a list of the top level, such as `routes`.
    ///
    /// # Panics
    /// When that is no list.
    #[must_use]
    pub fn add(mut self, list: &str, entry: Value) -> Self {
        let object = self.value.as_object_mut().expect("a configuration is an object");
        let list = object.entry(list).or_insert_with(|| json!([]));
        list.as_array_mut().expect("it is a list").push(entry);
        self
    }

    /// Adds a scripted provider that speaks `wire` and serves models of this pattern, with one key.
    #[must_use]
    pub fn provider(self, id: &str, wire: Wire, provider: &ScriptedProvider, models: &str) -> Self {
        self.provider_with(id, wire, &provider.url(), json!({"models": [models]}))
    }

    /// Adds a provider at an address, with more settings.
    #[must_use]
    pub fn provider_with(self, id: &str, wire: Wire, url: &str, more: Value) -> Self {
        let config = self.env(&format!("SECRET_{}", id.to_uppercase()), &secret(id));
        let mut entry = json!({
            "id": id, "kind": wire.kind(), "base_url": wire.base_url(url),
            "keys": [{"id": "a", "secret": {"env": format!("SECRET_{}", id.to_uppercase())}}],
        });
        if let (Some(entry), Value::Object(more)) = (entry.as_object_mut(), more) {
            entry.extend(more);
        }
        config.add("providers", entry)
    }

    /// Gives a provider these keys instead of its own.
    ///
    /// # Panics
    /// When there is no provider of that id.
    #[must_use]
    pub fn rekey(mut self, id: &str, keys: &Value) -> Self {
        let providers = self.value["providers"].as_array_mut().expect("providers are a list");
        let provider = providers.iter_mut().find(|provider| provider["id"] == id).expect("the provider was added");
        provider["keys"] = keys.clone();
        self
    }

    /// Sets a variable of the gateway's environment.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The file.
    #[must_use]
    pub fn text(&self) -> String {
        format!("{:#}\n", self.value)
    }
}

/// An entry of `budgets`: a wall that holds the most a call can cost, over all time.
#[must_use]
pub fn hard(scope: &str, limit: NanoUsd) -> Value {
    json!({"scope": scope, "limit_usd": limit.to_string(), "window": "total", "mode": "hard", "hold": "strict"})
}

/// An entry of `budgets`: a line that is drawn, watched and never stops anybody, over all time.
#[must_use]
pub fn soft(scope: &str, limit: NanoUsd) -> Value {
    let limit = limit.to_string();
    json!({"scope": scope, "limit_usd": limit, "window": "total", "mode": "soft", "hold": "adaptive", "overage": "alert"})
}

/// The secret of a provider's first key.
#[must_use]
pub fn secret(provider: &str) -> String {
    format!("sk-test-{provider}-0123456789abcdef")
}
