//! Bulkhead: an LLM gateway.

mod dev;
mod node;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() {
    bh_telemetry::init_logs(bh_telemetry::LogFormat::Text).expect("logs");
    let once = std::env::args().any(|a| a == "--once");
    let options = dev::DevOptions { listen: "127.0.0.1:8080".parse().expect("addr"), data_dir: None, once };
    let stop = tokio_util::sync::CancellationToken::new();
    let ended = dev::run(options, stop, &mut |line| println!("{line}")).await;
    if let Err(e) = ended { let mut s = e.to_string(); let mut c: &dyn std::error::Error = &e; while let Some(n) = c.source() { s += ": "; s += &n.to_string(); c = n; } println!("{s}"); }
}
