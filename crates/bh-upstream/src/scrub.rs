//! Takes our secrets and the hosts we call out of a text that a provider sent.

use memchr::memmem;
use secrecy::zeroize::Zeroizing;

/// Shorter secrets (`x`, `none`, `EMPTY`) protect nothing, and scrubbing them would mangle honest text.
const SECRET_BYTES_MIN: usize = 8;
const REPLACEMENT: &[u8] = b"***";

/// The texts of one provider that nobody outside may read.
pub(crate) struct Scrubber {
    secrets: Vec<Zeroizing<Vec<u8>>>,
    /// Lower case.
    hosts: Vec<Vec<u8>>,
}

impl Scrubber {
    pub(crate) fn new(secrets: impl Iterator<Item = String>, host: Option<(&str, &str)>) -> Self {
        let mut all = Vec::new();
        for secret in secrets.map(Zeroizing::new).filter(|secret| SECRET_BYTES_MIN <= secret.len()) {
            // JSON may write a slash with a backslash.
            if secret.contains('/') {
                all.push(Zeroizing::new(secret.replace('/', "\\/").into_bytes()));
            }
            all.push(Zeroizing::new(secret.as_bytes().to_vec()));
        }
        // The longest first: one key may be the beginning of another.
        all.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        let mut hosts = Vec::new();
        if let Some((authority, host)) = host {
            if authority != host {
                hosts.push(authority.to_ascii_lowercase().into_bytes());
            }
            // A service name such as `ollama` is also a word: alone it is left, as an address (`//ollama`) it is not.
            let bare =
                if host.contains(['.', ':']) || host == "localhost" { host.to_owned() } else { format!("//{host}") };
            hosts.push(bare.to_ascii_lowercase().into_bytes());
        }
        Self { secrets: all, hosts }
    }

    pub(crate) fn scrub(&self, text: &mut Vec<u8>) {
        for secret in &self.secrets {
            replace(text, |haystack| memmem::find(haystack, secret), secret.len());
        }
        for host in &self.hosts {
            replace(text, |haystack| find_ignoring_case(haystack, host), host.len());
        }
    }
}

fn replace(text: &mut Vec<u8>, find: impl Fn(&[u8]) -> Option<usize>, found_len: usize) {
    let Some(first) = find(text) else { return };
    let mut out = Vec::with_capacity(text.len());
    let (mut done, mut next) = (0, Some(first));
    while let Some(at) = next {
        out.extend_from_slice(&text[done..done + at]);
        out.extend_from_slice(REPLACEMENT);
        done += at + found_len;
        next = find(&text[done..]);
    }
    out.extend_from_slice(&text[done..]);
    *text = out;
}

fn find_ignoring_case(haystack: &[u8], lower: &[u8]) -> Option<usize> {
    haystack.windows(lower.len()).position(|window| window.eq_ignore_ascii_case(lower))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(secrets: &[&str], host: Option<(&str, &str)>, text: &str, want: &str) {
        let mut bytes = text.as_bytes().to_vec();
        Scrubber::new(secrets.iter().map(|s| (*s).to_owned()), host).scrub(&mut bytes);
        assert_eq!(String::from_utf8(bytes).unwrap(), want);
    }

    #[test]
    fn secrets_and_hosts_disappear_and_nothing_else() {
        let host = Some(("api.example.com:8443", "api.example.com"));
        check(&["sk-abcdefgh"], host, "key sk-abcdefgh, key sk-abcdefgh", "key ***, key ***");
        check(&["sk-abcdefgh"], host, "at API.example.com:8443/v1 or api.example.com", "at ***/v1 or ***");
        check(&["sk-abcdefgh"], host, "see https://platform.example.com", "see https://platform.example.com");
        check(&[], None, "", "");
    }

    #[test]
    fn a_key_that_begins_another_leaves_no_tail() {
        check(&["sk-abcdefgh", "sk-abcdefgh-long"], None, "sk-abcdefgh-long sk-abcdefgh", "*** ***");
    }

    #[test]
    fn a_key_with_an_escaped_slash_is_found() {
        check(&["abc/def/ghi"], None, r#"{"k":"abc\/def\/ghi"}"#, r#"{"k":"***"}"#);
    }

    #[test]
    fn a_short_key_or_a_service_name_does_not_mangle_text() {
        check(&["x"], Some(("ollama:11434", "ollama")), "ollama: next fix", "ollama: next fix");
        check(&["x"], Some(("ollama:11434", "ollama")), "http://ollama/v1 ollama:11434", "http:***/v1 ***");
    }

    proptest! {
        #[test]
        fn no_secret_survives(before in ".{0,40}", after in ".{0,40}", secret in "[a-z/-]{8,20}") {
            let mut text = format!("{before}{secret}{after}").into_bytes();
            Scrubber::new([secret.clone()].into_iter(), None).scrub(&mut text);
            prop_assert!(memmem::find(&text, secret.as_bytes()).is_none());
        }
    }
}
