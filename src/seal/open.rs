//! Opening records: the only file that decrypts. `docs/FORMAT.md` §5, "Opening", and §11.
//!
//! Opening has two steps, because comparing the field commitments needs the payload parsed, which a layer
//! above does: [`Opener::open`] gives an [`Unchecked`] record whose payload only the parser sees, and
//! [`Unchecked::verify_disclosure`] turns it into [`Opened`]. There is no way round the second step.

use std::fmt;

use zeroize::Zeroizing;

use super::disclosure::{FieldSink, disclosure_root};
use super::kem::{self, KemError};
use super::keys::{self, DerivedKeys, RecordKey, SLOTS_LABEL, WrappingKey};
pub use super::open_error::{BatchName, OpenError, Place};
use super::reader_key::Identity;
use super::tag::SectionSecret;
use super::{aead, keystream, padding};
use crate::base::batch::{Header, KEM_X25519};
use crate::base::hash::Hash;
use crate::base::limits::MAX_BATCH_RECORDS;
use crate::base::record::{KEY_LEN, Record, SectionRoot, SectionView};
use crate::base::secret::{Secret, ct_eq};
use crate::base::wire::WireError;

/// A section of the batch as this reader sees it.
struct SectionAccess {
    name: String,
    readers: usize,
    /// This reader's slot and search secret, if the section is for them.
    mine: Option<(usize, Option<SectionSecret>)>,
}

/// Opens the records of one batch for one reader.
pub struct Opener {
    batch: BatchName,
    context: Hash,
    wrapping_key: WrappingKey,
    sections: Vec<SectionAccess>,
}

impl Opener {
    /// Does the public-key work of a batch: about 85 µs.
    pub fn new(identity: &Identity, header: &Header) -> Result<Opener, OpenError> {
        let batch = BatchName { writer: header.writer.clone(), sequence: header.sequence };
        // A header that was put together by hand rather than decoded is checked here.
        if let Err(problem) = header.encode() {
            return Err(OpenError::Header { batch, problem });
        }
        let public = identity.recipient();
        let found =
            header.readers.iter().position(|r| r.kem == KEM_X25519 && r.public_key == public.as_bytes());
        let Some((index, reader)) = found.and_then(|i| Some((i, header.readers.get(i)?))) else {
            return Err(OpenError::NotAReader(batch));
        };
        let slots: Vec<Option<usize>> =
            header.sections.iter().map(|s| s.readers.iter().position(|r| usize::from(*r) == index)).collect();
        let readable = slots.iter().flatten().count();
        if readable == 0 {
            return Err(OpenError::NotAReader(batch));
        }
        let info = keys::hpke_info(&header.ledger, &header.writer, header.sequence);
        let (wrapping_key, search) = match receive(identity, &reader.enc, &info, &reader.search) {
            Ok(received) => received,
            Err(problem) => return Err(OpenError::Envelope { batch, problem }),
        };
        // Without the search secrets there is no searching, but opening does not need them.
        let search = search.filter(|s| s.len() == readable * KEY_LEN).unwrap_or_default();
        let mut secrets = search.chunks_exact(KEY_LEN);
        let sections = header.sections.iter().zip(slots).map(|(section, slot)| SectionAccess {
            name: section.name.clone(),
            readers: section.readers.len(),
            mine: slot.map(|n| (n, secrets.next().and_then(Secret::from_slice).map(SectionSecret))),
        });
        let sections = sections.collect();
        let context = keys::record_context(&header.ledger, &header.writer, header.sequence);
        Ok(Opener { batch, context, wrapping_key, sections })
    }

    /// Name and search secret of every section this reader may read; an error if the header's sealed search
    /// secrets do not open.
    pub fn section_search_secrets(&self) -> Result<Vec<(&str, &SectionSecret)>, OpenError> {
        let mine = self.sections.iter().filter_map(|s| Some((s.name.as_str(), s.mine.as_ref()?.1.as_ref())));
        mine.map(|(name, secret)| Some((name, secret?)))
            .collect::<Option<_>>()
            .ok_or_else(|| OpenError::Envelope { batch: self.batch.clone(), problem: KemError::Open })
    }

