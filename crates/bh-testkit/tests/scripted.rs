//! The scripted provider, seen by the test client over a real socket.

use std::time::Duration;

use anyhow::Result;
use bh_testkit::tls::Certificate;
use bh_testkit::{Client, Gate, Recording, Reply, ScriptedProvider, Seed, Split, Step, loopback, recording};
use bytes::Bytes;
use serde_json::json;

const SOON: Duration = Duration::from_secs(20);

async fn ask(provider: &ScriptedProvider) -> Result<bh_testkit::client::Answer> {
    Client::new().post(format!("{}/v1/x?q=1", provider.url())).bearer("k").json(&json!({"a": 1})).send().await
}

#[tokio::test]
async fn a_request_is_kept_as_it_came() {
    let provider = ScriptedProvider::start().await.unwrap();
    provider.push(Reply::json(200, "{}").bills(7));
    assert_eq!(ask(&provider).await.unwrap().json().await.unwrap(), json!({}));
    let seen = &provider.seen()[0];
    assert_eq!((seen.path.as_str(), seen.header("authorization")), ("/v1/x?q=1", "Bearer k"));
    assert_eq!(seen.json().unwrap(), json!({"a": 1}));
    let served = provider.until(|served| served.completed == 1, SOON).await.unwrap();
    assert_eq!((served.requests, served.billed_nano_usd, served.bytes), (1, 7, 2));
}

#[tokio::test]
async fn the_queue_goes_before_the_rule_and_the_rule_before_the_default() {
    let provider = ScriptedProvider::start().await.unwrap();
    provider.on(|seen| (seen.index < 2).then(|| Reply::new(202)));
    provider.push(Reply::new(201));
    let mut statuses = Vec::new();
    for _ in 0..3 {
        statuses.push(ask(&provider).await.unwrap().status);
    }
    assert_eq!(statuses, [201, 202, 501]);
}

#[tokio::test]
async fn chunks_arrive_one_by_one_as_they_were_split() {
    let provider = ScriptedProvider::start().await.unwrap();
    provider.push(Reply::sse("abcdef").split(&Split::At(vec![2, 3])).bills_per_piece(5));
    let mut answer = ask(&provider).await.unwrap();
    let mut chunks = Vec::new();
    while let Some(chunk) = answer.chunk().await.unwrap() {
        chunks.push(chunk);
    }
    assert_eq!(chunks, ["ab", "c", "def"]);
    assert_eq!(provider.served().billed_nano_usd, 15);
}

#[tokio::test]
async fn a_gate_holds_a_stream_until_it_opens() {
    let provider = ScriptedProvider::start().await.unwrap();
    let gate = Gate::new();
    provider.push(Reply::sse("ab").after_bytes(1, Step::Gate(gate.clone())));
    let mut answer = ask(&provider).await.unwrap();
    assert_eq!(answer.chunk().await.unwrap().unwrap(), "a");
    assert_eq!(provider.served().completed, 0);
    gate.open();
    assert_eq!(answer.chunk().await.unwrap().unwrap(), "b");
    assert_eq!(answer.chunk().await.unwrap(), None);
}

#[tokio::test]
async fn a_cut_is_seen_as_a_break_and_not_as_an_end() {
    let provider = ScriptedProvider::start().await.unwrap();
    for reply in [Reply::sse("abcdef").cut_after(3), Reply::json(200, "abcdef").cut_after(3)] {
        provider.push(reply);
        let whole = ask(&provider).await.unwrap().whatever_comes().await.unwrap();
        assert_eq!((whole.bytes.as_slice(), whole.broken), (&b"abc"[..], true));
    }
    provider.push(Reply::hang_up());
    assert!(ask(&provider).await.is_err());
    assert_eq!(provider.served().cut, 3);
}

#[tokio::test]
async fn silence_lasts_until_the_client_leaves_and_is_counted_as_left() {
    let provider = ScriptedProvider::start().await.unwrap();
    let impatient = Client::new().deadline(Duration::from_millis(30));
    provider.push(Reply::silence());
    assert!(impatient.get(provider.url()).send().await.is_err());
    provider.push(Reply::sse("ab").stall_after(1));
    let mut answer = impatient.get(provider.url()).send().await.unwrap();
    assert_eq!(answer.chunk().await.unwrap().unwrap(), "a");
    assert!(answer.chunk().await.is_err());
    drop(answer);
    provider.push(Reply::new(200).then(Step::Endless(Bytes::from_static(b"x"), Duration::ZERO)));
    drop(ask(&provider).await.unwrap());
    provider.until(|served| served.abandoned == 3, SOON).await.unwrap();
}

#[tokio::test]
async fn a_stopped_provider_refuses() {
    let provider = ScriptedProvider::start().await.unwrap();
    provider.always(Reply::json(200, "{}"));
    let client = Client::new();
    client.get(provider.url()).send().await.unwrap().bytes().await.unwrap();
    provider.stop();
    let refused = loopback::free_address().unwrap();
    assert!(client.get(format!("http://{refused}")).send().await.is_err());
    assert!(provider.until(|served| 1 < served.requests, Duration::from_millis(10)).await.is_err());
}

#[tokio::test]
async fn it_speaks_h2_with_and_without_tls() {
    let plain = ScriptedProvider::start().await.unwrap();
    plain.always(Reply::json(200, "{}"));
    let answer = Client::h2c().get(plain.url()).send().await.unwrap();
    assert_eq!(answer.version, http::Version::HTTP_2);
    let certificate = Certificate::for_localhost().unwrap();
    let secure = ScriptedProvider::start_tls(&certificate).await.unwrap();
    secure.always(Reply::json(200, "{}"));
    let answer = Client::trusting(&certificate).unwrap().get(secure.url()).send().await.unwrap();
    assert_eq!(answer.version, http::Version::HTTP_2);
    assert!(Client::new().get(secure.url()).send().await.is_err(), "a stranger's certificate is refused");
}

#[tokio::test]
async fn a_recording_is_served_byte_for_byte_however_it_is_split() {
    let Some(folder) = recording::shared_folder() else { return };
    let mut seed = Seed::announced("a_recording_is_served_byte_for_byte_however_it_is_split");
    let provider = ScriptedProvider::start().await.unwrap();
    for recording in Recording::load_all(&folder.join("anthropic/messages")).unwrap() {
        provider.push(Reply::recorded(&recording).split(&Split::Random(seed.fork(), 12)));
        let answer = ask(&provider).await.unwrap();
        assert_eq!(answer.status, recording.response.status, "{}", recording.name());
        assert_eq!(answer.bytes().await.unwrap(), recording.response.body, "{}", recording.name());
    }
}

#[tokio::test]
async fn bytes_no_client_would_send_can_be_sent() {
    let provider = ScriptedProvider::start().await.unwrap();
    let answer = loopback::exchange(provider.address(), b"NONSENSE\r\n\r\n", SOON).await.unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 400"), "{}", String::from_utf8_lossy(&answer));
}
