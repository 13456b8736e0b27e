//! The two listeners: free for a node to start, or held by the node that runs, which is asked how it is.

use std::io::ErrorKind;
use std::net::SocketAddr;

use bh_http::server::bind;
use serde_json::Value;

use super::Finding;
use crate::ask::{Answer, chain, get, reachable};
use crate::node::NodeConfig;

pub(super) async fn examine(node: &NodeConfig, holder: Option<&str>, found: &mut (dyn FnMut(Finding) + Send)) {
    match holder {
        None => {
            free("server.listen", node.listen, found);
            free("server.admin_listen", node.admin_listen, found);
        }
        Some(holder) => running(node, holder, found).await,
    }
}

/// Whether a node could listen here.
fn free(check: &'static str, addr: SocketAddr, found: &mut (dyn FnMut(Finding) + Send)) {
    found(match bind(addr) {
        Ok(_) => Finding::ok(check, format!("{addr} is free")),
        Err(error) if error.kind() == ErrorKind::AddrInUse => {
            let next = format!("stop the process that holds it (`ss -ltnp sport = :{}`), or set {check}", addr.port());
            Finding::fail(check, format!("{addr} is taken by another process"), next)
        }
        Err(error) => {
            let next = format!("set {check} to an address of this machine that this user may listen on");
            Finding::fail(check, format!("{addr} cannot be listened on ({error})"), next)
        }
    });
}

/// Asks the node that holds the data folder.
async fn running(node: &NodeConfig, holder: &str, found: &mut (dyn FnMut(Finding) + Send)) {
    const CHECK: &str = "node";
    if node.admin_listen.port() == 0 {
        let next =
            "give server.admin_listen a port, or ask `bulkhead healthcheck --admin` with the one in the node's log";
        return found(Finding::warn(CHECK, format!("{holder} runs at a port that only its log names"), next));
    }
    let admin = reachable(node.admin_listen);
    match get(&format!("http://{admin}/readyz"), None).await {
        Ok(answer) => found(readiness(&answer, admin)),
        Err(error) => {
            let next = format!(
                "{holder} holds the data folder: it is starting, hangs, or was started with another server.admin_listen"
            );
            return found(Finding::fail(CHECK, chain(&error), next));
        }
    }
    if let Ok(answer) = get(&format!("http://{admin}/health"), None).await {
        health(&answer, found);
    }
}

fn readiness(answer: &Answer, admin: SocketAddr) -> Finding {
    const CHECK: &str = "node";
    let body: Value = serde_json::from_str(&answer.body).unwrap_or_default();
    let status = body["status"].as_str().unwrap_or("unknown");
    let reasons: Vec<&str> = body["reasons"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let found = format!("http://{admin}/readyz says {status}: {}", reasons.join("; "));
    match (answer.status, status) {
        (200, "ready") => Finding::ok(CHECK, format!("running, and ready at http://{admin}")),
        (200, _) => Finding::warn(CHECK, found, "it serves; mend what it names"),
        (_, _) => Finding::fail(CHECK, found, "mend what it names; no load balancer sends it requests meanwhile"),
    }
}

/// Providers as the running node sees them.
fn health(answer: &Answer, found: &mut (dyn FnMut(Finding) + Send)) {
    let body: Value = serde_json::from_str(&answer.body).unwrap_or_default();
    for provider in body["providers"].as_array().into_iter().flatten() {
        if provider["available"] == false {
            let id = provider["provider"].as_str().unwrap_or("?");
            let next = "the node tries again by itself; see its log, and the provider's status page";
            let message =
                format!("the running node has provider {id} out of service: every breaker open, or no usable key");
            found(Finding::warn("node", message, next));
        }
    }
}
