//! A node's life as an operator sees it: start, ready, stop, and each way it can fail.

use bh_disk::DataFolder;
use bh_testkit::Client;
use bh_testkit::tls::Certificate;
use serde_json::json;

use crate::node::{Node, hello, hello_stream};
use crate::support::Folder;

/// A stream of forty seconds, which outlasts what a test waits for.
const LONG: &str = "echo-slow-200-long-200";

#[tokio::test(flavor = "multi_thread")]
async fn a_node_serves_and_ends_in_order() {
    let folder = Folder::new("serve");
    folder.configure(|_| ());
    let mut node = folder.serve();
    let token = folder.token(&[]);
    let answer = node.ask(&token, &hello("echo")).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json().await.expect("JSON")["choices"][0]["message"]["content"], "Hello, Bulkhead!");
    folder.out(&["healthcheck", "--admin", &node.admin.to_string()]);
    node.stop();
    folder.out(&["audit", "verify", "--dir", "data"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_ends_by_itself_before_the_node_does() {
    let folder = Folder::new("serve-drain");
    folder.configure(|_| ());
    let mut node = folder.serve();
    let token = folder.token(&[]);
    let mut stream = node.ask(&token, &hello_stream("echo-slow-20-long-50")).await;
    stream.item().await.expect("the stream has begun");
    node.signal("TERM");
    node.said("stopping");
    let items = stream.items().await.expect("it ends in order");
    assert_eq!(items.last().and_then(|item| item.data()), Some("[DONE]"));
    assert_eq!(node.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_drain_deadline_cuts_and_says_so() {
    let folder = Folder::new("serve-cut");
    folder.configure(|config| config["server"]["drain_s"] = json!(1));
    let mut node = folder.serve();
    let token = folder.token(&[]);
    let mut stream = node.ask(&token, &hello_stream(LONG)).await;
    stream.item().await.expect("the stream has begun");
    node.signal("TERM");
    assert_eq!(node.code(), Some(75));
    node.said("the drain deadline passed");
    // What was cut is settled and recorded all the same.
    folder.out(&["audit", "verify", "--dir", "data"]);
    let settled = folder.out(&["audit", "tail", "--dir", "data", "--filter", "kind=settle", "--output", "json"]);
    assert_eq!(settled.lines().count(), 1, "{settled}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_waits_for_nothing() {
    let folder = Folder::new("serve-forced");
    folder.configure(|_| ());
    let mut node = folder.serve();
    let token = folder.token(&[]);
    let mut stream = node.ask(&token, &hello_stream(LONG)).await;
    stream.item().await.expect("the stream has begun");
    node.signal("TERM");
    node.said("stopping");
    let health = folder.run(&["healthcheck", "--admin", &format!("http://{}", node.admin)]).ended(1);
    assert!(health.stdout.contains("draining"), "{}", health.stdout);
    node.signal("INT");
    assert_eq!(node.code(), Some(75));
    folder.run(&["audit", "verify", "--dir", "data"]).ended(1);
}

#[test]
fn a_faulty_configuration_is_told_with_its_place() {
    let folder = Folder::new("serve-faulty");
    folder.write("bulkhead.yaml", "server: { listen: nowhere }\n");
    let said = folder.run(&["serve"]).refused(78, "server.listen");
    assert!(said.stderr.contains("bulkhead.yaml:1:"), "{}", said.stderr);
    folder.run(&["serve", "--config", "absent.yaml"]).refused(78, "absent.yaml cannot be read");
}

#[test]
fn an_address_that_is_taken_is_named_with_the_cause() {
    let folder = Folder::new("serve-taken");
    let other = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let taken = other.local_addr().expect("an address").to_string();
    folder.configure(|config| config["server"]["listen"] = json!(taken));
    let said = folder.run(&["serve", "--config", "bulkhead.yaml"]).refused(69, &taken);
    assert!(said.stderr.contains("Address already in use") && said.stderr.contains("doctor"), "{}", said.stderr);
}

#[test]
fn a_data_folder_that_is_held_names_its_holder() {
    let folder = Folder::new("serve-held");
    folder.configure(|_| ());
    let _held = DataFolder::open(&folder.0.join("data"), "bulkhead 4711").expect("a folder");
    folder.run(&["serve", "--config", "bulkhead.yaml"]).refused(69, "in use by bulkhead 4711");
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_takes_h2_and_a_new_certificate_on_sighup() {
    let folder = Folder::new("serve-tls");
    let renew = || {
        let certificate = Certificate::for_localhost().expect("a certificate");
        folder.write("cert.pem", &certificate.pem());
        folder.write("key.pem", &certificate.key_pem());
        certificate
    };
    let first = renew();
    folder.configure(|config| config["server"]["tls"] = json!({"cert": "cert.pem", "key": "key.pem"}));
    let mut node = folder.serve();
    let token = folder.token(&[]);
    let ask = async |certificate: &Certificate| {
        let client = Client::trusting(certificate).expect("a client");
        let url = format!("https://localhost:{}/v1/models", node.data.port());
        client.get(url).bearer(&token).send().await
    };
    let answer = ask(&first).await.expect("it answers");
    assert_eq!((answer.status, answer.version), (200, http::Version::HTTP_2));
    let second = renew();
    assert!(ask(&second).await.is_err(), "the new certificate is not in force before it is asked for");
    node.signal("HUP");
    node.said("new connections get");
    assert_eq!(ask(&second).await.expect("it answers").status, 200);
    node.stop();
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn the_service_manager_is_told() {
    let folder = Folder::new("serve-notify");
    folder.configure(|_| ());
    let path = std::env::temp_dir().join(format!("bulkhead-notify-{}", std::process::id()));
    let socket = tokio::net::UnixDatagram::bind(&path).expect("a socket");
    let heard = async |wanted: &str| {
        let wait = async {
            let mut bytes = [0; 1024];
            loop {
                let length = socket.recv(&mut bytes).await.expect("a message");
                if String::from_utf8_lossy(&bytes[..length]).lines().any(|line| line == wanted) {
                    return;
                }
            }
        };
        tokio::time::timeout(crate::node::SOON, wait).await.unwrap_or_else(|_| panic!("{wanted} was not said"));
    };
    let launch = folder.launch(&["serve", "--config", "bulkhead.yaml"]);
    let launch = launch.env("NOTIFY_SOCKET", &path.display().to_string()).env("WATCHDOG_USEC", "200000");
    let mut node = Node::ready(launch);
    heard("READY=1").await;
    heard("WATCHDOG=1").await;
    node.signal("HUP");
    heard("RELOADING=1").await;
    heard("READY=1").await;
    node.signal("TERM");
    heard("STOPPING=1").await;
    assert_eq!(node.code(), Some(0));
    std::fs::remove_file(path).expect("the socket can go");
}
