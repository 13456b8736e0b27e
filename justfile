# Thin recipes: each is one command that also works without just.

default:
    @just --list

# A gateway in one command: no config, no key, no NATS.
run *ARGS:
    cargo run --release -- dev {{ARGS}}

# The whole test set; fetches what it needs.
test *ARGS:
    ./tests/run {{ARGS}}

# Formatting, lints, docs and the architecture's promises.
check:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets -- -D warnings
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps
    cargo test -p tidy

# CPU per request beside a bare forwarder, in one run.
bench *ARGS:
    cargo run --release -p bench -- {{ARGS}}

# Recorded provider exchanges through the running gateway.
conformance DIR *ARGS:
    cargo run -p conformance -- {{DIR}} {{ARGS}}

# Dependency rules, where cargo-deny is installed.
deny:
    cargo deny check
