//! Calls over real sockets: what is sent, what comes back, and what each failure is called.

use std::future::{Future, poll_fn};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use crate::support::{SECRET, build, call, next, provider, read};
use bh_chat::{Fault, FaultClass};
use bh_pipeline::ports::{Call, Op, Upstream};
use bh_testkit::tls::Certificate;
use bh_testkit::{Gate, Reply, ScriptedProvider, Seed, Split, Step, loopback};
use bh_upstream::{Kind, ProviderConfig, Upstreams};
use http::{HeaderName, HeaderValue};

const SOON: Duration = Duration::from_secs(20);

fn with_headers(pairs: &[(&'static str, &'static str)]) -> Call {
    let header =
        |(name, value): &(&'static str, &'static str)| (HeaderName::from_static(name), HeaderValue::from_static(value));
    Call { headers: pairs.iter().map(header).collect(), ..call("{}") }
}

async fn fault_of(upstreams: &Upstreams, call: Call) -> Fault {
    match upstreams.call(call).await {
        Ok(_) => panic!("the call was answered"),
        Err(fault) => fault,
    }
}

fn check_text(fault: &Fault, class: FaultClass, forbidden: &[&str]) {
    assert_eq!(fault.class, class, "{}", fault.message);
    assert!(fault.message.contains("`p`"), "names the provider: {}", fault.message);
    for text in forbidden.iter().chain(&["localhost", "127.0.0.1", SECRET]) {
        assert!(!fault.message.contains(text), "`{text}` in: {}", fault.message);
    }
}

#[tokio::test]
async fn an_openai_call_goes_out_whole_and_comes_back_untouched() {
    let server = ScriptedProvider::start().await.unwrap();
    server.push(Reply::json(200, "{\"x\": 1}").header("x-request-id", "r1"));
    let upstreams = build(provider(Kind::OpenAi, &format!("{}/v1", server.url())));
    let mut answer = upstreams.call(call("{ \"model\":\"m\" }")).await.unwrap();
    assert_eq!((answer.status, read(&mut answer).await), (200, (b"{\"x\": 1}".to_vec(), None)));
    assert_eq!(bh_upstream::upstream_request_id(&answer.headers), Some("r1"));
    let seen = &server.seen()[0];
    assert_eq!((seen.method.as_str(), seen.path.as_str()), ("POST", "/v1/chat/completions"));
    assert_eq!(seen.body, "{ \"model\":\"m\" }");
    assert_eq!(seen.header("authorization"), format!("Bearer {SECRET}"));
    assert_eq!((seen.header("content-type"), seen.header("accept")), ("application/json", "application/json"));
    assert_eq!((seen.header("accept-encoding"), seen.header("content-length")), ("identity", "15"));
}

#[tokio::test]
async fn an_anthropic_call_carries_its_version_and_the_clients_betas() {
    let server = ScriptedProvider::start().await.unwrap();
    server.always(Reply::json(200, "{}"));
    let mut config = provider(Kind::Anthropic, &server.url());
    config.headers = vec![("anthropic-beta".to_owned(), "ours".to_owned()), ("x-team".to_owned(), "ml".to_owned())];
    let upstreams = build(config);
    upstreams.call(Call { stream: true, ..call("{}") }).await.unwrap();
    let newer = with_headers(&[("anthropic-version", "2026-10-21"), ("anthropic-beta", "theirs")]);
    upstreams.call(Call { op: Op::CountTokens, ..newer }).await.unwrap();
    let seen = server.seen();
    assert_eq!((seen[0].path.as_str(), seen[1].path.as_str()), ("/v1/messages", "/v1/messages/count_tokens"));
    assert_eq!((seen[0].header("x-api-key"), seen[0].header("authorization")), (SECRET, ""));
    assert_eq!(
        (seen[0].header("anthropic-version"), seen[1].header("anthropic-version")),
        ("2023-06-01", "2026-10-21")
    );
    assert_eq!((seen[0].header("accept"), seen[0].header("x-team")), ("text/event-stream", "ml"));
    let betas: Vec<_> = seen[1].headers.get_all("anthropic-beta").iter().collect();
    assert_eq!(betas, ["ours", "theirs"]);
}

