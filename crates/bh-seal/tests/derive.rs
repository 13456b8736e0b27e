//! Other crates derive the codec's traits without naming the library beneath it.

use bh_seal::codec::{Decode, Encode, decode, encode};

#[derive(Debug, PartialEq, Encode, Decode)]
#[bincode(crate = "bh_seal::bincode")]
struct Slot {
    key: [u8; 2],
    spend: u64,
}

#[test]
fn a_type_of_another_crate_goes_through_the_codec() {
    let slot = Slot { key: *b"ab", spend: 300 };
    let bytes = encode(1, &slot);
    assert_eq!(bytes, [1, b'a', b'b', 251, 44, 1]);
    assert_eq!(decode::<Slot>(1, &bytes, 16).unwrap(), slot);
}
