//! Opening records: the only file that decrypts them. `docs/FORMAT.md` §5, "Opening", and §11.
//!
//! Opening has two steps, because comparing the field commitments needs the payload parsed, which a layer
//! above does: [`Opener::open`] gives an [`Unchecked`] record whose payload only the parser sees, and
//! [`Unchecked::verify_disclosure`] turns it into [`Opened`]. There is no way round the second step.

use std::fmt;

use zeroize::Zeroizing;

pub use super::access::BatchGrant;
use super::access::{Access, Unwrapped};
use super::disclosure::{Commitments, FieldSink, disclosure_root};
use super::kem::{self, KemError};
use super::keys::{self, DerivedKeys, RecordKey};
pub use super::open_error::{BatchName, OpenError, Place};
use super::reader_key::Identity;
use super::tag::SectionSecret;
use super::{aead, padding};
use crate::base::batch::Header;
use crate::base::hash::Hash;
use crate::base::limits::MAX_BATCH_RECORDS;
use crate::base::record::{KEY_LEN, Record, SectionRoot, SectionView};
use crate::base::secret::SecretBytes;
use crate::base::wire::WireError;

/// Opens the records of one batch for one reader.
pub struct Opener {
    batch: BatchName,
    context: Hash,
    /// The reader's own slots first.
    access: Vec<Access>,
    sections: Vec<SectionInfo>,
}

struct SectionInfo {
    name: String,
    readers: usize,
}

impl Opener {
    /// Does the public-key work of a batch: one key exchange.
    pub fn new(identity: &Identity, header: &Header) -> Result<Opener, OpenError> {
        Opener::with_grants(identity, header, &[])
    }

    /// An opener that also uses what was granted to the identity. A grant can only add: what is wrong with one takes nothing
    /// away that the identity could read without it.
    pub fn with_grants(
        identity: &Identity,
        header: &Header,
        grants: &[BatchGrant<'_>],
    ) -> Result<Opener, OpenError> {
        let batch = BatchName { writer: header.writer.clone(), sequence: header.sequence };
        // A header that was put together by hand rather than decoded is checked here.
        if let Err(problem) = header.encode() {
            return Err(OpenError::Header { batch, problem });
        }
        let granted: Vec<Access> =
            grants.iter().filter_map(|grant| Access::granted(identity, header, grant)).collect();
        let own = match Access::own(identity, header) {
            None if granted.is_empty() => return Err(OpenError::NotAReader(batch)),
            Some(Err(e)) if granted.is_empty() => return Err(e),
            own => own.and_then(Result::ok),
        };
        let sections = header.sections.iter();
        let sections = sections.map(|s| SectionInfo { name: s.name.clone(), readers: s.readers.len() });
        let context = keys::record_context(&header.ledger, &header.writer, header.sequence);
        let access = own.into_iter().chain(granted).collect();
        Ok(Opener { batch, context, access, sections: sections.collect() })
    }

    /// Names of the batch's sections, readable or not.
    pub fn section_names(&self) -> impl Iterator<Item = &str> {
        self.sections.iter().map(|s| s.name.as_str())
    }

    /// Whether this reader may read a section of at least some records.
    pub fn reads(&self, section: usize) -> bool {
        self.access.iter().any(|a| a.reads(section))
    }

    /// Name and search secret of every section this reader may read; an error if the header's sealed search
    /// secrets do not open. A section whose search secret was not granted is left out, and one for which grants give
    /// different ones, which only a dishonest granter can bring about, is there with each.
    pub fn section_search_secrets(&self) -> Result<Vec<(&str, &SectionSecret)>, OpenError> {
        let mut found: Vec<(&str, &SectionSecret)> = Vec::new();
        for (s, section) in self.sections.iter().enumerate() {
            let name = section.name.as_str();
            let before = found.len();
            for secret in self.access.iter().filter_map(|a| a.secret(s)) {
                if !found.iter().any(|(n, known)| *n == name && known.same(secret)) {
                    found.push((name, secret));
                }
            }
            let own = self.access.iter().any(|a| a.is_own() && a.reads(s));
            if own && found.len() == before {
                return Err(OpenError::Envelope { batch: self.batch.clone(), problem: KemError::Open });
            }
        }
        Ok(found)
    }

    /// Decrypts the sections of a record that this reader may read; `position` counts from 0 in the batch.
    pub fn open(&self, position: u32, record: &[u8]) -> Result<Unchecked<'_>, OpenError> {
        let (committed, views) = self.decode(position, record)?;
        let mut sections = Vec::with_capacity(views.len());
        for (s, (view, keys)) in views.iter().zip(self.keys(position, &views)?).enumerate() {
            let open = match keys {
                Some((key, derived)) => Some(self.open_section((position, s), view, key, derived)?),
                None => None,
            };
            sections.push(UncheckedSection { open, stated: view.root });
        }
        Ok(Unchecked { opener: self, position, committed, sections })
    }

