//! SHA-256 (FIPS 180-4) of many independent messages. One message is a chain of rounds that wait for each other, so a core spends
//! most of its time waiting. With AVX-512, sixteen messages go through the rounds side by side, each in a lane of its own; on other
//! processors they are hashed one after the other. Either way the digests are the same.

use sha2::block_api::compress256;

use super::hash::Hash;
use super::sha256::{BLOCK, INITIAL, words};

/// A message: the concatenation of these.
pub(crate) type Message<'m> = [&'m [u8]; 4];

/// The digest of each message; `out` must be as long as `messages`, what is beyond stays as it is.
pub(crate) fn hash_each(messages: &[Message<'_>], out: &mut [Hash]) {
    #[cfg(target_arch = "x86_64")]
    if messages.len() >= wide::MIN_LANES
        && let Some(cpu) = pulp::x86::V4::try_new()
    {
        return wide::hash_each(cpu, messages, out);
    }
    one_by_one(messages, out);
}

fn one_by_one(messages: &[Message<'_>], out: &mut [Hash]) {
    for (message, digest) in messages.iter().zip(out) {
        *digest = Hash::of(message);
    }
}

/// The digests of messages that are laid out in `blocks` with their padding, where each ends given; `out` must be as long as `ends`.
pub(crate) fn hash_padded(blocks: &[[u8; BLOCK]], ends: &[usize], out: &mut [Hash]) {
    #[cfg(target_arch = "x86_64")]
    if ends.len() >= wide::MIN_LANES
        && let Some(cpu) = pulp::x86::V4::try_new()
    {
        return wide::hash_padded(cpu, blocks, ends, out);
    }
    let mut start = 0;
    for (end, digest) in ends.iter().zip(out) {
        let mut state = INITIAL;
        compress256(&mut state, blocks.get(start..*end).unwrap_or_default());
        *digest = Hash(words(state));
        start = *end;
    }
}

#[cfg(target_arch = "x86_64")]
mod wide {
    use core::arch::x86_64::__m512i;

    use pulp::x86::V4;
    use sha2::block_api::compress256;

    use super::super::hash::Hash;
    use super::super::sha256::{BLOCK, INITIAL, State, TRAILER, finish, words};
    use super::Message;

    /// Messages side by side.
    const LANES: usize = 16;
    /// With fewer messages left than this, one after the other is faster.
    pub(super) const MIN_LANES: usize = 9;

    /// FIPS 180-4 §4.2.2.
    #[rustfmt::skip]
    const K: [u32; 64] = [
        0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
        0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
        0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
        0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
        0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
        0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
        0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
        0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
    ];

    /// A message on its way.
    struct Lane<M> {
        message: M,
        /// Blocks with the padding.
        blocks: usize,
        /// Which message it is.
        index: usize,
    }

    /// Where a lane's blocks come from.
    trait Source {
        /// The next block, which is number `number` of `count`.
        fn next_block(&mut self, number: usize, count: usize) -> [u8; BLOCK];
        /// The digest of the message, of which `done` blocks are absorbed.
        fn rest(&self, state: State, done: usize) -> Hash;
    }

    /// A message in parts.
    struct Parts<'m> {
        /// What is not absorbed yet.
        parts: Message<'m>,
        /// Length of the whole message in bytes.
        len: usize,
    }

    pub(super) fn hash_each(cpu: V4, messages: &[Message<'_>], out: &mut [Hash]) {
        let mut lanes: Vec<Lane<Parts<'_>>> = Vec::with_capacity(messages.len());
        for (index, parts) in messages.iter().enumerate() {
            let len = parts.iter().map(|p| p.len()).sum();
            let message = Parts { parts: *parts, len };
            lanes.push(Lane { message, blocks: (len + TRAILER).div_ceil(BLOCK), index });
        }
        hash_lanes(cpu, &mut lanes, out);
    }

    pub(super) fn hash_padded(cpu: V4, blocks: &[[u8; BLOCK]], ends: &[usize], out: &mut [Hash]) {
        let mut lanes: Vec<Lane<&[[u8; BLOCK]]>> = Vec::with_capacity(ends.len());
        let mut start = 0;
        for (index, end) in ends.iter().enumerate() {
            let message = blocks.get(start..*end).unwrap_or_default();
            lanes.push(Lane { message, blocks: message.len(), index });
            start = *end;
        }
        hash_lanes(cpu, &mut lanes, out);
    }

    fn hash_lanes<M: Source>(cpu: V4, lanes: &mut [Lane<M>], out: &mut [Hash]) {
        // Those of about equal length side by side, the longest first in each group.
        if !lanes.is_sorted_by(|a, b| a.blocks == b.blocks) {
            lanes.sort_unstable_by_key(|lane| std::cmp::Reverse(lane.blocks));
        }
        cpu.vectorize(Groups { cpu, lanes, out });
    }

    struct Groups<'a, M> {
        cpu: V4,
        lanes: &'a mut [Lane<M>],
        out: &'a mut [Hash],
    }

    impl<M: Source> pulp::NullaryFnOnce for Groups<'_, M> {
        type Output = ();

        #[inline(always)]
        fn call(self) {
            for group in self.lanes.chunks_mut(LANES) {
                let mut states = [[0; LANES]; 8];
                // As long as enough of them go on.
                let together = group.get(MIN_LANES - 1).map_or(0, |lane| lane.blocks);
                let done =
                    if together > 0 { absorb(self.cpu, group, together, &mut states, self.out) } else { 0 };
                for (at, lane) in group.iter().enumerate().filter(|(_, lane)| lane.blocks > done) {
                    let state = if done > 0 { states.map(|word| word[at]) } else { INITIAL };
                    if let Some(digest) = self.out.get_mut(lane.index) {
                        *digest = lane.message.rest(state, done);
                    }
                }
            }
        }
    }

    /// Absorbs the first `count` blocks of all; gives `count`. Who ends before gets its digest on the way.
    #[inline(always)]
    fn absorb<M: Source>(
        cpu: V4,
        group: &mut [Lane<M>],
        count: usize,
        states: &mut [[u32; LANES]; 8],
        out: &mut [Hash],
    ) -> usize {
        let simd = cpu.avx512f;
        let big_endian: __m512i = pulp::cast([[3u8, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12]; 4]);
        let mut state = [simd._mm512_set1_epi32(0); 8];
        for (lanes, word) in state.iter_mut().zip(INITIAL) {
            *lanes = simd._mm512_set1_epi32(word as i32);
        }
        for number in 0..count {
            let mut words = [simd._mm512_set1_epi32(0); 16];
            let mut ends = false;
            for (row, lane) in words.iter_mut().zip(group.iter_mut()) {
                if number < lane.blocks {
                    let block = lane.message.next_block(number, lane.blocks);
                    ends |= number + 1 == lane.blocks;
                    *row = cpu.avx512bw._mm512_shuffle_epi8(pulp::cast(block), big_endian);
                }
            }
            transpose(cpu, &mut words);
            compress(cpu, &mut state, words);
            if ends || number + 1 == count {
                for (out, word) in states.iter_mut().zip(state) {
                    *out = pulp::cast(word);
                }
            }
            if ends {
                for (at, lane) in group.iter().enumerate().filter(|(_, lane)| number + 1 == lane.blocks) {
                    if let Some(digest) = out.get_mut(lane.index) {
                        for (bytes, word) in digest.0.as_chunks_mut().0.iter_mut().zip(states.iter()) {
                            *bytes = word[at].to_be_bytes();
                        }
                    }
                }
            }
        }
        count
    }

    impl Source for &[[u8; BLOCK]] {
        #[inline(always)]
        fn next_block(&mut self, number: usize, _: usize) -> [u8; BLOCK] {
            self.get(number).copied().unwrap_or([0; BLOCK])
        }

        #[inline(never)]
        fn rest(&self, mut state: State, done: usize) -> Hash {
            compress256(&mut state, self.get(done..).unwrap_or_default());
            Hash(words(state))
        }
    }

    impl Parts<'_> {
        /// A block of several parts, or with padding.
        #[inline(never)]
        fn mixed_block(&mut self, number: usize, count: usize) -> [u8; BLOCK] {
            let mut block = [0; BLOCK];
            let mut at = 0;
            for part in &mut self.parts {
                let (now, later) = part.split_at(part.len().min(BLOCK - at));
                block[at..at + now.len()].copy_from_slice(now);
                at += now.len();
                *part = later;
            }
            // The next whole blocks are those of the first part.
            if let [[], second, third, fourth] = self.parts {
                self.parts = [second, third, fourth, &[]];
            }
            // Where the message ends, if it ends before this block does.
            if let Some(end) = block.get_mut(self.len.wrapping_sub(number * BLOCK)) {
                *end = 0x80;
            }
            if number + 1 == count {
                block[BLOCK - 8..].copy_from_slice(&(8 * self.len as u64).to_be_bytes());
            }
            block
        }
    }

    impl Source for Parts<'_> {
        #[inline(always)]
        fn next_block(&mut self, number: usize, count: usize) -> [u8; BLOCK] {
            let [first, ..] = &mut self.parts;
            if let Some((whole, later)) = first.split_first_chunk::<BLOCK>() {
                *first = later;
                return *whole;
            }
            self.mixed_block(number, count)
        }

        #[inline(never)]
        fn rest(&self, mut state: State, done: usize) -> Hash {
            let mut before = done * BLOCK;
            if before > self.len {
                // The message and the byte behind it are absorbed; what is left is the block with the length.
                let mut block = [0; BLOCK];
                block[BLOCK - 8..].copy_from_slice(&(8 * self.len as u64).to_be_bytes());
                compress256(&mut state, &[block]);
                return Hash(words(state));
            }
            let mut parts = self.parts;
            if let [part, [], [], []] = &mut parts {
                let (blocks, rest) = part.as_chunks::<BLOCK>();
                compress256(&mut state, blocks);
                before += blocks.as_flattened().len();
                *part = rest;
            }
            Hash(finish(state, before, &parts))
        }
    }

    /// From a message in each row to a word of all messages in each row.
    #[inline(always)]
    fn transpose(cpu: V4, r: &mut [__m512i; 16]) {
        let simd = cpu.avx512f;
        let mut t = *r;
        for i in (0..16).step_by(2) {
            t[i] = simd._mm512_unpacklo_epi32(r[i], r[i + 1]);
            t[i + 1] = simd._mm512_unpackhi_epi32(r[i], r[i + 1]);
        }
        let mut u = t;
        for i in (0..16).step_by(4) {
            u[i] = simd._mm512_unpacklo_epi64(t[i], t[i + 2]);
            u[i + 1] = simd._mm512_unpackhi_epi64(t[i], t[i + 2]);
            u[i + 2] = simd._mm512_unpacklo_epi64(t[i + 1], t[i + 3]);
            u[i + 3] = simd._mm512_unpackhi_epi64(t[i + 1], t[i + 3]);
        }
        let mut v = u;
        for i in 0..4 {
            v[i] = simd._mm512_shuffle_i32x4::<0x88>(u[i], u[4 + i]);
            v[4 + i] = simd._mm512_shuffle_i32x4::<0xdd>(u[i], u[4 + i]);
            v[8 + i] = simd._mm512_shuffle_i32x4::<0x88>(u[8 + i], u[12 + i]);
            v[12 + i] = simd._mm512_shuffle_i32x4::<0xdd>(u[8 + i], u[12 + i]);
        }
        for i in 0..4 {
            r[i] = simd._mm512_shuffle_i32x4::<0x88>(v[i], v[8 + i]);
            r[4 + i] = simd._mm512_shuffle_i32x4::<0x88>(v[4 + i], v[12 + i]);
            r[8 + i] = simd._mm512_shuffle_i32x4::<0xdd>(v[i], v[8 + i]);
            r[12 + i] = simd._mm512_shuffle_i32x4::<0xdd>(v[4 + i], v[12 + i]);
        }
    }

    /// FIPS 180-4 §6.2.2, in every lane. The names are the standard's; the immediate of a ternary instruction is its truth table:
    /// 0x96 is exclusive or, 0xca Ch, 0xe8 Maj.
    #[inline(always)]
    fn compress(cpu: V4, state: &mut [__m512i; 8], mut w: [__m512i; 16]) {
        let simd = cpu.avx512f;
        macro_rules! add {
            ($one:expr) => { $one };
            ($one:expr, $($more:expr),+) => { simd._mm512_add_epi32($one, add!($($more),+)) };
        }
        macro_rules! xor {
            ($a:expr, $b:expr, $c:expr) => {
                simd._mm512_ternarylogic_epi32::<0x96>($a, $b, $c)
            };
        }
        macro_rules! rotr {
            ($n:literal, $x:expr) => {
                simd._mm512_ror_epi32::<$n>($x)
            };
        }
        let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h] = *state;
        // Written out: the compiler leaves a loop a loop, and then every word goes through memory, and waits for it.
        macro_rules! rounds {
            ($k:expr, $later:literal, $($t:literal)+) => { $(
                if $later {
                    let (x, y) = (w[($t + 1) % 16], w[($t + 14) % 16]);
                    let s0 = xor!(rotr!(7, x), rotr!(18, x), simd._mm512_srli_epi32::<3>(x));
                    let s1 = xor!(rotr!(17, y), rotr!(19, y), simd._mm512_srli_epi32::<10>(y));
                    w[$t] = add!(s1, add!(s0, add!(w[$t], w[($t + 9) % 16])));
                }
                // What waits for the round before is added last.
                let early = add!(h, simd._mm512_set1_epi32($k[$t] as i32), w[$t]);
                let ch = simd._mm512_ternarylogic_epi32::<0xca>(e, f, g);
                let sum1 = xor!(rotr!(6, e), rotr!(11, e), rotr!(25, e));
                let t1 = add!(sum1, add!(ch, early));
                let sum0 = xor!(rotr!(2, a), rotr!(13, a), rotr!(22, a));
                let maj = simd._mm512_ternarylogic_epi32::<0xe8>(a, b, c);
                (h, g, f, e) = (g, f, e, add!(d, t1));
                (d, c, b, a) = (c, b, a, add!(t1, sum0, maj));
            )+ };
        }
        let [first, later @ ..] = K.as_chunks::<16>().0 else { return };
        rounds!(first, false, 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);
        for k in later {
            rounds!(k, true, 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);
        }
        for (old, new) in state.iter_mut().zip([a, b, c, d, e, f, g, h]) {
            *old = add!(*old, new);
        }
    }
}