    /// Decrypts the sections of a record that this reader may read; `position` counts from 0 in the batch.
    pub fn open(&self, position: u32, record: &[u8]) -> Result<Unchecked<'_>, OpenError> {
        let invalid = |problem| OpenError::Record { batch: self.batch.clone(), position, problem };
        let misfit = |why| invalid(WireError::Invalid { what: "record", why });
        if position as usize >= MAX_BATCH_RECORDS {
            return Err(misfit("no batch has this position"));
        }
        let (committed, views) = match Record::decode(record).map_err(invalid)? {
            Record::Sealed { disclosure_root, sections, .. } => (disclosure_root, sections),
            Record::Erased(_) => return Err(OpenError::Erased { batch: self.batch.clone(), position }),
        };
        if views.len() != self.sections.len() {
            return Err(misfit("another number of sections than the batch"));
        }
        if views.iter().zip(&self.sections).any(|(v, s)| v.slots.len() != s.readers * KEY_LEN) {
            return Err(misfit("another number of slots than the section has readers"));
        }
        let mut sections = Vec::with_capacity(views.len());
        for (s, (view, access)) in views.iter().zip(&self.sections).enumerate() {
            let open = match &access.mine {
                Some((slot, _)) => Some(self.open_section(position, s, *slot, view)?),
                None => None,
            };
            sections.push(UncheckedSection { open, stated: view.root });
        }
        Ok(Unchecked { opener: self, position, committed, sections })
    }

    /// §5, "Opening": unwrap, compare the commitment in constant time, and only then decrypt.
    fn open_section(
        &self,
        position: u32,
        s: usize,
        slot: usize,
        view: &SectionView<'_>,
    ) -> Result<OpenSection, OpenError> {
        let place = || Box::new(self.place(position, s));
        let slot = view.slot(slot).ok_or_else(|| OpenError::Commitment(place()))?;
        let block = position * self.sections.len() as u32 + s as u32;
        let mask = keystream::slot_mask(&self.wrapping_key, block);
        let key = RecordKey(Secret::fill(|k: &mut [u8; KEY_LEN]| {
            for ((k, s), m) in k.iter_mut().zip(slot).zip(mask.iter()) {
                *k = s ^ m;
            }
        }));
        let derived = DerivedKeys::derive(&key);
        if !ct_eq(&derived.commitment, &view.commitment) {
            return Err(OpenError::Commitment(place()));
        }
        let aad = keys::associated_data(&self.context, position, s as u8);
        let mut payload = aead::open(&derived.encryption, &aad, view.ciphertext)
            .map_err(|_| OpenError::Ciphertext(place()))?;
        let len = padding::unpadded_len(&payload).ok_or_else(|| OpenError::Padding(place()))?;
        payload.truncate(len);
        Ok(OpenSection { payload, key, derived })
    }

    fn place(&self, position: u32, section: usize) -> Place {
        let section = self.sections.get(section).map(|s| s.name.clone()).unwrap_or_default();
        Place { batch: self.batch.clone(), position, section }
    }
}

impl fmt::Debug for Opener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opener").field("batch", &self.batch).finish_non_exhaustive()
    }
}

/// The search secrets of the sections a reader may read, one after the other.
type SearchSecrets = Zeroizing<Vec<u8>>;

/// The reader's side of §4: the wrapping key, and the search secrets if they open.
fn receive(
    identity: &Identity,
    enc: &[u8],
    info: &[u8],
    search: &[u8],
) -> Result<(WrappingKey, Option<SearchSecrets>), KemError> {
    let mut context = kem::receiver(identity, enc, info)?;
    let search = context.open(b"", search).ok();
    Ok((WrappingKey(context.export(SLOTS_LABEL)?), search))
}

/// A decrypted section and its keys.
struct OpenSection {
    payload: Zeroizing<Vec<u8>>,
    key: RecordKey,
    derived: DerivedKeys,
}

struct UncheckedSection {
    open: Option<OpenSection>,
    /// The root in the envelope, there when the record has several sections.
    stated: Option<SectionRoot>,
}