    /// The keys of the sections of a record that this reader may read, which are those the record commits to. Nothing is
    /// decrypted.
    pub(super) fn record_keys(
        &self,
        position: u32,
        record: &[u8],
    ) -> Result<Vec<Option<RecordKey>>, OpenError> {
        let (_, views) = self.decode(position, record)?;
        Ok(self.keys(position, &views)?.into_iter().map(|k| k.map(|(key, _)| key)).collect())
    }

    fn decode<'r>(&self, position: u32, record: &'r [u8]) -> Result<(Hash, Vec<SectionView<'r>>), OpenError> {
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
        Ok((committed, views))
    }

    /// The key of each section this reader may read. A slot of its own that does not fit is an error; a granted one only if nothing
    /// else of the record can be read: a bad grant takes nothing away (§12).
    fn keys(&self, position: u32, views: &[SectionView<'_>]) -> Result<Vec<Option<Keys>>, OpenError> {
        let mut all = Vec::with_capacity(views.len());
        let mut misgranted = None;
        for (s, view) in views.iter().enumerate() {
            let place = || Box::new(self.place(position, s));
            let block = position * self.sections.len() as u32 + s as u32;
            let mut keys = None;
            let mut own_slot = false;
            let mut granted_slot = false;
            for access in &self.access {
                match access.unwrap((position, s, block), view) {
                    Unwrapped::Key(key, derived) => {
                        keys = Some((key, derived));
                        break;
                    }
                    Unwrapped::Mismatch if access.is_own() => own_slot = true,
                    Unwrapped::Mismatch => granted_slot = true,
                    Unwrapped::None => {}
                }
            }
            if keys.is_none() && own_slot {
                return Err(OpenError::Commitment(place()));
            }
            if keys.is_none() && granted_slot {
                misgranted.get_or_insert_with(place);
            }
            all.push(keys);
        }
        match misgranted {
            _ if all.iter().any(Option::is_some) => Ok(all),
            Some(place) => Err(OpenError::GrantedSlot(place)),
            None => Err(OpenError::NotAReader(self.batch.clone())),
        }
    }

    /// §5, "Opening": the commitment has been compared; only now decrypt.
    fn open_section(
        &self,
        (position, s): (u32, usize),
        view: &SectionView<'_>,
        key: RecordKey,
        derived: DerivedKeys,
    ) -> Result<OpenSection, OpenError> {
        let place = || Box::new(self.place(position, s));
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

/// A record key and what follows from it.
type Keys = (RecordKey, DerivedKeys);

impl fmt::Debug for Opener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opener").field("batch", &self.batch).finish_non_exhaustive()
    }
}