#[tokio::test]
async fn a_clients_credentials_and_hops_stay_behind() {
    let server = ScriptedProvider::start().await.unwrap();
    server.always(Reply::json(200, "{}"));
    let upstreams = build(provider(Kind::OpenAiCompatible, &server.url()));
    let sneaky = [
        ("authorization", "Bearer bh_client"),
        ("x-api-key", "bh_client"),
        ("cookie", "a=b"),
        ("connection", "upgrade"),
        ("host", "elsewhere"),
        ("x-forwarded-for", "10.0.0.1"),
        ("traceparent", "00-1-2-01"),
    ];
    upstreams.call(with_headers(&sneaky)).await.unwrap();
    let seen = &server.seen()[0];
    let mut names: Vec<_> = seen.headers.keys().map(HeaderName::as_str).collect();
    names.sort_unstable();
    let expected = [
        "accept",
        "accept-encoding",
        "authorization",
        "content-length",
        "content-type",
        "host",
        "traceparent",
        "user-agent",
    ];
    assert_eq!(names, expected);
    assert_eq!(seen.header("authorization"), format!("Bearer {SECRET}"));
}

#[tokio::test]
async fn a_server_without_keys_is_called_without_credentials() {
    let server = ScriptedProvider::start().await.unwrap();
    server.always(Reply::json(200, "{}"));
    let upstreams = build(ProviderConfig { keys: Vec::new(), ..provider(Kind::OpenAiCompatible, &server.url()) });
    upstreams.call(call("{}")).await.unwrap();
    assert_eq!(server.seen()[0].header("authorization"), "");
}

#[tokio::test]
async fn each_way_not_to_arrive_is_a_connect_fault() {
    let refused = loopback::free_address().unwrap();
    let fault = fault_of(&build(provider(Kind::OpenAi, &format!("http://{refused}"))), call("{}")).await;
    check_text(&fault, FaultClass::Connect, &[&refused.port().to_string()]);
    assert!(fault.message.contains("connection refused"), "{}", fault.message);
    let unknown = "http://no-such-host.invalid";
    let fault = fault_of(&build(provider(Kind::OpenAi, unknown)), call("{}")).await;
    check_text(&fault, FaultClass::Connect, &["no-such-host"]);
    let silent = loopback::SilentServer::start().await.unwrap();
    let mut config = provider(Kind::OpenAi, &format!("https://{}", silent.address()));
    config.timeouts.connect = Duration::from_millis(40);
    let fault = fault_of(&build(config), call("{}")).await;
    check_text(&fault, FaultClass::Connect, &[]);
    assert!(fault.message.contains("40 ms"), "{}", fault.message);
    let stranger = ScriptedProvider::start_tls(&Certificate::for_localhost().unwrap()).await.unwrap();
    let fault = fault_of(&build(provider(Kind::OpenAi, &stranger.url())), call("{}")).await;
    check_text(&fault, FaultClass::Connect, &[]);
    assert!(fault.message.contains("certificate"), "{}", fault.message);
}

#[tokio::test]
async fn the_header_deadline_runs_while_the_provider_is_silent() {
    let server = ScriptedProvider::start().await.unwrap();
    server.push(Reply::silence());
    let mut config = provider(Kind::OpenAi, &server.url());
    config.timeouts.headers = Duration::from_millis(60);
    let upstreams = build(config);
    let fault = fault_of(&upstreams, call("{}")).await;
    check_text(&fault, FaultClass::Timeout, &[]);
    server.until(|served| served.abandoned == 1, SOON).await.unwrap();
    assert_eq!(upstreams.in_flight("p"), 0);
}

