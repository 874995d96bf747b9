//! Which 32 bytes may be an X25519 public key: `docs/FORMAT.md` §2. Nothing is computed with keys here; the
//! layers that seal to a key and that only name one both ask.

/// Length of a public key in bytes.
pub const PUBLIC_KEY_LEN: usize = 32;

/// The five u-coordinates of low order, on the curve or its twist, that are canonical: 0, 1, −1 and the
/// two of order 8. A test of the layer above checks each against the key exchange itself.
pub const LOW_ORDER: [[u8; PUBLIC_KEY_LEN]; 5] = [
    [0; 32],
    {
        let mut one = [0; 32];
        one[0] = 1;
        one
    },
    {
        let mut minus_one = [0xff; 32];
        minus_one[0] = 0xec;
        minus_one[31] = 0x7f;
        minus_one
    },
    [
        0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae, 0x16, 0x56, 0xe3, 0xfa, 0xf1, 0x9f, 0xc4, 0x6a, 0xda,
        0x09, 0x8d, 0xeb, 0x9c, 0x32, 0xb1, 0xfd, 0x86, 0x62, 0x05, 0x16, 0x5f, 0x49, 0xb8, 0x00,
    ],
    [
        0x5f, 0x9c, 0x95, 0xbc, 0xa3, 0x50, 0x8c, 0x24, 0xb1, 0xd0, 0xb1, 0x55, 0x9c, 0x83, 0xef, 0x5b, 0x04,
        0x44, 0x5c, 0xc4, 0x58, 0x1c, 0x8e, 0x86, 0xd8, 0x22, 0x4e, 0xdd, 0xd0, 0x9f, 0x11, 0x57,
    ],
];

/// RFC 7748 §5 has readers ignore the top bit and reduce modulo p = 2^255 − 19; only what needs neither
/// is the one encoding of its point.
pub fn is_canonical(u: &[u8; PUBLIC_KEY_LEN]) -> bool {
    let [lowest, middle @ .., highest] = u;
    let at_least_p = *highest == 0x7f && middle.iter().all(|b| *b == 0xff) && *lowest >= 0xed;
    *highest < 0x80 && !at_least_p
}

/// Whether anyone could compute what is agreed with this key.
pub fn is_low_order(u: &[u8; PUBLIC_KEY_LEN]) -> bool {
    LOW_ORDER.contains(u)
}
