//! SHA-256 of short messages. A record has some fifty hashes of 30 to 100 bytes; the streaming interface
//! spends about as long on its buffer as on compressing them. Here the padded message is laid out on the
//! stack and compressed in one call.

use sha2::block_api::compress256;

/// Length of a digest in bytes.
pub(crate) const DIGEST_LEN: usize = 32;
/// Length of a block in bytes.
pub(crate) const BLOCK: usize = 64;
/// Room for the longest message that one call compresses.
const ROOM: usize = 3 * BLOCK;
/// The byte 0x80 and the message's length in bits follow the message. FIPS 180-4 §5.1.1.
pub(super) const TRAILER: usize = 1 + 8;

/// RFC 6962 §2.1: what an inner node's hash starts with.
pub(super) const NODE_PREFIX: u8 = 1;

/// The chaining value between blocks.
pub(crate) type State = [u32; 8];

/// FIPS 180-4 §5.3.3.
pub(crate) const INITIAL: State =
    [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];

/// Absorbs one whole block.
pub(crate) fn absorb(state: &mut State, block: &[u8; BLOCK]) {
    compress256(state, std::slice::from_ref(block));
}

/// Ends a hash with the concatenation of `parts`, after `before` bytes (whole blocks) that `state` has
/// absorbed already. FIPS 180-4 §5.1.1 (padding) and §6.2.2.
#[inline]
pub(crate) fn finish(mut state: State, before: usize, parts: &[&[u8]]) -> [u8; DIGEST_LEN] {
    let mut room = [[0u8; BLOCK]; ROOM / BLOCK];
    let mut at = 0;
    let mut len = before;
    for p in parts {
        len += p.len();
        let mut rest = *p;
        while let Some((now, later)) = rest.split_at_checked(ROOM - at) {
            room.as_flattened_mut()[at..].copy_from_slice(now);
            compress256(&mut state, &room);
            (at, rest) = (0, later);
        }
        room.as_flattened_mut()[at..at + rest.len()].copy_from_slice(rest);
        at += rest.len();
    }
    if at + TRAILER > ROOM {
        let bytes = room.as_flattened_mut();
        bytes[at] = 0x80;
        bytes[at + 1..].fill(0);
        compress256(&mut state, &room);
        return words(end(state, &mut room, 0, len));
    }
    room.as_flattened_mut()[at] = 0x80;
    words(end(state, &mut room, at + 1, len))
}

/// Zero bytes and the length in bits, from `at` to the end of the block that has room for them.
#[inline]
fn end(mut state: State, room: &mut [[u8; BLOCK]; ROOM / BLOCK], at: usize, len: usize) -> State {
    let used = (at + 8).div_ceil(BLOCK);
    let bytes = room.as_flattened_mut();
    bytes[at..used * BLOCK - 8].fill(0);
    bytes[used * BLOCK - 8..used * BLOCK].copy_from_slice(&(8 * len as u64).to_be_bytes());
    compress256(&mut state, &room[..used]);
    state
}

/// The digest that a chaining value is.
#[inline]
pub(crate) fn words(state: State) -> [u8; DIGEST_LEN] {
    let mut digest = [0; DIGEST_LEN];
    for (to, word) in digest.chunks_exact_mut(4).zip(state) {
        to.copy_from_slice(&word.to_be_bytes());
    }
    digest
}

/// Ends a hash with 32 bytes after one block that `state` has absorbed already: the outer half of an HMAC.
#[inline]
pub(crate) fn finish_digest(mut state: State, digest: &[u8; DIGEST_LEN]) -> [u8; DIGEST_LEN] {
    let mut block = [0; BLOCK];
    block[..DIGEST_LEN].copy_from_slice(digest);
    block[DIGEST_LEN] = 0x80;
    block[BLOCK - 8..].copy_from_slice(&(8 * (BLOCK + DIGEST_LEN) as u64).to_be_bytes());
    absorb(&mut state, &block);
    words(state)
}

/// SHA-256 of `0x01 ‖ left ‖ right`: the inner node of a tree (RFC 6962 §2.1). A record has about twenty of them.
#[inline]
pub(crate) fn node(left: &[u8; DIGEST_LEN], right: &[u8; DIGEST_LEN]) -> [u8; DIGEST_LEN] {
    const HALF: usize = 1 + DIGEST_LEN;
    let mut blocks = [[0; BLOCK]; 2];
    let [first, second] = &mut blocks;
    first[0] = NODE_PREFIX;
    first[1..HALF].copy_from_slice(left);
    first[HALF..].copy_from_slice(&right[..BLOCK - HALF]);
    second[0] = right[DIGEST_LEN - 1];
    second[1] = 0x80;
    second[BLOCK - 8..].copy_from_slice(&(8 * (1 + 2 * DIGEST_LEN) as u64).to_be_bytes());
    let mut state = INITIAL;
    compress256(&mut state, &blocks);
    words(state)
}

/// SHA-256 of the concatenation of `parts`.
#[inline]
pub(crate) fn short_hash(parts: &[&[u8]]) -> [u8; DIGEST_LEN] {
    finish(INITIAL, 0, parts)
}

#[cfg(test)]
mod tests {
    use sha2::{Digest, Sha256};

    use super::*;
    use crate::base::hash::to_hex;

    #[test]
    fn equals_the_streaming_hash_at_every_length_and_split() {
        let bytes: Vec<u8> = (0..600u32).map(|i| (i * 7) as u8).collect();
        for len in 0..=bytes.len() {
            let want: [u8; DIGEST_LEN] = Sha256::digest(&bytes[..len]).into();
            for split in [0, len / 3, len.saturating_sub(1), len] {
                let (a, b) = bytes[..len].split_at(split);
                assert_eq!(short_hash(&[a, b]), want, "{len} bytes in two parts at {split}");
            }
            if let Some((first, rest)) = bytes[..len].split_first_chunk::<BLOCK>() {
                let mut state = INITIAL;
                absorb(&mut state, first);
                assert_eq!(
                    finish(state, BLOCK, &[rest]),
                    want,
                    "{len} bytes, the first block absorbed before"
                );
            }
        }
    }

    #[test]
    fn fixed_lengths_equal_the_general_form() {
        for n in 0..8u8 {
            let (left, right) = (short_hash(&[&[n]]), short_hash(&[&[n, n]]));
            assert_eq!(node(&left, &right), short_hash(&[&[1], &left, &right]));
            let mut state = INITIAL;
            absorb(&mut state, &[n; BLOCK]);
            assert_eq!(finish_digest(state, &left), short_hash(&[&[n; BLOCK], &left]));
        }
    }

    #[test]
    fn fips_180_4_examples() {
        let two_blocks = b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
        for (message, digest) in [
            (&b"abc"[..], "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
            (&two_blocks[..], "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"),
            (b"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        ] {
            assert_eq!(to_hex(&short_hash(&[message])), digest);
        }
    }
}
