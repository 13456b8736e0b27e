//! A node of the real binary: started in a test's folder, asked over HTTP, told by signals.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bh_testkit::Client;
use bh_testkit::client::Answer;
use bh_testkit::process::{GatewayProcess, Launch};
use serde_json::{Value, json};

use crate::support::Folder;

/// Longest wait for anything. Generous, because the machines of tests are busy.
pub(crate) const SOON: Duration = Duration::from_secs(60);
/// Between two looks at something that changes by itself.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// A running node, killed when dropped.
pub(crate) struct Node {
    pub(crate) process: GatewayProcess,
    pub(crate) data: SocketAddr,
    pub(crate) admin: SocketAddr,
    pub(crate) client: Client,
}

impl Folder {
    /// Makes an issuer's key and a configuration with the echo provider; `change` may add to it.
    pub(crate) fn configure(&self, change: impl FnOnce(&mut Value)) {
        if !self.0.join("issuer.key").exists() {
            self.out(&["key", "generate", "--out", "issuer.key", "--kid", "main"]);
        }
        let key: Value = serde_json::from_str(&self.out(&["key", "public", "--key", "issuer.key"])).expect("a JWK");
        let mut config = json!({
            "server": {"listen": "127.0.0.1:0", "admin_listen": "127.0.0.1:0", "drain_s": 60},
            "data_dir": "data",
            "tokens": {"issuers": [{"kid": key["kid"], "x": key["x"]}]},
            "providers": [{"id": "echo", "kind": "echo", "models": ["echo*"]}],
        });
        change(&mut config);
        // At once, as a careful operator does. JSON is YAML.
        self.write("fresh", &format!("{config:#}\n"));
        std::fs::rename(self.0.join("fresh"), self.0.join("bulkhead.yaml")).expect("a file can be renamed");
    }

    /// A token of this issuer.
    pub(crate) fn token(&self, more: &[&str]) -> String {
        self.out(&[&["token", "mint", "--key", "issuer.key", "--sub", "ada", "--ttl", "1h"], more].concat())
    }

    /// A process of the binary in this folder.
    pub(crate) fn launch(&self, args: &[&str]) -> Launch {
        Launch::new(env!("CARGO_BIN_EXE_bulkhead")).folder(&self.0).args(args.iter().copied())
    }

    /// A node with the configuration of this folder, ready.
    pub(crate) fn serve(&self) -> Node {
        Node::ready(self.launch(&["serve", "--config", "bulkhead.yaml"]))
    }
}

impl Node {
    pub(crate) fn ready(launch: Launch) -> Self {
        let process = launch.spawn().expect("the binary can be run");
        let line = process.wait_for_line("bulkhead is ready", SOON).expect("it starts");
        let line: Value = serde_json::from_str(&line).expect("a log line is JSON");
        let address = |plane: &str| line[plane].as_str().expect("an address").parse().expect("an address");
        Node { data: address("data"), admin: address("admin"), process, client: Client::new().deadline(SOON) }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.data)
    }

    /// Asks the echo provider something.
    pub(crate) async fn ask(&self, token: &str, body: &Value) -> Answer {
        let ask = self.client.post(format!("{}/v1/chat/completions", self.url())).bearer(token).json(body);
        ask.send().await.expect("the node answers")
    }

    /// The status a plain question gets.
    pub(crate) async fn status(&self, token: &str) -> u16 {
        self.ask(token, &hello("echo")).await.status
    }

    /// Asks until the status is this one.
    pub(crate) async fn until_status(&self, token: &str, wanted: u16) {
        let begun = Instant::now();
        loop {
            let status = self.status(token).await;
            if status == wanted {
                return;
            }
            assert!(begun.elapsed() < SOON, "still {status} and not {wanted}\n{}", self.process.stderr());
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Waits for a log line.
    pub(crate) fn said(&self, part: &str) -> Value {
        let line = self.process.wait_for_line(part, SOON).expect("it says so");
        serde_json::from_str(&line).expect("a log line is JSON")
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, name: &str) {
        self.process.signal(name).expect("a signal can be sent");
    }

    /// Waits for its end.
    pub(crate) fn code(&mut self) -> Option<i32> {
        self.process.wait(SOON).expect("it ends").code()
    }

    /// Ends it in order.
    pub(crate) fn stop(&mut self) {
        self.signal("TERM");
        assert_eq!(self.code(), Some(0), "{}", self.process.stderr());
    }
}

/// A short question.
pub(crate) fn hello(model: &str) -> Value {
    json!({"model": model, "messages": [{"role": "user", "content": "Hello, Bulkhead!"}]})
}

/// The same, streamed.
pub(crate) fn hello_stream(model: &str) -> Value {
    json!({"model": model, "stream": true, "messages": [{"role": "user", "content": "Hello, Bulkhead!"}]})
}
