//! RFC 9180 A.2.1 from both ends, and the session challenge.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use hpke::rand_core::{Infallible, TryCryptoRng, TryRng};
use serde::Deserialize;

use super::super::open::open_challenge;
use super::super::test_vectors::{Hex, load};
use super::*;
use crate::base::random::csprng;

#[derive(Deserialize)]
#[allow(non_snake_case)]
struct Vector {
    info: Hex,
    ikmE: Hex,
    pkRm: Hex,
    skRm: Hex,
    enc: Hex,
    encryptions: Vec<Encryption>,
    exports: Vec<Export>,
}

#[derive(Deserialize)]
struct Encryption {
    sequence: usize,
    pt: Hex,
    aad: Hex,
    ct: Hex,
}

#[derive(Deserialize)]
struct Export {
    context: Hex,
    value: Hex,
}

fn vector() -> Vector {
    load(include_str!("../../tests/vectors/crypto/rfc9180-a2.1.json"))
}

/// Gives out the vector's ikmE once, so that the "random" ephemeral key is the RFC's.
struct Fixed(Option<[u8; 32]>);

impl TryRng for Fixed {
    type Error = Infallible;
    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        unreachable!("only whole keys are drawn")
    }
    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        unreachable!("only whole keys are drawn")
    }
    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        out.copy_from_slice(&self.0.take().expect("drawn once"));
        Ok(())
    }
}

impl TryCryptoRng for Fixed {}

#[test]
fn rfc_9180_a_2_1_receiver() {
    let v = vector();
    let identity = Identity::from_secret(Secret::from_slice(&v.skRm.0).unwrap());
    assert_eq!(identity.recipient().as_bytes()[..], v.pkRm.0);
    let mut context = receiver(&identity, &v.enc.0, &v.info.0).unwrap();
    for e in &v.exports {
        assert_eq!(context.export(&e.context.0).unwrap().expose()[..], e.value.0);
    }
    assert_eq!(v.exports.len(), 3);
    // A failed opening does not use up a sequence number, so the gaps of the RFC's table need the
    // sender's messages in between; the first three follow each other.
    for (n, e) in v.encryptions.iter().take(3).enumerate() {
        assert_eq!(e.sequence, n);
        assert!(context.open(b"other", &e.ct.0).is_err());
        assert_eq!(*context.open(&e.aad.0, &e.ct.0).unwrap(), e.pt.0);
    }
}

#[test]
fn rfc_9180_a_2_1_sender() {
    let recipient = Recipient::from_bytes(*vector().pkRm.array()).unwrap();
    let prepared = PreparedRecipient::new(&recipient);
    assert!(prepared.is_prepared());
    for recipient in [prepared, PreparedRecipient::once(&recipient)] {
        check_sender(&recipient);
    }
}

fn check_sender(recipient: &PreparedRecipient) {
    let v = vector();
    let mut context = sender(recipient, &v.info.0, &mut Fixed(Some(*v.ikmE.array()))).unwrap();
    assert_eq!(context.enc[..], v.enc.0);
    for e in &v.exports {
        assert_eq!(context.export(&e.context.0).unwrap().expose()[..], e.value.0);
    }
    let mut checked = 0;
    for sequence in 0..=256 {
        match v.encryptions.iter().find(|e| e.sequence == sequence) {
            Some(e) => {
                assert_eq!(context.seal(&e.aad.0, &e.pt.0).unwrap(), e.ct.0, "message {sequence}");
                checked += 1;
            }
            None => drop(context.seal(b"", b"").unwrap()),
        }
    }
    assert_eq!(checked, 6);
}

#[test]
fn a_challenge_opens_for_its_reader_and_ledger_only() {
    let mut rng = csprng().unwrap();
    let (reader, other) = (Identity::generate(&mut rng), Identity::generate(&mut rng));
    let c = challenge_seal(&reader.recipient(), "example.org/log", b"token", &mut rng).unwrap();
    assert_eq!(*open_challenge(&reader, "example.org/log", &c.enc, &c.ciphertext).unwrap(), b"token");
    assert!(open_challenge(&other, "example.org/log", &c.enc, &c.ciphertext).is_err());
    assert!(open_challenge(&reader, "example.org/other", &c.enc, &c.ciphertext).is_err());
    for i in 0..c.ciphertext.len() {
        let mut bad = c.ciphertext.clone();
        bad[i] ^= 1;
        assert!(open_challenge(&reader, "example.org/log", &c.enc, &bad).is_err());
    }
    for i in 0..ENC_LEN {
        let mut bad = c.enc;
        bad[i] ^= 1;
        assert!(open_challenge(&reader, "example.org/log", &bad, &c.ciphertext).is_err(), "enc byte {i}");
    }
    assert!(open_challenge(&reader, "example.org/log", &[0; 32], &c.ciphertext).is_err());
    assert!(open_challenge(&reader, "example.org/log", &c.enc[..31], &c.ciphertext).is_err());
    assert!(challenge_seal(&reader.recipient(), &"x".repeat(70_000), b"t", &mut rng).is_err());
}

/// The table, the ladder and the library's own KEM agree: for keys on the curve (with and without a part of low order) and on its
/// twist, which has no table.
#[test]
fn a_prepared_recipient_gives_what_the_library_gives() {
    let (mut on_curve, mut on_twist) = (0, 0);
    for n in 0..64u8 {
        let mut bytes = [n.wrapping_mul(37); 32];
        bytes[0] = n;
        bytes[31] &= 0x7f;
        let Ok(recipient) = Recipient::from_bytes(bytes) else { continue };
        let prepared = PreparedRecipient::new(&recipient);
        if prepared.is_prepared() {
            on_curve += 1
        } else {
            on_twist += 1
        };
        let key = <X25519HkdfSha256 as Kem>::PublicKey::from_bytes(&bytes).unwrap();
        let (want_enc, want): (_, AeadCtxS<ChaCha20Poly1305, HkdfSha256, X25519HkdfSha256>) =
            hpke::setup_sender_with_rng(&OpModeS::Base, &key, b"info", &mut Fixed(Some([n; 32]))).unwrap();
        let mut want_export = [0; 32];
        want.export(b"x", &mut want_export).unwrap();
        for recipient in [prepared, PreparedRecipient::once(&recipient)] {
            let found = sender(&recipient, b"info", &mut Fixed(Some([n; 32]))).unwrap();
            assert_eq!(found.enc[..], want_enc.to_bytes()[..], "key {n}");
            assert_eq!(found.export(b"x").unwrap().expose(), &want_export, "key {n}");
        }
    }
    assert!(on_curve > 20 && on_twist > 20, "{on_curve} and {on_twist}: both kinds of keys are tried");
}

#[test]
fn a_key_of_low_order_is_refused_with_and_without_a_table() {
    for u in crate::base::x25519::LOW_ORDER {
        let recipient = PreparedRecipient::from_bytes(&u).unwrap();
        assert!(sender(&recipient, b"", &mut Fixed(Some([7; 32]))).is_err());
        let with_table = prepare(u);
        assert!(sender(&with_table, b"", &mut Fixed(Some([7; 32]))).is_err());
    }
}
