//! A sealed batch as bytes: the header every record of it shares, and the body that holds them.
//! `docs/FORMAT.md` §4 and §6.

use super::limits::*;
use super::record::KEY_LEN;
use super::wire::{Reader, WireError, WireWrite};

/// First bytes of a batch body.
pub const BODY_MAGIC: &[u8; 4] = b"STB1";
/// The only header version.
const HEADER_VERSION: u8 = 1;
/// RFC 9180 §7.1: DHKEM(X25519, HKDF-SHA256).
pub const KEM_X25519: u16 = 0x0020;

/// One reader of a batch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BatchReader {
    /// RFC 9180 KEM identifier; only [`KEM_X25519`] is sealed for today.
    pub kem: u16,
    /// The reader's public key, in the KEM's encoding.
    pub public_key: Vec<u8>,
    /// The HPKE encapsulated key.
    pub enc: Vec<u8>,
    /// The search secrets of the sections this reader may read, HPKE-sealed.
    pub search: Vec<u8>,
}

/// One section every record of a batch has.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BatchSection {
    /// The policy's name for it.
    pub name: String,
    /// Indices into [`Header::readers`], ascending.
    pub readers: Vec<u8>,
}

/// What all records of one batch share.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Header {
    /// Ledger origin.
    pub ledger: String,
    /// Writer key name.
    pub writer: String,
    /// The writer's statement sequence number.
    pub sequence: u64,
    /// Name of the search period, such as `2026-11`.
    pub period: String,
    /// Readers, ascending by (KEM, public key).
    pub readers: Vec<BatchReader>,
    /// Sections; the first holds what no other one claims.
    pub sections: Vec<BatchSection>,
    /// Names of the fields that carry blind tags.
    pub tag_fields: Vec<String>,
}

/// Length of an AEAD authentication tag (RFC 8439 §2.8), in bytes.
const AEAD_TAG_LEN: usize = 16;

/// Whether `name` can be a section name, a field name or a period: 1 to [`MAX_LABEL_BYTES`] of `a-z 0-9 . _ -`.
pub fn is_label(name: &str) -> bool {
    let ok = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b);
    (1..=MAX_LABEL_BYTES).contains(&name.len()) && name.bytes().all(ok)
}

impl Header {
    /// Checks every rule of the format; [`Header::decode`] and [`Header::encode`] both pass through it.
    fn check(&self) -> Result<(), WireError> {
        let err = |why| Err(WireError::Invalid { what: "batch header", why });
        let key_name_ok = |n: &str| !n.is_empty() && n.len() <= MAX_NAME_BYTES;
        let name_ok = is_label;
        if !key_name_ok(&self.ledger) || !key_name_ok(&self.writer) || !name_ok(&self.period) {
            return err("a name is empty or too long");
        }
        if self.readers.is_empty() || self.readers.len() > MAX_READERS {
            return err("number of readers");
        }
        if !self.readers.is_sorted_by(|a, b| (a.kem, &a.public_key) < (b.kem, &b.public_key)) {
            return err("readers are not strictly ascending");
        }
        if self.sections.is_empty() || self.sections.len() > MAX_SECTIONS {
            return err("number of sections");
        }
        for (i, s) in self.sections.iter().enumerate() {
            if !name_ok(&s.name) || self.sections[..i].iter().any(|o| o.name == s.name) {
                return err("a section name is empty, too long or there twice");
            }
            let in_range = s.readers.iter().all(|r| usize::from(*r) < self.readers.len());
            if s.readers.is_empty() || !in_range || !s.readers.is_sorted_by(|a, b| a < b) {
                return err("the readers of a section");
            }
        }
        for (i, r) in self.readers.iter().enumerate() {
            let sections =
                self.sections.iter().filter(|s| s.readers.iter().any(|n| usize::from(*n) == i)).count();
            if sections == 0 {
                return err("a reader is in no section");
            }
            // RFC 9180 §7.1: Npk = Nenc = 32; the search secrets carry one AEAD tag.
            let fits = r.public_key.len() == KEY_LEN
                && r.enc.len() == KEY_LEN
                && r.search.len() == KEY_LEN * sections + AEAD_TAG_LEN;
            if r.kem == KEM_X25519 && !fits {
                return err("the lengths of a reader's keys");
            }
        }
        if self.tag_fields.len() > MAX_TAG_FIELDS || !self.tag_fields.iter().all(|f| name_ok(f)) {
            return err("the tag fields");
        }
        if self.tag_fields.iter().enumerate().any(|(i, f)| self.tag_fields[..i].contains(f)) {
            return err("a tag field is there twice");
        }
        Ok(())
    }