/// A decrypted section and its keys.
struct OpenSection {
    payload: SecretBytes,
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

impl<'o> Unchecked<'o> {
    /// Recomputes the field commitments and compares them. For each section that was opened, in order,
    /// `fields_of` gets its number and payload, and puts the payload's fields into the sink in document
    /// order. Its error, for a payload it cannot parse, ends the opening.
    pub fn verify_disclosure<E: From<OpenError>>(
        self,
        fields_of: impl FnMut(usize, &[u8], &mut FieldSink<'_>) -> Result<(), E>,
    ) -> Result<Opened, E> {
        let mut commitments = Commitments::new();
        self.commit(&mut commitments, fields_of)?;
        Ok(self.compare(&mut commitments.roots().iter())?)
    }

    /// Adds the fields of each section that was opened; on an error, of none.
    fn commit<E: From<OpenError>>(
        &self,
        commitments: &mut Commitments,
        mut fields_of: impl FnMut(usize, &[u8], &mut FieldSink<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let before = commitments.len();
        let mut add = |(s, section): (usize, &UncheckedSection)| {
            let Some(open) = &section.open else { return Ok(()) };
            let mut sink = commitments.section(&open.derived.salts);
            fields_of(s, &open.payload, &mut sink)?;
            sink.end().map_err(|problem| OpenError::Fields { place: self.place(s), problem }.into())
        };
        let added = self.sections.iter().enumerate().try_for_each(&mut add);
        if added.is_err() {
            commitments.truncate(before);
        }
        added
    }

    /// Compares what [`Unchecked::commit`] led to: the next root for each section that was opened.
    fn compare<'r>(
        self,
        recomputed: &mut impl Iterator<Item = &'r SectionRoot>,
    ) -> Result<Opened, OpenError> {
        let own: Vec<Option<SectionRoot>> =
            self.sections.iter().map(|s| s.open.as_ref().and_then(|_| recomputed.next().copied())).collect();
        let mut roots = Vec::with_capacity(self.sections.len());
        for (s, (own, section)) in own.into_iter().zip(&self.sections).enumerate() {
            let root = match (own, section.stated) {
                // Another root in the envelope would make the other sections' readers see a mismatch.
                (Some(own), Some(stated)) if own != stated => {
                    return Err(OpenError::Disclosure(self.place(s)));
                }
                (Some(root), _) | (None, Some(root)) => root,
                // Not reachable: a reader of a batch with one section has opened that section.
                (None, None) => return Err(OpenError::Disclosure(self.place(s))),
            };
            roots.push(root);
        }
        if disclosure_root(&roots) != self.committed {
            let first = self.sections.iter().position(|s| s.open.is_some()).unwrap_or(0);
            return Err(OpenError::Disclosure(self.place(first)));
        }
        let sections = self
            .sections
            .into_iter()
            .zip(roots)
            .map(|(s, root)| OpenedSection { root, content: s.open.map(|o| (o.payload, o.key)) });
        Ok(Opened { sections: sections.collect() })
    }

    fn place(&self, section: usize) -> Box<Place> {
        Box::new(self.opener.place(self.position, section))
    }
}

/// Records whose fields are compared with their commitments side by side, which is faster than one by one.
#[derive(Default)]
pub struct Together<'o> {
    commitments: Commitments,
    records: Vec<Unchecked<'o>>,
}

impl<'o> Together<'o> {
    /// Adds a record; for `fields_of` see [`Unchecked::verify_disclosure`]. On an error it is not added.
    pub fn add<E: From<OpenError>>(
        &mut self,
        record: Unchecked<'o>,
        fields_of: impl FnMut(usize, &[u8], &mut FieldSink<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        record.commit(&mut self.commitments, fields_of)?;
        self.records.push(record);
        Ok(())
    }

    /// What became of each record added since the last call, in order.
    pub fn verify(&mut self) -> impl Iterator<Item = Result<Opened, OpenError>> {
        let mut roots = self.commitments.roots().iter();
        self.records.drain(..).map(move |record| record.compare(&mut roots))
    }
}

impl fmt::Debug for Unchecked<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Unchecked").field("position", &self.position).finish_non_exhaustive()
    }
}

struct OpenedSection {
    root: SectionRoot,
    content: Option<(SecretBytes, RecordKey)>,
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
        Some(&self.sections.get(section)?.content.as_ref()?.0)
    }

    /// A section's payload, to keep; gone from here afterwards.
    pub fn take_payload(&mut self, section: usize) -> Option<SecretBytes> {
        Some(std::mem::take(&mut self.sections.get_mut(section)?.content.as_mut()?.0))
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
