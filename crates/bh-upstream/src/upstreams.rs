//! Every provider of a configuration, behind the pipeline's port.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use bh_chat::Fault;
use bh_pipeline::ports::{Boxed, Call, Response, Upstream};
use tokio_util::task::TaskTracker;

use crate::config::{self, Checked, Config, ConfigFault, Kind, Timeouts};
use crate::connect;
use crate::echo;
use crate::fault;
use crate::provider::Provider;

/// The providers, ready to be called. Dropping it closes idle connections; answers being read go on.
pub struct Upstreams {
    providers: HashMap<String, Member>,
    tracker: TaskTracker,
}

#[derive(Clone)]
enum Member {
    Net(Arc<Provider>),
    Echo(Timeouts),
}

impl Upstreams {
    /// Checks every provider and prepares its pools. Connects to none.
    ///
    /// # Errors
    /// All faults of all providers.
    pub fn build(config: Config) -> Result<Self, Vec<ConfigFault>> {
        let tracker = TaskTracker::new();
        let mut faults = Vec::new();
        let mut providers = HashMap::with_capacity(config.providers.len());
        let mut system_tls = None;
        for provider in config.providers {
            let Some(checked) = config::check(provider, &mut faults) else { continue };
            let id = checked.id.clone();
            let Some(member) = member(checked, &mut system_tls, &tracker) else {
                faults.push(ConfigFault::InvalidRoot { provider: id });
                continue;
            };
            match providers.entry(id) {
                Entry::Occupied(seen) => faults.push(ConfigFault::DuplicateProvider { provider: seen.key().clone() }),
                Entry::Vacant(place) => {
                    place.insert(member);
                }
            }
        }
        if faults.is_empty() { Ok(Self { providers, tracker }) } else { Err(faults) }
    }

    /// Calls to a provider whose answer is not yet read to its end or dropped; zero for one that is not configured.
    #[must_use]
    pub fn in_flight(&self, provider: &str) -> usize {
        match self.providers.get(provider) {
            Some(Member::Net(net)) => net.in_flight(),
            Some(Member::Echo(_)) | None => 0,
        }
    }

    /// Closes every idle connection and waits for the tasks of the others, so for the answers still being read.
    pub async fn close(self) {
        let Self { providers, tracker } = self;
        drop(providers);
        tracker.close();
        tracker.wait().await;
    }
}

impl Upstream for Upstreams {
    fn call(&self, call: Call) -> Boxed<Result<Response, Fault>> {
        match self.providers.get(&*call.provider) {
            Some(Member::Net(net)) => Box::pin(Arc::clone(net).call(call)),
            Some(Member::Echo(timeouts)) => Box::pin(echo::call(call, timeouts.headers)),
            None => Box::pin(std::future::ready(Err(fault::not_configured(&call.provider)))),
        }
    }

    fn scrub(&self, provider: &str, text: &mut Vec<u8>) {
        if let Some(Member::Net(net)) = self.providers.get(provider) {
            net.scrub(text);
        }
    }
}

/// `None` when an extra root is not a certificate.
fn member(checked: Checked, system_tls: &mut Option<rustls::ClientConfig>, tracker: &TaskTracker) -> Option<Member> {
    if checked.kind == Kind::Echo {
        return Some(Member::Echo(checked.timeouts));
    }
    // The system's certificates are read once for all providers that add none of their own.
    let tls = if !checked.extra_roots.is_empty() {
        connect::tls(&checked.extra_roots).ok()?
    } else if let Some(shared) = system_tls {
        shared.clone()
    } else {
        system_tls.insert(connect::tls(&[]).ok()?).clone()
    };
    Some(Member::Net(Arc::new(Provider::new(checked, &tls, tracker))))
}
