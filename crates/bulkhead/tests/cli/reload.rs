//! What changes while a node runs: its configuration, its issuers' keys, its revocations.

use serde_json::{Value, json};

use crate::node::{hello, hello_stream};
use crate::support::Folder;

/// Nobody may spend anything.
fn broke(config: &mut Value) {
    config["budgets"] = json!([{"scope": "user:*", "limit_usd": "0.000001", "window": "day", "mode": "hard"}]);
}

#[tokio::test(flavor = "multi_thread")]
async fn sighup_puts_a_budget_in_force_and_a_changed_file_takes_it_away() {
    let folder = Folder::new("reload");
    folder.configure(|_| ());
    let mut node = folder.serve();
    let token = folder.token(&[]);
    let before = node.ask(&token, &hello("echo")).await;
    assert_eq!(before.status, 200);
    // A request in flight finishes under the configuration it began with.
    let mut stream = node.ask(&token, &hello_stream("echo-slow-20-long-100")).await;
    stream.item().await.expect("the stream has begun");
    folder.configure(broke);
    node.signal("HUP");
    node.until_status(&token, 402).await;
    let items = stream.items().await.expect("it ends in order");
    assert_eq!(items.last().and_then(|item| item.data()), Some("[DONE]"));
    folder.configure(|_| ());
    node.until_status(&token, 200).await;
    node.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_faulty_file_is_told_with_its_place_and_the_old_one_stays() {
    let folder = Folder::new("reload-faulty");
    folder.configure(broke);
    let mut node = folder.serve();
    let token = folder.token(&[]);
    assert_eq!(node.status(&token).await, 402);
    folder.configure(|config| config["budget"] = json!([]));
    let line =
        folder.read("bulkhead.yaml").lines().position(|line| line.contains("\"budget\"")).expect("it is there") + 1;
    let fault = node.said("a fault in the configuration");
    assert_eq!((&fault["key"], &fault["place"]), (&json!("budget"), &json!(format!("bulkhead.yaml:{line}:3"))));
    assert_eq!(fault["help"], "did you mean `budgets`?");
    node.said("the configuration is faulty; the old one stays in force");
    assert_eq!(node.status(&token).await, 402);
    std::fs::remove_file(folder.0.join("bulkhead.yaml")).expect("the file can go");
    node.said("the configuration file is gone");
    assert_eq!(node.status(&token).await, 402);
    folder.configure(|_| ());
    node.until_status(&token, 200).await;
    node.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_need_a_restart_are_named() {
    let folder = Folder::new("reload-fixed");
    folder.configure(|_| ());
    let mut node = folder.serve();
    folder.configure(|config| {
        config["server"]["listen"] = json!("127.0.0.1:1");
        config["server"]["drain_s"] = json!(7);
        config["data_dir"] = json!("elsewhere");
        config["audit"] = json!({"durability": "strict", "retain_h": 3});
        config["telemetry"] = json!({"log": "text"});
        broke(config);
    });
    node.until_status(&folder.token(&[]), 402).await;
    let stderr = node.process.stderr();
    let named: Vec<Value> = stderr.lines().filter(|line| line.contains("needs a restart")).map(json_of).collect();
    let named: Vec<&str> = named.iter().filter_map(|line| line["key"].as_str()).collect();
    let wanted = ["server.listen", "server.drain_s", "data_dir", "audit.durability", "audit.retain_h", "telemetry.log"];
    assert_eq!(named, wanted, "{stderr}");
    node.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_key_and_a_revoked_token_are_refused_at_once() {
    let folder = Folder::new("reload-keys");
    folder.configure(|config| config["tokens"]["issuers"] = json!([{"file": "keys.json"}]));
    folder.out(&["key", "generate", "--out", "other.key", "--kid", "other"]);
    let jwk = |file: &str| json_of(&folder.out(&["key", "public", "--key", file]));
    let (main, other) = (jwk("issuer.key"), jwk("other.key"));
    folder.write("keys.json", &json!({"keys": [main, other]}).to_string());
    let mut node = folder.serve();
    let by_main = folder.token(&[]);
    let by_other = folder.out(&["token", "mint", "--key", "other.key", "--sub", "eve", "--ttl", "1h"]);
    assert_eq!((node.status(&by_main).await, node.status(&by_other).await), (200, 200));
    folder.write("keys.json", &json!({"keys": [main]}).to_string());
    node.until_status(&by_other, 401).await;
    assert_eq!(node.status(&by_main).await, 200);
    // Before now: the token was minted in the past, by a second at least once the clock has moved on.
    let jti = json_of(&folder.out(&["token", "inspect", &by_main, "--output", "json"]));
    let jti = jti["links"][0]["claims"]["jti"].as_str().or(jti["jti"].as_str()).expect("an id").to_owned();
    folder.out(&["token", "revoke", "--jti", &jti, "--config", "bulkhead.yaml"]);
    node.until_status(&by_main, 401).await;
    node.stop();
}

fn json_of(text: &str) -> Value {
    serde_json::from_str(text).expect("JSON")
}
