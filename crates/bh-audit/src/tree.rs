//! The Merkle tree of RFC 6962 over an epoch's leaves, grown one leaf at a time.

use crate::hash::Hash;

/// The right edge of the tree: roots of the perfect subtrees that cover the leaves, largest first. At most 64 hashes.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Tree {
    size: u64,
    edge: Vec<Hash>,
}

impl Tree {
    /// A tree without leaves.
    #[must_use]
    pub const fn new() -> Self {
        Tree { size: 0, edge: Vec::new() }
    }

    /// Leaves so far.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Adds a leaf on the right.
    pub fn push(&mut self, leaf: Hash) {
        // Each trailing one bit of the size is a perfect subtree that the new leaf completes into one twice as large.
        let mut node = leaf;
        for _ in 0..self.size.trailing_ones() {
            let left = self.edge.pop().expect("one subtree per one bit of the size");
            node = join(left, node);
        }
        self.edge.push(node);
        self.size += 1;
    }

    /// The root over all leaves; SHA-256 of nothing when there are none.
    #[must_use]
    pub fn root(&self) -> Hash {
        let mut edge = self.edge.iter().rev().copied();
        let Some(smallest) = edge.next() else {
            return Hash(bh_seal::sha256(&[]));
        };
        edge.fold(smallest, |right, left| join(left, right))
    }
}

/// The leaf of a record: `SHA-256(0x00 ‖ bytes)`.
#[must_use]
pub fn leaf(bytes: &[u8]) -> Hash {
    Hash(bh_seal::sha256(&[&[0], bytes]))
}

fn join(left: Hash, right: Hash) -> Hash {
    Hash(bh_seal::sha256(&[&[1], &left.0, &right.0]))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The definition in RFC 6962, section 2.1, word for word.
    fn by_definition(leaves: &[Hash]) -> Hash {
        match leaves {
            [] => Hash(bh_seal::sha256(&[])),
            [only] => *only,
            [_, ..] => {
                let split = (1..).map(|n| 1usize << n).take_while(|k| *k < leaves.len()).last().unwrap_or(1);
                join(by_definition(&leaves[..split]), by_definition(&leaves[split..]))
            }
        }
    }

    #[test]
    fn the_root_is_that_of_the_definition_at_every_size() {
        let mut tree = Tree::new();
        let mut leaves = Vec::new();
        assert_eq!(tree.root(), by_definition(&leaves));
        for n in 0..130u32 {
            let leaf = leaf(&n.to_le_bytes());
            tree.push(leaf);
            leaves.push(leaf);
            assert_eq!(tree.root(), by_definition(&leaves), "at {} leaves", leaves.len());
            assert_eq!(tree.size(), leaves.len() as u64);
        }
    }

    #[test]
    fn known_roots_of_certificate_transparency_hold() {
        // The empty root and the first leaves' roots of the test data that certificate-transparency implementations share.
        assert_eq!(Tree::new().root().to_string(), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        let mut tree = Tree::new();
        tree.push(leaf(b""));
        assert_eq!(tree.root().to_string(), "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d");
        tree.push(leaf(&[0]));
        assert_eq!(tree.root().to_string(), "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125");
    }
}