    /// The header's bytes, whose hash the writer signs.
    pub fn encode(&self) -> Result<Vec<u8>, WireError> {
        self.check()?;
        let mut out = vec![HEADER_VERSION];
        out.put_bytes16(self.ledger.as_bytes());
        out.put_bytes16(self.writer.as_bytes());
        out.put_u64(self.sequence);
        out.put_bytes16(self.period.as_bytes());
        out.push(self.readers.len() as u8);
        for r in &self.readers {
            out.put_u16(r.kem);
            out.put_bytes16(&r.public_key);
            out.put_bytes16(&r.enc);
            out.put_bytes16(&r.search);
        }
        out.push(self.sections.len() as u8);
        for s in &self.sections {
            out.put_bytes16(s.name.as_bytes());
            out.push(s.readers.len() as u8);
            out.extend_from_slice(&s.readers);
        }
        out.push(self.tag_fields.len() as u8);
        for f in &self.tag_fields {
            out.put_bytes16(f.as_bytes());
        }
        if out.len() > MAX_HEADER_BYTES {
            return Err(WireError::Invalid { what: "batch header", why: "larger than MAX_HEADER_BYTES" });
        }
        Ok(out)
    }

    /// Inverse of [`Header::encode`]; whatever decodes encodes to the same bytes.
    pub fn decode(bytes: &[u8]) -> Result<Header, WireError> {
        let mut r = Reader::new(bytes, "batch header");
        if bytes.len() > MAX_HEADER_BYTES {
            return r.invalid("larger than MAX_HEADER_BYTES");
        }
        if r.u8()? != HEADER_VERSION {
            return r.invalid("unknown version");
        }
        let ledger = r.str16()?.to_owned();
        let writer = r.str16()?.to_owned();
        let sequence = r.u64()?;
        let period = r.str16()?.to_owned();
        let readers = (0..r.u8()?)
            .map(|_| {
                Ok(BatchReader {
                    kem: r.u16()?,
                    public_key: r.bytes16()?.to_vec(),
                    enc: r.bytes16()?.to_vec(),
                    search: r.bytes16()?.to_vec(),
                })
            })
            .collect::<Result<_, WireError>>()?;
        let sections = (0..r.u8()?)
            .map(|_| {
                let name = r.str16()?.to_owned();
                let n = usize::from(r.u8()?);
                Ok(BatchSection { name, readers: r.take(n)?.to_vec() })
            })
            .collect::<Result<_, WireError>>()?;
        let tag_fields = (0..r.u8()?).map(|_| Ok(r.str16()?.to_owned())).collect::<Result<_, WireError>>()?;
        r.finish()?;
        let h = Header { ledger, writer, sequence, period, readers, sections, tag_fields };
        h.check()?;
        Ok(h)
    }
}

/// What stands before the records of a body.
struct Front<'a> {
    header: &'a [u8],
    /// Length of each record.
    lengths: &'a [u8],
    /// Length of all this, in bytes: there the first record begins.
    len: usize,
}

impl<'a> Front<'a> {
    /// Reads it from the beginning of a body as far as that has come; `None` if that is not far enough.
    fn read(bytes: &'a [u8]) -> Result<Option<Front<'a>>, WireError> {
        let mut r = Reader::new(bytes, "batch body");
        if bytes.len() < BODY_MAGIC.len() + 4 {
            return Ok(None);
        }
        if r.take(BODY_MAGIC.len())? != BODY_MAGIC {
            return r.invalid("does not start with STB1");
        }
        let n = r.u32()? as usize;
        if n > MAX_BATCH_BYTES {
            return r.invalid("larger than MAX_BATCH_BYTES");
        }
        if bytes.len() < Body::front_len(n, 0) {
            return Ok(None);
        }
        let header = r.take(n)?;
        let count = r.u32()? as usize;
        if count == 0 || count > MAX_BATCH_RECORDS {
            return r.invalid("number of records");
        }
        let len = Body::front_len(n, count);
        if bytes.len() < len {
            return Ok(None);
        }
        Ok(Some(Front { header, lengths: r.take(count * 4)?, len }))
    }

    /// Length of the whole body, whose records and which itself must be within their limits.
    fn body_len(&self) -> Result<usize, WireError> {
        let invalid = |why| Err(WireError::Invalid { what: "batch body", why });
        let mut total = self.len;
        for n in words(self.lengths) {
            if n as usize > MAX_RECORD_BYTES {
                return invalid("a record is larger than MAX_RECORD_BYTES");
            }
            total += n as usize;
        }
        if total > MAX_BATCH_BYTES { invalid("larger than MAX_BATCH_BYTES") } else { Ok(total) }
    }
}

/// Numbers of four bytes each.
fn words(bytes: &[u8]) -> impl Iterator<Item = u32> + use<'_> {
    bytes.as_chunks::<4>().0.iter().map(|word| u32::from_be_bytes(*word))
}

