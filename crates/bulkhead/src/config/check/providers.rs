//! Providers, as routing sees them and as transport does.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use bh_base::Millis;
use bh_pipeline::Deadlines;
use bh_policy::{KeyConfig, ProviderConfig, Serves};
use bh_upstream::{ConfigFault, Kind, Upstreams};
use secrecy::{ExposeSecret, SecretString};

use super::{Check, Secrets};
use crate::config::fault::Problem;
use crate::config::raw::{Key, Name, Provider, Timeouts};
use crate::config::words::Word;
use crate::node::DEADLINES;

/// Stands where a secret is not read.
const ASSUMED: &str = "assumed";
/// What the built-in provider serves.
const ECHO_MODELS: &str = "echo*";

/// The three views of the providers.
pub(super) struct Providers {
    pub(super) routing: Vec<ProviderConfig>,
    pub(super) upstream: bh_upstream::Config,
    pub(super) deadlines: Vec<(String, Deadlines)>,
}

impl Check<'_> {
    pub(super) fn providers(&mut self, providers: &[Provider]) -> Providers {
        let mut made =
            Providers { routing: Vec::new(), upstream: bh_upstream::Config::default(), deadlines: Vec::new() };
        let mut certain = Vec::new();
        for (at, provider) in providers.iter().enumerate() {
            let path = format!("providers[{at}]");
            let secrets: Vec<SecretString> = provider
                .keys
                .iter()
                .enumerate()
                .map(|(at, key)| self.secret(&format!("{path}.keys[{at}].secret"), key))
                .collect();
            made.routing.push(routing(provider, &secrets));
            let upstream = upstream(provider, secrets);
            let in_doubt = ["id", "kind", "base_url", "keys", "headers", "timeouts"];
            if !in_doubt.iter().any(|key| self.is_doubtful(&format!("{path}.{key}"))) {
                certain.push((at, upstream.clone()));
            }
            made.upstream.providers.push(upstream);
            made.deadlines.push((provider.id.clone(), deadlines(&provider.timeouts)));
        }
        self.transport(certain, providers);
        made
    }

    /// What transport says of them. It names a provider by its id, so those that share one are shown to it apart.
    fn transport(&mut self, mut certain: Vec<(usize, bh_upstream::ProviderConfig)>, providers: &[Provider]) {
        while !certain.is_empty() {
            let mut seen = HashSet::new();
            let (now, later) = certain.into_iter().partition(|(_, provider)| seen.insert(provider.id.clone()));
            certain = later;
            let now: Vec<(usize, bh_upstream::ProviderConfig)> = now;
            let places: HashMap<String, usize> = now.iter().map(|(at, one)| (one.id.clone(), *at)).collect();
            let config = bh_upstream::Config { providers: now.into_iter().map(|(_, provider)| provider).collect() };
            for fault in Upstreams::build(config).err().unwrap_or_default() {
                if let Some(path) = path_of(&fault, &places, providers) {
                    self.fault(path, Problem::Upstream(fault));
                }
            }
        }
    }

    fn secret(&mut self, path: &str, key: &Key) -> SecretString {
        let assumed = || SecretString::from(ASSUMED.to_owned());
        if self.is_doubtful(path) {
            return assumed();
        }
        let read = match self.secrets {
            Secrets::Read => key.secret.read(self.base, self.environment),
            Secrets::Assume => key.secret.place().map(|_| assumed()),
        };
        read.unwrap_or_else(|fault| {
            self.fault(path, fault);
            assumed()
        })
    }
}

fn routing(provider: &Provider, secrets: &[SecretString]) -> ProviderConfig {
    let Word(kind) = provider.kind;
    let serves = match (&provider.models, kind) {
        (Some(models), _) => Serves::Patterns(models.iter().map(|Name(model)| model.clone()).collect()),
        (None, Kind::Echo) => Serves::Patterns(vec![ECHO_MODELS.to_owned()]),
        (None, Kind::OpenAi | Kind::Anthropic | Kind::OpenAiCompatible) => Serves::Catalog,
    };
    let keys = provider.keys.iter().zip(secrets).map(|(key, secret)| KeyConfig {
        id: key.id.clone(),
        weight: key.weight.unwrap_or(1),
        rpm: key.rpm,
        tpm: key.tpm,
        fingerprint: fingerprint(secret),
    });
    ProviderConfig { id: provider.id.clone(), kind: kind.as_str().to_owned(), serves, keys: keys.collect() }
}

/// Differs between secrets; kept in memory only.
fn fingerprint(secret: &SecretString) -> u64 {
    let hash = bh_seal::sha256(&[b"bulkhead key fingerprint", secret.expose_secret().as_bytes()]);
    u64::from_be_bytes(hash[..8].try_into().expect("a hash has 32 bytes"))
}

fn upstream(provider: &Provider, secrets: Vec<SecretString>) -> bh_upstream::ProviderConfig {
    let built_in = bh_upstream::Timeouts::default();
    let Word(kind) = provider.kind;
    bh_upstream::ProviderConfig {
        id: provider.id.clone(),
        kind,
        base_url: provider.base_url.clone(),
        keys: provider
            .keys
            .iter()
            .zip(secrets)
            .map(|(key, secret)| bh_upstream::KeyConfig { id: key.id.clone(), secret })
            .collect(),
        headers: provider.headers.iter().map(|(name, value)| (name.clone(), value.clone())).collect(),
        timeouts: bh_upstream::Timeouts {
            connect: provider.timeouts.connect_ms.map_or(built_in.connect, Duration::from_millis),
            headers: provider.timeouts.headers_ms.map_or(built_in.headers, Duration::from_millis),
        },
        extra_roots: Vec::new(),
    }
}

fn deadlines(timeouts: &Timeouts) -> Deadlines {
    Deadlines {
        first_token: timeouts.first_token_ms.map_or(DEADLINES.first_token, Millis),
        idle: timeouts.idle_ms.map_or(DEADLINES.idle, Millis),
        total: timeouts.total_ms.map_or(DEADLINES.total, Millis),
    }
}

/// Where a fault of transport stands; nothing for those that routing reports as well. `places` are those of the ids.
fn path_of(fault: &ConfigFault, places: &HashMap<String, usize>, providers: &[Provider]) -> Option<String> {
    let place = |id: &String| places.get(id).map(|at| (*at, &providers[*at]));
    let (at, key) = match fault {
        ConfigFault::DuplicateProvider { .. } => return None,
        ConfigFault::InvalidBaseUrl { provider } => (place(provider)?.0, ".base_url".to_owned()),
        ConfigFault::MissingBaseUrl { provider }
        | ConfigFault::MissingKey { provider }
        | ConfigFault::InvalidRoot { provider } => (place(provider)?.0, String::new()),
        ConfigFault::InvalidSecret { provider, key } => {
            let (at, found) = place(provider)?;
            let key = found.keys.iter().position(|found| found.id == *key)?;
            (at, format!(".keys[{key}].secret"))
        }
        ConfigFault::InvalidHeader { provider, name } | ConfigFault::ReservedHeader { provider, name } => {
            let (at, found) = place(provider)?;
            let name = found.headers.keys().find(|written| written.eq_ignore_ascii_case(name))?;
            (at, format!(".headers.{name}"))
        }
        ConfigFault::InvalidDeadline { provider, deadline } => (place(provider)?.0, format!(".timeouts.{deadline}")),
    };
    Some(format!("providers[{at}]{key}"))
}
