//! `route explain`: before a request and after it.

use serde_json::json;

use crate::node::hello;
use crate::support::Folder;

fn folder(name: &str) -> Folder {
    let folder = Folder::new(name);
    folder.configure(|config| {
        config["routes"] = json!([{
            "model": "smart", "strategy": {"mode": "fallback"},
            "targets": [{"provider": "echo", "model": "echo-fail-503"}, {"provider": "echo", "model": "echo"}],
        }]);
    });
    folder.write("body.json", &hello("smart").to_string());
    folder
}

#[test]
fn a_body_is_explained_without_a_call() {
    let folder = folder("explain-body");
    let token = folder.token(&[]);
    let args = ["route", "explain", "--body", "body.json", "--token", &token, "--config", "bulkhead.yaml"];
    let told = folder.run(&[&args[..], &["--output", "json"]].concat()).ended(0).json();
    let models: Vec<&str> = told["decision"]["candidates"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|candidate| candidate["model"].as_str())
        .collect();
    assert_eq!((&told["decision"]["route"], &models[..]), (&json!("smart"), &["echo-fail-503", "echo"][..]));
    assert!(told["config_version"].is_string(), "{told}");
    let text = folder.out(&args);
    assert!(text.starts_with("route      smart (fallback)\n1          echo/echo-fail-503: "), "{text}");
    assert!(!folder.0.join("data/audit").exists(), "nothing was started");
}

#[test]
fn a_refusal_is_explained_too() {
    let folder = folder("explain-refused");
    let check = |token: &str, more: &[&str], status: u16, code: &str| {
        let args = ["route", "explain", "--body", "body.json", "--token", token, "--output", "json"];
        let told = folder.run(&[&args[..], more].concat()).ended(1).json();
        assert_eq!((&told["refused"]["status"], &told["refused"]["code"]), (&status.into(), &code.into()), "{told}");
    };
    check(&folder.token(&["--models", "gpt-*"]), &[], 403, "model_not_allowed");
    check("bh_nonsense", &[], 401, "invalid_api_key");
    folder.write("body.json", &hello("unheard-of").to_string());
    check(&folder.token(&[]), &[], 404, "model_not_found");
    folder.write("body.json", r#"{"model":"smart","model":"echo","messages":[]}"#);
    check(&folder.token(&[]), &[], 400, "duplicate_field");
    check(&folder.token(&[]), &["--anthropic"], 400, "duplicate_field");
}

#[test]
fn a_command_line_that_cannot_be_meant_is_usage() {
    let folder = folder("explain-usage");
    folder.run(&["route", "explain", "--token", "t"]).refused(2, "--body");
    folder.run(&["route", "explain", "--body", "b", "--request-id", "r", "--token", "t"]).refused(2, "cannot be used");
    folder.run(&["route", "explain", "--body", "absent.json", "--token", "t"]).refused(2, "absent.json cannot be read");
    folder.run(&["route", "explain", "--request-id", "../x", "--token", "t"]).refused(2, "x-request-id");
    folder
        .run(&["route", "explain", "--request-id", "r", "--token", "t", "--url", "127.0.0.1:1"])
        .refused(69, "no answer");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_made_request_is_explained_to_its_own_token_only() {
    let folder = folder("explain-id");
    let mut node = folder.serve();
    let token = folder.token(&[]);
    let answer = node.ask(&token, &hello("smart")).await;
    assert_eq!(answer.status, 200);
    let id = answer.header("x-request-id").to_owned();
    let args = |token: &str| {
        ["route", "explain", "--request-id", &id, "--url", &node.url(), "--token", token].map(str::to_owned)
    };
    let run = |token: &str| {
        let args = args(token);
        folder.run(&args.iter().map(String::as_str).collect::<Vec<_>>())
    };
    let told = run(&token).ended(0).stdout;
    assert!(told.starts_with("route      smart (fallback)\n"), "{told}");
    assert!(told.contains("\nanswered   echo/echo at attempt 2, ok"), "{told}");
    run(&folder.token(&[])).refused(1, "the node answered 404");
    node.stop();
}