#[cfg(test)]
mod tests {
    use sha2::{Digest, Sha256};

    use super::*;

    /// Every message against the streaming hash of the same bytes.
    fn check(messages: &[Message<'_>]) {
        let mut found = vec![Hash::ZERO; messages.len()];
        hash_each(messages, &mut found);
        let mut serial = vec![Hash::ZERO; messages.len()];
        one_by_one(messages, &mut serial);
        assert_eq!(serial, found, "with lanes and without");
        for (n, (message, found)) in messages.iter().zip(&found).enumerate() {
            let want: [u8; 32] = Sha256::digest(message.concat()).into();
            assert_eq!(found.0, want, "message {n} of {}, {} bytes", messages.len(), message.concat().len());
        }
    }

    #[test]
    fn equals_the_streaming_hash_at_every_length_and_split() {
        #[cfg(target_arch = "x86_64")]
        if pulp::x86::V4::try_new().is_none() {
            eprintln!("SKIPPED: this processor has no AVX-512, so SHA-256 in lanes is not tested here");
        }
        let bytes: Vec<u8> = (0..5000u32).map(|i| ((i * 31) >> 3) as u8).collect();
        // Equal lengths: every padding.
        for len in 0..=260 {
            let messages: Vec<Message<'_>> = (0..33)
                .map(|n| {
                    let (a, b) = bytes[n * 7..n * 7 + len].split_at(len * n / 33);
                    let (c, d) = b.split_at(b.len() / 2);
                    [a, c, &[], d]
                })
                .collect();
            check(&messages);
        }
        // Mixed lengths, any number of messages, from one block to many.
        for count in 0..70 {
            let messages: Vec<Message<'_>> = (0..count)
                .map(|n| {
                    let len = if n % 11 == 0 { 4000 } else { n * 37 % 300 };
                    [&bytes[n..n + len], &bytes[..n], &[], &[]]
                })
                .collect();
            check(&messages);
        }
        let long: Vec<Message<'_>> =
            (0..20).map(|n| [&bytes[..if n == 3 { 5000 } else { n }], &[], &[], &[]]).collect();
        check(&long);
    }
}