/// A batch body, borrowed: header bytes and one byte string per record. Records are framed here and
/// decoded by [`super::record::Record::decode`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Body<'a> {
    /// The encoded [`Header`].
    pub header: &'a [u8],
    /// Length of each record.
    lengths: &'a [u8],
    /// The records, one after the other.
    data: &'a [u8],
}

impl<'a> Body<'a> {
    /// Splits a body into header and records, checking the framing but not what is inside.
    pub fn decode(bytes: &'a [u8]) -> Result<Body<'a>, WireError> {
        let what = "batch body";
        if bytes.len() > MAX_BATCH_BYTES {
            return Err(WireError::Invalid { what, why: "larger than MAX_BATCH_BYTES" });
        }
        let Some(front) = Front::read(bytes)? else { return Err(WireError::Truncated { what }) };
        match bytes.len().checked_sub(front.body_len()?) {
            None => Err(WireError::Truncated { what }),
            Some(0) => {
                let data = bytes.get(front.len..).unwrap_or_default();
                Ok(Body { header: front.header, lengths: front.lengths, data })
            }
            Some(extra) => Err(WireError::Trailing { what, extra }),
        }
    }

    /// Header, lengths of the records and length of all that stands before these, from the beginning of a body as far as it has come;
    /// `None` if that is not far enough. The rules are those of [`Body::decode`].
    #[expect(clippy::type_complexity, reason = "an iterator that has no name can be part of no alias")]
    pub fn decode_front(
        bytes: &'a [u8],
    ) -> Result<Option<(&'a [u8], impl Iterator<Item = u32> + use<'a>, usize)>, WireError> {
        let Some(front) = Front::read(bytes)? else { return Ok(None) };
        front.body_len()?;
        Ok(Some((front.header, words(front.lengths), front.len)))
    }

    /// Number of records, at least one.
    pub fn count(&self) -> usize {
        self.lengths.len() / 4
    }

    /// The records' bytes in order.
    pub fn records(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let mut rest = self.data;
        words(self.lengths).map(move |n| {
            let (head, tail) = rest.split_at_checked(n as usize).unwrap_or((rest, &[]));
            rest = tail;
            head
        })
    }

    /// Encodes a body. `records` are encoded records, already within their limits.
    pub fn encode<R: AsRef<[u8]>>(header: &[u8], records: &[R]) -> Vec<u8> {
        let total: usize = records.iter().map(|r| r.as_ref().len()).sum();
        let mut out = Vec::with_capacity(12 + header.len() + records.len() * 4 + total);
        Self::encode_front(header, records.iter().map(|r| r.as_ref().len()), records.len(), &mut out);
        for r in records {
            out.extend_from_slice(r.as_ref());
        }
        out
    }

    /// Appends everything that stands before the records themselves.
    pub fn encode_front(
        header: &[u8],
        lengths: impl Iterator<Item = usize>,
        count: usize,
        out: &mut Vec<u8>,
    ) {
        out.extend_from_slice(BODY_MAGIC);
        out.put_u32(header.len() as u32);
        out.extend_from_slice(header);
        out.put_u32(count as u32);
        for n in lengths {
            out.put_u32(n as u32);
        }
    }

    /// How many bytes stand before the first record of a body with this header length and count.
    pub fn front_len(header_len: usize, count: usize) -> usize {
        BODY_MAGIC.len() + 4 + header_len + 4 + count * 4
    }
}

#[cfg(test)]
#[path = "batch_tests.rs"]
mod tests;
