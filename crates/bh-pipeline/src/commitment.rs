//! Commitments to bodies: a record can prove what was said without saying it.

use bh_audit::Hash;
use bh_base::RequestId;
use bh_seal::{Sha256, hmac_sha256};

/// Which body.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Body {
    Request,
    Response,
}

/// A commitment in the making: `SHA-256(0x02 ‖ salt ‖ body)`, fed as the body arrives.
///
/// The salt is `HMAC-SHA-256(commit key, request id ‖ which body)`: whoever has the node's commit key and the body can
/// show that the body was this one, and without the key the commitment says nothing, even of a text one can guess.
pub(crate) struct Commitment(Sha256);

impl Commitment {
    pub(crate) fn begin(key: &[u8; 32], request: RequestId, body: Body) -> Self {
        let which: &[u8] = match body {
            Body::Request => b"request",
            Body::Response => b"response",
        };
        let mut message = [0; 24];
        message[..16].copy_from_slice(&request.0);
        message[16..16 + which.len().min(8)].copy_from_slice(&which[..which.len().min(8)]);
        let salt = hmac_sha256(key, &message);
        let mut hash = Sha256::new();
        hash.update(&[2]);
        hash.update(&salt);
        Commitment(hash)
    }

    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    pub(crate) fn finish(self) -> Hash {
        Hash(self.0.finish())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_audit_crates_commitment_under_the_derived_salt() {
        let (key, id) = ([7; 32], RequestId([1; 16]));
        let mut message = [0; 24];
        message[..16].copy_from_slice(&id.0);
        message[16..].copy_from_slice(b"response");
        let mut made = Commitment::begin(&key, id, Body::Response);
        made.feed(b"he");
        made.feed(b"llo");
        assert_eq!(made.finish(), bh_audit::commit(&hmac_sha256(&key, &message), b"hello"));
    }

    #[test]
    fn request_and_answer_have_salts_of_their_own() {
        let commit = |which| Commitment::begin(&[7; 32], RequestId([1; 16]), which).finish();
        assert_ne!(commit(Body::Request), commit(Body::Response));
    }
}
