//! The provider behind the gateway: one scripted server, where each exchange has a path of its own, so that exchanges
//! can run side by side and none sees another's answer.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Result;
use bh_testkit::{Recording, Reply, ScriptedProvider, Seed, Seen, Split};
use http::HeaderValue;

/// Most points at which a body is split.
const PIECES_MAX: usize = 24;

/// The server and what it has seen.
pub(crate) struct Stage {
    provider: ScriptedProvider,
    scenes: Arc<Mutex<HashMap<String, Scene>>>,
}

struct Scene {
    reply: Reply,
    seen: Vec<Seen>,
}

impl Stage {
    /// Starts the server.
    ///
    /// # Errors
    /// No port can be bound.
    pub(crate) async fn open() -> Result<Self> {
        let provider = ScriptedProvider::start().await?;
        let scenes = Arc::new(Mutex::new(HashMap::<String, Scene>::new()));
        let shown = Arc::clone(&scenes);
        provider.on(move |seen| {
            let name = seen.path.split('/').nth(1)?;
            let mut scenes = lock(&shown);
            let scene = scenes.get_mut(name)?;
            scene.seen.push(seen.clone());
            Some(scene.reply.clone())
        });
        Ok(Stage { provider, scenes })
    }

    /// Where a provider of this name is served, without `/v1`.
    #[must_use]
    pub(crate) fn url(&self, name: &str) -> String {
        format!("{}/{name}", self.provider.url())
    }

    /// Lets a provider of this name answer with a reply.
    pub(crate) fn set(&self, name: &str, reply: Reply) {
        lock(&self.scenes).insert(name.to_owned(), Scene { reply, seen: Vec::new() });
    }

    /// What a provider of this name was asked.
    #[must_use]
    pub(crate) fn seen(&self, name: &str) -> Vec<Seen> {
        lock(&self.scenes).get(name).map(|scene| scene.seen.clone()).unwrap_or_default()
    }
}

/// A recorded answer, split at points drawn from the seed.
#[must_use]
pub(crate) fn recorded(recording: &Recording, seed: &mut Seed) -> Reply {
    let mut sendable = recording.clone();
    sendable.response.headers.retain(|_, value| HeaderValue::from_str(value).is_ok());
    Reply::recorded(&sendable).split(&Split::Random(seed.fork(), PIECES_MAX))
}

/// A panic while the lock was held has failed the run already.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
