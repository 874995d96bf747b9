//! Granting: a reader re-wraps the record keys it can read for a later reader. `docs/FORMAT.md` §12. No record is decrypted and
//! no record changes, so every proof stays what it was.

use zeroize::Zeroizing;

use super::kem::{self, KemError, PreparedRecipient};
use super::keys::{self, SLOTS_LABEL, WrappingKey};
use super::keystream::SlotMasks;
use super::open::Opener;
use super::reader_key::Recipient;
use crate::base::batch::Header;
use crate::base::grant::{GrantHead, put_entry};
use crate::base::random::Csprng;
use crate::base::record::KEY_LEN;

/// What a grant is bound to, and what it gives.
#[derive(Clone, Copy, Debug)]
pub struct GrantTerms<'a> {
    /// The granter, as the statement will name it.
    pub from: Recipient,
    /// The new reader.
    pub to: Recipient,
    /// The statement's `first-record`.
    pub first_record: u64,
    /// Names of the sections to grant; `None` for all that the granter can read.
    pub sections: Option<&'a [String]>,
    /// Whether the new reader also gets the section search secrets, and so can search.
    pub search: bool,
}

/// A batch, re-wrapped.
#[derive(Debug)]
pub struct Rewrapped {
    /// Its head in the grant body.
    pub head: GrantHead,
    /// Its entries.
    pub entries: Vec<u8>,
    /// Records of which at least one section is granted.
    pub granted: u32,
}

/// Re-wraps the keys of consecutive records of one batch, the first of them at `position` of the block at `height`. Without an
/// opener, or if it may read none of the sections asked for, the batch is covered without anything being granted; so is a
/// record that is erased or not what its writer committed to.
pub fn rewrap<'r>(
    opener: Option<&Opener>,
    header: &Header,
    terms: &GrantTerms<'_>,
    (height, position): (u64, u32),
    records: impl ExactSizeIterator<Item = &'r [u8]>,
    rng: &mut Csprng,
) -> Result<Rewrapped, KemError> {
    let wanted = |name: &String| terms.sections.is_none_or(|names| names.contains(name));
    let sections: Vec<usize> = match opener {
        Some(opener) => (header.sections.iter().enumerate())
            .filter(|(s, section)| opener.reads(*s) && wanted(&section.name))
            .map(|(s, _)| s)
            .collect(),
        None => Vec::new(),
    };
    let mut head = GrantHead { height, position, records: records.len() as u32, ..GrantHead::default() };
    let (Some(opener), false) = (opener, sections.is_empty()) else {
        return Ok(Rewrapped { head, entries: Vec::new(), granted: 0 });
    };
    head.sections = sections.iter().fold(0, |mask, s| mask | 1 << s);

    // RFC 9180 §5.1.1: a context of its own for each batch of each grant, and so a wrapping key (§5.3) of its own.
    let info = keys::grant_info(
        (&header.ledger, &header.writer, header.sequence),
        terms.from.as_bytes(),
        terms.first_record,
    );
    let mut context = kem::sender(&PreparedRecipient::once(&terms.to), &info, rng)?;
    let secrets = terms.search.then(|| search_secrets(opener, header, &sections)).flatten();
    head.enc = context.enc.to_vec();
    head.search = context.seal(b"", &secrets.unwrap_or_default())?;
    let wrapping_key = WrappingKey(context.export(SLOTS_LABEL)?);

    let mut masks: Vec<SlotMasks> = sections.iter().map(|_| SlotMasks::new()).collect();
    let mut entries = Vec::with_capacity(records.len() * head.entry_len());
    let mut slots = vec![[0; KEY_LEN]; sections.len()];
    let mut wrapped = Vec::with_capacity(KEY_LEN);
    let mut granted = 0;
    for (position, record) in (position..).zip(records) {
        // What does not open for the granter is left out: the new reader could not open it either.
        let keys = opener.record_keys(position, record).unwrap_or_default();
        let mut any = false;
        for ((slot, s), masks) in slots.iter_mut().zip(&sections).zip(&mut masks) {
            *slot = [0; KEY_LEN];
            if let Some(Some(key)) = keys.get(*s) {
                let block = position * header.sections.len() as u32 + *s as u32;
                wrapped.clear();
                masks.wrap(&wrapping_key, block, key.expose(), &mut wrapped);
                slot.copy_from_slice(&wrapped);
                any = true;
            }
        }
        granted += u32::from(any);
        put_entry(&slots, &mut entries);
    }
    Ok(Rewrapped { head, entries, granted })
}

/// The search secrets of these sections, one after the other; `None` if one of them is not known.
fn search_secrets(opener: &Opener, header: &Header, sections: &[usize]) -> Option<Zeroizing<Vec<u8>>> {
    let known = opener.section_search_secrets().ok()?;
    let mut out = Zeroizing::new(Vec::with_capacity(sections.len() * KEY_LEN));
    for s in sections {
        let name = &header.sections.get(*s)?.name;
        let (_, secret) = known.iter().find(|(n, _)| n == name)?;
        out.extend_from_slice(secret.expose());
    }
    Some(out)
}

#[cfg(test)]
#[path = "grant_tests.rs"]
mod tests;
