//! How a reader gets at the record keys of a batch: by slots of its own (`docs/FORMAT.md` §4 and §5) or by slots that another
//! reader re-wrapped for it (§12).

use zeroize::Zeroizing;

use super::kem::{self, KemError};
use super::keys::{self, DerivedKeys, RecordKey, SLOTS_LABEL, WrappingKey};
use super::keystream;
use super::open_error::{BatchName, OpenError};
use super::reader_key::{Identity, Recipient};
use super::tag::SectionSecret;
use crate::base::batch::{Header, KEM_X25519};
use crate::base::grant::{GrantEntry, GrantPart};
use crate::base::record::{KEY_LEN, SectionView};
use crate::base::secret::{Secret, ct_eq};

/// What a grant gives its new reader of one batch.
#[derive(Clone, Copy, Debug)]
pub struct BatchGrant<'a> {
    /// The statement's `from`.
    pub from: Recipient,
    /// The statement's `first-record`.
    pub first_record: u64,
    /// The part of the grant's body for the batch, or for some records of it.
    pub part: GrantPart<'a>,
}

/// One way to the record keys of a batch.
pub(super) struct Access {
    wrapping_key: WrappingKey,
    slots: Slots,
    /// One per section of the batch.
    secrets: Vec<Option<SectionSecret>>,
}

enum Slots {
    /// By section, which of its slots is this reader's.
    Own(Vec<Option<usize>>),
    /// Slots of a grant: by section, which slot of an entry; and the entries from a position on.
    Granted { rank: Vec<Option<usize>>, first: u32, entry_len: usize, entries: Vec<u8> },
}

/// What was found in place of a record key.
pub(super) enum Unwrapped {
    Key(RecordKey, DerivedKeys),
    /// There is a slot, and the record does not commit to what is in it.
    Mismatch,
    /// There is no slot.
    None,
}

impl Access {
    /// The reader's own slots; `None` if the identity is no reader of the batch.
    pub(super) fn own(identity: &Identity, header: &Header) -> Option<Result<Access, OpenError>> {
        let public = identity.recipient();
        let found =
            header.readers.iter().position(|r| r.kem == KEM_X25519 && r.public_key == public.as_bytes());
        let (index, reader) = found.and_then(|i| Some((i, header.readers.get(i)?)))?;
        let slots: Vec<Option<usize>> =
            header.sections.iter().map(|s| s.readers.iter().position(|r| usize::from(*r) == index)).collect();
        let readable = slots.iter().flatten().count();
        if readable == 0 {
            return None;
        }
        let info = keys::hpke_info(&header.ledger, &header.writer, header.sequence);
        Some(match receive(identity, &reader.enc, &info, &reader.search) {
            Ok((wrapping_key, search)) => {
                // Without the search secrets there is no searching, but opening does not need them.
                let search = search.filter(|s| s.len() == readable * KEY_LEN).unwrap_or_default();
                let secrets = by_section(slots.iter().map(Option::is_some), &search);
                Ok(Access { wrapping_key, slots: Slots::Own(slots), secrets })
            }
            Err(problem) => {
                let batch = BatchName { writer: header.writer.clone(), sequence: header.sequence };
                Err(OpenError::Envelope { batch, problem })
            }
        })
    }

    /// What a grant gives; `None` if it gives nothing of this batch, or was not made for this identity and place: then its sealed
    /// search secrets, which are there even if there are none, do not open. §12.
    pub(super) fn granted(identity: &Identity, header: &Header, grant: &BatchGrant<'_>) -> Option<Access> {
        let head = grant.part.head;
        let granted = |s: usize| s < 8 && head.sections >> s & 1 == 1;
        if head.sections == 0 || (header.sections.len()..8).any(granted) {
            return None;
        }
        let info = keys::grant_info(
            (&header.ledger, &header.writer, header.sequence),
            grant.from.as_bytes(),
            grant.first_record,
        );
        let (wrapping_key, search) = receive(identity, &head.enc, &info, &head.search).ok()?;
        let search = search?;
        let mut ranks = 0..;
        let rank: Vec<Option<usize>> =
            (0..header.sections.len()).map(|s| if granted(s) { ranks.next() } else { None }).collect();
        let secrets = by_section(rank.iter().map(Option::is_some), &search);
        let slots = Slots::Granted {
            rank,
            first: head.position,
            entry_len: head.entry_len(),
            entries: grant.part.entries.to_vec(),
        };
        Some(Access { wrapping_key, slots, secrets })
    }

    /// Whether the slots are this reader's own.
    pub(super) fn is_own(&self) -> bool {
        matches!(self.slots, Slots::Own(_))
    }

    /// Whether there may be slots of this section.
    pub(super) fn reads(&self, section: usize) -> bool {
        let (Slots::Own(slots) | Slots::Granted { rank: slots, .. }) = &self.slots;
        slots.get(section).is_some_and(Option::is_some)
    }

    /// The search secret of a section.
    pub(super) fn secret(&self, section: usize) -> Option<&SectionSecret> {
        self.secrets.get(section)?.as_ref()
    }

    fn slot(&self, position: u32, section: usize, view: &SectionView<'_>) -> Option<[u8; KEY_LEN]> {
        match &self.slots {
            Slots::Own(slots) => view.slot((*slots.get(section)?)?).copied(),
            Slots::Granted { rank, first, entry_len, entries } => {
                let n = position.checked_sub(*first)? as usize;
                let entry = entries.get(n * entry_len..(n + 1) * entry_len)?;
                let GrantEntry::Slots(slots) = GrantEntry::decode(entry)? else { return None };
                let slot = slots.as_chunks::<KEY_LEN>().0.get((*rank.get(section)?)?)?;
                // Zero bytes: left out.
                (*slot != [0; KEY_LEN]).then_some(*slot)
            }
        }
    }

    /// §5, "Opening": unwraps the record key and compares the commitment in constant time. `block` is the keystream block of
    /// this section of this record.
    pub(super) fn unwrap(
        &self,
        (position, section, block): (u32, usize, u32),
        view: &SectionView<'_>,
    ) -> Unwrapped {
        if !self.reads(section) {
            return Unwrapped::None;
        }
        let Some(slot) = self.slot(position, section, view) else {
            return if self.is_own() { Unwrapped::Mismatch } else { Unwrapped::None };
        };
        let mask = keystream::slot_mask(&self.wrapping_key, block);
        let key = RecordKey(Secret::fill(|k: &mut [u8; KEY_LEN]| {
            for ((k, s), m) in k.iter_mut().zip(slot).zip(mask.iter()) {
                *k = s ^ m;
            }
        }));
        let derived = DerivedKeys::derive(&key);
        if ct_eq(&derived.commitment, &view.commitment) {
            Unwrapped::Key(key, derived)
        } else {
            Unwrapped::Mismatch
        }
    }
}

/// Hands out secrets, one after the other, to the sections that have one.
fn by_section(has: impl Iterator<Item = bool>, secrets: &[u8]) -> Vec<Option<SectionSecret>> {
    let mut secrets = secrets.chunks_exact(KEY_LEN);
    has.map(|has| if has { secrets.next().and_then(Secret::from_slice).map(SectionSecret) } else { None })
        .collect()
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
