//! `bulkhead key`.

use std::os::unix::fs::PermissionsExt;

use crate::support::Folder;

#[test]
fn a_key_is_private_and_its_public_half_is_printed() {
    let folder = Folder::new("key");
    let said = folder.run(&["key", "generate", "--out", "issuer.key", "--kid", "main"]).ended(0);
    let jwk = said.json();
    assert_eq!((&jwk["kid"], &jwk["kty"], &jwk["crv"]), (&"main".into(), &"OKP".into(), &"Ed25519".into()));
    assert!(jwk.get("d").is_none());
    let mode = std::fs::metadata(folder.0.join("issuer.key")).expect("the key").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(folder.read("issuer.key").contains("-----BEGIN PRIVATE KEY-----"));
    assert_eq!(folder.run(&["key", "public", "--key", "issuer.key"]).ended(0).json(), jwk);
    assert!(said.stderr.contains("tokens.issuers"), "{}", said.stderr);
}

#[test]
fn a_key_is_never_overwritten() {
    let folder = Folder::new("key-exists");
    folder.write("a.key", "precious");
    folder.run(&["key", "generate", "--out", "a.key"]).refused(2, "a.key exists, and a key is never overwritten");
    assert_eq!(folder.read("a.key"), "precious");
}

#[test]
fn a_key_without_a_name_is_named_by_its_thumbprint() {
    let folder = Folder::new("key-thumbprint");
    let one = folder.run(&["key", "generate", "--out", "one.key"]).ended(0).json();
    let two = folder.run(&["key", "generate", "--out", "two.key"]).ended(0).json();
    assert_eq!(one["kid"].as_str().map(str::len), Some(43));
    assert_ne!(one["kid"], two["kid"]);
}

#[test]
fn what_is_no_key_is_told() {
    let folder = Folder::new("key-none");
    folder.write("x.key", "nonsense");
    folder.run(&["key", "public", "--key", "x.key"]).refused(2, "x.key holds no key");
    folder.run(&["key", "public", "--key", "gone.key"]).refused(69, "gone.key cannot be read");
    folder.run(&["key", "generate", "--out", "y.key", "--kid", "a\nb"]).refused(2, "the key id cannot be used");
    folder.run(&["key", "generate", "--out", "no/such/folder/y.key"]).refused(69, "cannot be written");
}