#[tokio::test]
async fn a_connection_lost_after_sending_is_a_cut_and_is_not_sent_again() {
    let server = ScriptedProvider::start().await.unwrap();
    server.push(Reply::hang_up());
    server.always(Reply::json(200, "{}"));
    let fault = fault_of(&build(provider(Kind::OpenAi, &server.url())), call("{}")).await;
    check_text(&fault, FaultClass::Cut, &[]);
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn a_body_that_breaks_off_says_so_after_its_bytes() {
    let server = ScriptedProvider::start().await.unwrap();
    let upstreams = build(provider(Kind::OpenAi, &server.url()));
    for reply in [Reply::sse("abcdef"), Reply::json(200, "abcdef")] {
        server.push(reply.cut_after(3));
        let mut answer = upstreams.call(call("{}")).await.unwrap();
        let (bytes, fault) = read(&mut answer).await;
        assert_eq!(bytes, b"abc");
        check_text(&fault.unwrap(), FaultClass::Cut, &[]);
    }
}

#[tokio::test]
async fn what_is_not_http_or_not_asked_for_is_malformed() {
    let server = ScriptedProvider::start().await.unwrap();
    let upstreams = build(provider(Kind::OpenAi, &server.url()));
    server.push(Reply::new(302).header("location", "http://elsewhere.example/"));
    let fault = fault_of(&upstreams, call("{}")).await;
    check_text(&fault, FaultClass::Malformed, &["elsewhere"]);
    assert_eq!((fault.status, server.seen().len()), (Some(302), 1), "not followed");
    server.push(Reply::json(200, "{}").header("content-encoding", "gzip"));
    check_text(&fault_of(&upstreams, call("{}")).await, FaultClass::Malformed, &[]);
}

#[tokio::test]
async fn an_error_status_is_an_answer_to_be_read() {
    let server = ScriptedProvider::start().await.unwrap();
    server.push(Reply::rate_limited(Some(7)));
    let upstreams = build(provider(Kind::OpenAi, &server.url()));
    let answer = upstreams.call(call("{}")).await.unwrap();
    assert_eq!((answer.status, answer.headers["retry-after"].to_str().unwrap()), (429, "7"));
}

#[tokio::test]
async fn dropping_an_answer_hangs_up_over_h1_and_h2() {
    let certificate = Certificate::for_localhost().unwrap();
    let plain = ScriptedProvider::start().await.unwrap();
    let secure = ScriptedProvider::start_tls(&certificate).await.unwrap();
    for server in [plain, secure] {
        server.always(Reply::sse("ab").stall_after(1));
        let roots = vec![certificate.root()];
        let upstreams = build(ProviderConfig { extra_roots: roots, ..provider(Kind::OpenAi, &server.url()) });
        let mut answer = upstreams.call(call("{}")).await.unwrap();
        assert_eq!(next(&mut answer).await.unwrap().unwrap(), "a");
        assert_eq!(upstreams.in_flight("p"), 1);
        drop(answer);
        server.until(|served| served.abandoned == 1, SOON).await.unwrap();
        assert_eq!(upstreams.in_flight("p"), 0);
    }
}

#[tokio::test]
async fn connections_are_kept_and_h2_is_spoken_where_offered() {
    let certificate = Certificate::for_localhost().unwrap();
    let server = ScriptedProvider::start_tls(&certificate).await.unwrap();
    server.always(Reply::json(200, "{}"));
    let roots = vec![certificate.root()];
    let upstreams = build(ProviderConfig { extra_roots: roots, ..provider(Kind::OpenAi, &server.url()) });
    for _ in 0..3 {
        let mut answer = upstreams.call(call("{}")).await.unwrap();
        read(&mut answer).await;
    }
    let plain = ScriptedProvider::start().await.unwrap();
    plain.always(Reply::json(200, "{}"));
    let over_h1 = build(provider(Kind::OpenAi, &plain.url()));
    for _ in 0..3 {
        let mut answer = over_h1.call(call("{}")).await.unwrap();
        read(&mut answer).await;
    }
    assert!(server.seen().iter().all(|seen| seen.version == http::Version::HTTP_2));
    assert!(plain.seen().iter().all(|seen| seen.version == http::Version::HTTP_11));
    assert_eq!((server.served().connections, plain.served().connections), (1, 1));
}

#[tokio::test]
async fn many_h2_streams_spread_over_connections_before_a_server_queues_them() {
    let certificate = Certificate::for_localhost().unwrap();
    let server = ScriptedProvider::start_tls(&certificate).await.unwrap();
    server.always(Reply::sse("ab").stall_after(1));
    let roots = vec![certificate.root()];
    let upstreams = build(ProviderConfig { extra_roots: roots, ..provider(Kind::OpenAi, &server.url()) });
    let mut open = Vec::new();
    for _ in 0..300 {
        open.push(upstreams.call(call("{}")).await.unwrap());
    }
    assert_eq!(upstreams.in_flight("p"), 300);
    assert!(5 <= server.served().connections, "{:?}", server.served());
    drop(open);
    server.until(|served| served.abandoned == 300, SOON).await.unwrap();
}

#[tokio::test]
async fn bytes_arrive_as_they_were_sent_however_they_are_split() {
    let mut seed = Seed::announced("bytes_arrive_as_they_were_sent_however_they_are_split");
    let server = ScriptedProvider::start().await.unwrap();
    let upstreams = build(provider(Kind::OpenAi, &server.url()));
    for _ in 0..20 {
        let body: Vec<u8> = (0..seed.within(1..4000)).map(|_| seed.next_u64().to_le_bytes()[0]).collect();
        server.push(Reply::sse(body.clone()).split(&Split::Random(seed.fork(), 30)));
        let mut answer = upstreams.call(call("{}")).await.unwrap();
        assert_eq!(read(&mut answer).await, (body, None));
    }
}

#[tokio::test]
async fn a_reload_lets_an_answer_be_read_to_its_end() {
    let server = ScriptedProvider::start().await.unwrap();
    let gate = Gate::new();
    server.push(Reply::sse("ab").after_bytes(1, Step::Gate(gate.clone())));
    let upstreams = build(provider(Kind::OpenAi, &server.url()));
    let mut answer = upstreams.call(call("{}")).await.unwrap();
    drop(upstreams);
    gate.open();
    assert_eq!(read(&mut answer).await, (b"ab".to_vec(), None));
}

#[tokio::test]
async fn closing_waits_for_the_answers_still_being_read() {
    let server = ScriptedProvider::start().await.unwrap();
    server.push(Reply::sse("ab").stall_after(1));
    let upstreams = build(provider(Kind::OpenAi, &server.url()));
    let answer = upstreams.call(call("{}")).await.unwrap();
    let mut closing = std::pin::pin!(upstreams.close());
    let waits = poll_fn(|cx| Poll::Ready(closing.as_mut().poll(cx).is_pending())).await;
    assert!(waits);
    drop(answer);
    tokio::time::timeout(SOON, closing).await.unwrap();
}

#[tokio::test]
async fn a_connection_the_server_closed_meanwhile_is_not_a_fault() {
    let server = ScriptedProvider::start().await.unwrap();
    server.push(Reply::json(200, "{}").header("connection", "close"));
    server.always(Reply::json(200, "{}"));
    let upstreams = build(provider(Kind::OpenAi, &server.url()));
    for _ in 0..2 {
        let mut answer = upstreams.call(call("{}")).await.unwrap();
        assert_eq!(read(&mut answer).await, (b"{}".to_vec(), None));
    }
    assert_eq!(server.served().connections, 2);
}

#[tokio::test]
async fn a_provider_or_key_that_is_not_there_is_a_fault_and_not_a_panic() {
    let server = ScriptedProvider::start().await.unwrap();
    let upstreams = build(provider(Kind::OpenAi, &server.url()));
    let missing = fault_of(&upstreams, Call { provider: Arc::from("q"), ..call("{}") }).await;
    assert_eq!(missing.class, FaultClass::Connect);
    check_text(&fault_of(&upstreams, Call { key: 9, ..call("{}") }).await, FaultClass::Connect, &[]);
    check_text(&fault_of(&upstreams, Call { op: Op::CountTokens, ..call("{}") }).await, FaultClass::BadRequest, &[]);
    assert!(server.seen().is_empty());
}

#[tokio::test]
async fn a_providers_text_is_scrubbed_of_our_key_and_its_host() {
    let upstreams = build(provider(Kind::OpenAi, "https://api.example.com/v1"));
    let mut text = format!("bad key {SECRET} at https://api.example.com/v1/x").into_bytes();
    upstreams.scrub("p", &mut text);
    assert_eq!(String::from_utf8(text).unwrap(), "bad key *** at https://***/v1/x");
}
