//! Blind tags: equal values of a searchable field give equal tags, and nobody without the section's search
//! secret can tell which value. `docs/FORMAT.md` §3 and §5. Normalising values is layer `event`'s.

use rand_core::Rng;

use super::reader_key::Recipient;
use crate::base::hash::Hash;
use crate::base::hmac::PreparedHmac;
use crate::base::random::Csprng;
use crate::base::record::{KEY_LEN, TAG_LEN, Tag};
use crate::base::secret::Secret;

const SEARCH_LABEL: &[u8] = b"sealtrail.org/search/v1 ";
const READERS_LABEL: &[u8] = b"sealtrail.org/search-readers/v1 ";

/// The search secret of one writer and period.
#[derive(Debug)]
pub struct SearchSecret(Secret<KEY_LEN>);

impl SearchSecret {
    /// A fresh secret, for a new period.
    pub fn generate(rng: &mut Csprng) -> Self {
        SearchSecret(Secret::fill(|b| rng.fill_bytes(b)))
    }

    /// From 32 random bytes kept by the writer.
    pub fn from_secret(secret: Secret<KEY_LEN>) -> Self {
        SearchSecret(secret)
    }

    /// The bytes, for the file in which the writer keeps them until the period ends.
    pub fn expose(&self) -> &[u8; KEY_LEN] {
        self.0.expose()
    }

    /// The search secret for one set of readers, given in the header's order. §4. Readers of another section, and readers
    /// who were let in or out at another time, hold another one, so they cannot test their guesses here.
    pub fn for_readers<'r>(&self, readers: impl IntoIterator<Item = &'r Recipient>) -> SearchSecret {
        let keys: Vec<u8> = readers.into_iter().flat_map(|r| *r.as_bytes()).collect();
        let prk = PreparedHmac::new(self.0.expose());
        SearchSecret(Secret::fill(|b| prk.expand([READERS_LABEL, &Hash::of(&[&keys]).0], b)))
    }

    /// The secret of one section, from its readers' search secret: HKDF-Expand(search secret, label ‖ section name, 32). §4.
    pub fn section(&self, name: &str) -> SectionSecret {
        let prk = PreparedHmac::new(self.0.expose());
        SectionSecret(Secret::fill(|b| prk.expand([SEARCH_LABEL, name.as_bytes()], b)))
    }
}

/// The search secret of one section: what a reader of that section gets, and what its tags are made with.
#[derive(Debug)]
pub struct SectionSecret(pub(super) Secret<KEY_LEN>);

impl SectionSecret {
    /// Prepares to make tags; each then costs one HMAC.
    pub fn tagger(&self) -> Tagger {
        Tagger(PreparedHmac::new(self.0.expose()))
    }

    /// Whether both are the same, in constant time.
    pub fn same(&self, other: &SectionSecret) -> bool {
        self.0.ct_eq(&other.0)
    }

    /// The bytes, for handing the ability to search to another program.
    pub fn expose(&self) -> &[u8; KEY_LEN] {
        self.0.expose()
    }
}

/// A section search secret, ready to make tags with.
pub struct Tagger(PreparedHmac);

impl Tagger {
    /// The tag of a normalised value, which must not be empty.
    pub fn tag(&self, field_name: &str, normalised: &[u8]) -> Tag {
        let mac = self.0.mac(&[field_name.as_bytes(), &[0], normalised]);
        let mut tag = [0; TAG_LEN];
        tag.copy_from_slice(&mac[..TAG_LEN]);
        tag
    }
}

impl std::fmt::Debug for Tagger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tagger(…)")
    }
}

/// First 8 bytes of HMAC-SHA256(section search secret, field name ‖ 0x00 ‖ normalised value). §5.
pub fn blind_tag(secret: &SectionSecret, field_name: &str, normalised: &[u8]) -> Tag {
    secret.tagger().tag(field_name, normalised)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::hash::to_hex;

    fn secret(n: u8) -> SearchSecret {
        SearchSecret(Secret::fill(|b| b.fill(n)))
    }

    /// Computed with Python's hmac module from the words of the format:
    /// `T = lambda k, m: hmac.new(k, m, "sha256").digest()`;
    /// `T(T(b"\x01" * 32, b"sealtrail.org/search/v1 event\x01"), b"actor\0alice")[:8]`.
    #[test]
    fn a_tag_is_what_the_format_says() {
        let tag = blind_tag(&secret(1).section("event"), "actor", b"alice");
        assert_eq!(to_hex(&tag), "c0f274e2dcafb2fa");
    }

    #[test]
    fn tags_depend_on_period_section_field_and_value() {
        let base = blind_tag(&secret(1).section("a"), "actor", b"alice");
        assert_eq!(secret(1).section("a").tagger().tag("actor", b"alice"), base);
        for other in [
            blind_tag(&secret(2).section("a"), "actor", b"alice"),
            blind_tag(&secret(1).section("b"), "actor", b"alice"),
            blind_tag(&secret(1).section("a"), "acto", b"ralice"),
            blind_tag(&secret(1).section("a"), "actor", b"alicf"),
        ] {
            assert_ne!(other, base);
        }
    }

    #[test]
    fn debug_shows_no_secret() {
        let s = secret(0x77);
        let text = format!("{s:?} {:?} {:?}", s.section("x"), s.section("x").tagger());
        assert_eq!(text, "SearchSecret(Secret(…)) SectionSecret(Secret(…)) Tagger(…)");
    }
}