/// A decrypted record whose fields have not been compared with its commitments yet.
pub struct Unchecked<'o> {
    opener: &'o Opener,
    position: u32,
    committed: Hash,
    sections: Vec<UncheckedSection>,
}

impl Unchecked<'_> {
    /// Recomputes the field commitments and compares them. For each section that was opened, in order,
    /// `fields_of` gets its number and payload, and puts the payload's fields into the sink in document
    /// order. Its error, for a payload it cannot parse, ends the opening.
    pub fn verify_disclosure<E: From<OpenError>>(
        self,
        mut fields_of: impl FnMut(usize, &[u8], &mut FieldSink<'_>) -> Result<(), E>,
    ) -> Result<Opened, E> {
        let place = |s| Box::new(self.opener.place(self.position, s));
        let mut leaves = Vec::new();
        let mut roots = Vec::with_capacity(self.sections.len());
        for (s, section) in self.sections.iter().enumerate() {
            let root = match (&section.open, section.stated) {
                (Some(open), stated) => {
                    let mut sink = FieldSink::new(&open.derived.salts, &mut leaves);
                    fields_of(s, &open.payload, &mut sink)?;
                    let root =
                        sink.root().map_err(|problem| OpenError::Fields { place: place(s), problem })?;
                    // Another root in the envelope would make the other sections' readers see a mismatch.
                    if stated.is_some_and(|stated| stated != root) {
                        return Err(OpenError::Disclosure(place(s)).into());
                    }
                    root
                }
                (None, Some(stated)) => stated,
                // Not reachable: a reader of a batch with one section has opened that section.
                (None, None) => return Err(OpenError::Disclosure(place(s)).into()),
            };
            roots.push(root);
        }
        if disclosure_root(&roots) != self.committed {
            let first = self.sections.iter().position(|s| s.open.is_some()).unwrap_or(0);
            return Err(OpenError::Disclosure(place(first)).into());
        }
        let sections = self
            .sections
            .into_iter()
            .zip(roots)
            .map(|(s, root)| OpenedSection { root, content: s.open.map(|o| (o.payload, o.key)) });
        Ok(Opened { sections: sections.collect() })
    }
}

impl fmt::Debug for Unchecked<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Unchecked").field("position", &self.position).finish_non_exhaustive()
    }
}

struct OpenedSection {
    root: SectionRoot,
    content: Option<(Zeroizing<Vec<u8>>, RecordKey)>,
}

/// A record whose every check passed. Sections this reader may not read are there without content.
pub struct Opened {
    sections: Vec<OpenedSection>,
}

impl Opened {
    /// Number of sections, readable or not.
    pub fn sections(&self) -> usize {
        self.sections.len()
    }

    /// A section's payload; `None` if this reader may not read it.
    pub fn payload(&self, section: usize) -> Option<&[u8]> {
        Some(self.sections.get(section)?.content.as_ref()?.0.as_slice())
    }

    /// A section's record key, with which it or single fields of it can be disclosed; `None` if this
    /// reader may not read it.
    pub fn record_key(&self, section: usize) -> Option<&RecordKey> {
        Some(&self.sections.get(section)?.content.as_ref()?.1)
    }

    /// The roots over the sections' fields, which the record's disclosure root is made of.
    pub fn roots(&self) -> impl Iterator<Item = SectionRoot> {
        self.sections.iter().map(|s| s.root)
    }
}

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opened").field("sections", &self.sections.len()).finish_non_exhaustive()
    }
}

/// Opens a session challenge: the token to show the server. §11.
pub fn open_challenge(
    identity: &Identity,
    ledger: &str,
    enc: &[u8],
    ciphertext: &[u8],
) -> Result<Zeroizing<Vec<u8>>, OpenError> {
    kem::session_info(ledger)
        .and_then(|info| kem::receiver(identity, enc, &info))
        .and_then(|mut context| context.open(b"", ciphertext))
        .map_err(OpenError::Challenge)
}

#[cfg(test)]
#[path = "open_tests.rs"]
mod tests;
