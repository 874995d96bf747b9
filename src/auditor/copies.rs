//! Several copies of one ledger as one source: every block from the first copy that has it as it must be. So a damaged database, a
//! backup, an auditor's vault and a server complete each other, and nothing is taken from any of them that is not proved.
//!
//! Texts are proved by their root, which a checkpoint must sign. Bodies are proved by the statement in their block's text.

use std::collections::BTreeMap;

use crate::base::hash::Hash;
use crate::chain::authority::{ERASURE_KIND, RecordRange};
use crate::chain::batch;
use crate::chain::block::Block;
use crate::chain::checkpoint::{Checkpoint, SignedCheckpoint};
use crate::chain::grant;
use crate::chain::key::VerifierKey;
use crate::chain::log::Log;
use crate::chain::merkle;
use crate::chain::statement::Statement;

use super::chain_check::block_texts;
use super::source::{Source, SourceError};

/// A copy, and what to call it.
pub struct Copy<'a> {
    /// A path or an address.
    pub name: String,
    /// Where it is read.
    pub source: Box<dyn Source + 'a>,
}

/// Copies that complete each other.
pub struct Copies<'a> {
    copies: Vec<Copy<'a>>,
    /// The signed checkpoint that all of it is proved by.
    target: String,
    /// Which copy the texts below a height are taken from, ascending.
    texts: Vec<(u64, usize)>,
    /// Hashes of the texts, once all of them are proved.
    proved: Vec<Hash>,
    /// Every erasure order, normalised.
    ordered: Vec<RecordRange>,
    /// Texts read last, from this height on.
    last: (u64, Vec<String>),
    /// Which copy a block was taken from, if not from the first.
    taken: BTreeMap<u64, usize>,
}

/// How good a body is.
enum Fit {
    /// As it must be.
    Whole,
    /// A grant's that lacks slots which nobody ordered to erase: so a server gives it whose reader has left. Good if no copy has more.
    Emptied,
    /// Another one.
    Not,
}

/// What a copy shows: a checkpoint with its signed text.
type Claim = Option<(Checkpoint, String)>;

impl<'a> Copies<'a> {
    /// Finds the newest state of the ledger that the texts of these copies prove. `more` are checkpoints from elsewhere, such as the
    /// last-signed file; those that `key` did not sign do not count. An error if a copy is of another history, or none can be proved.
    pub fn new(
        copies: Vec<Copy<'a>>,
        key: &VerifierKey,
        more: &[String],
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<Copies<'a>, SourceError> {
        let mut all = Copies {
            copies,
            target: String::new(),
            texts: Vec::new(),
            proved: Vec::new(),
            ordered: Vec::new(),
            last: (0, Vec::new()),
            taken: BTreeMap::new(),
        };
        let mut claims = all.claims(key)?;
        // The longest copy whose texts are proved by its own checkpoint.
        let mut best: Option<(Checkpoint, String, usize)> = None;
        for (i, claim) in claims.iter().enumerate() {
            let Some((claimed, text)) = claim else { continue };
            let log = all.extended(Log::new(), i, claimed.size, progress)?;
            let proved = log.is_some_and(|log| log.root() == claimed.root);
            if proved && best.as_ref().is_none_or(|(b, _, _)| claimed.size > b.size) {
                best = Some((claimed.clone(), text.clone(), i));
            }
        }
        claims.extend(more.iter().map(|text| claim(text, key)));
        let mut prefix = Log::new();
        if let Some((checkpoint, text, i)) = best {
            prefix = all.extended(prefix, i, checkpoint.size, progress)?.unwrap_or_default();
            all.texts.push((checkpoint.size, i));
            all.target = text;
        }
        // A longer one whose beginning is damaged goes on from there.
        // Of checkpoints from elsewhere only the newest is one to reach: an older one would be reached by a beginning alone, and the damage
        // after it would pass for blocks that were lost.
        let (shown, elsewhere) = claims.split_at(all.copies.len());
        let newest = elsewhere.iter().flatten().max_by_key(|(c, _)| c.size);
        let wanted = shown.iter().flatten().chain(newest);
        let mut longer: Vec<_> = wanted.filter(|(c, _)| c.size > prefix.size()).collect();
        longer.sort_by_key(|(c, _)| std::cmp::Reverse(c.size));
        'found: for (wanted, text) in longer {
            for i in 0..all.copies.len() {
                // Nobody is asked for more than it says it has, but the first, whose checkpoint may be what is damaged.
                let has_less =
                    claims.get(i).is_some_and(|c| c.as_ref().is_some_and(|(c, _)| c.size < wanted.size));
                if i > 0 && has_less {
                    continue;
                }
                let log = all.extended(prefix.clone(), i, wanted.size, progress)?;
                if log.is_some_and(|log| log.root() == wanted.root) {
                    all.texts.push((wanted.size, i));
                    all.target = text.clone();
                    break 'found;
                }
            }
        }
        if all.target.is_empty() {
            return Err(all.nothing_proved(&claims));
        }
        all.read_through(&claims, progress)?;
        Ok(all)
    }

    /// Why there is no state that these copies prove.
    fn nothing_proved(&mut self, claims: &[Claim]) -> SourceError {
        let mut unsigned = None;
        for (copy, claim) in self.copies.iter_mut().zip(claims) {
            let shown = copy.source.checkpoint().ok();
            if claim.is_none() && shown.is_some_and(|text| SignedCheckpoint::unverified(&text).is_ok()) {
                unsigned = Some(&copy.name);
                break;
            }
        }
        SourceError::Damaged(match unsigned {
            Some(name) => format!(
                "the checkpoint of {} is not signed by the key that was given, and no newer copy or last-signed file proves its blocks. If \
                 the ledger's key was changed after that copy was made, add a newer copy with --from, or, if it is the newest there is, \
                 give the key of its time with --key (keys/ledger.ID.vkey); else it is another ledger's",
                name
            ),
            None => "its blocks do not have the root of any signed checkpoint: a block is damaged, or another ledger's, and no copy that \
                     was given has it"
                .into(),
        })
    }

    /// The signed checkpoint of each copy, if it can be read and is of this ledger.
    fn claims(&mut self, key: &VerifierKey) -> Result<Vec<Claim>, SourceError> {
        let mut claims = Vec::new();
        for copy in &mut self.copies {
            claims.push(match copy.source.checkpoint() {
                Ok(text) => claim(&text, key),
                Err(e @ SourceError::Unavailable(_)) => return Err(e),
                Err(SourceError::Damaged(_) | SourceError::Empty(_)) => None,
            });
        }
        Ok(claims)
    }

    /// `log` with the hashes of one copy's texts up to `size`; `None` if they are not all there.
    fn extended(
        &mut self,
        mut log: Log,
        copy: usize,
        size: u64,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<Option<Log>, SourceError> {
        while log.size() < size {
            match self.texts_of(copy, log.size(), size)? {
                Some(texts) => texts.iter().for_each(|t| drop(log.append(merkle::leaf_hash(t.as_bytes())))),
                None => return Ok(None),
            }
            progress(log.size(), size);
        }
        Ok(Some(log))
    }

    /// Some texts of one copy; `None` if it has them not, or not readable.
    fn texts_of(&mut self, copy: usize, height: u64, size: u64) -> Result<Option<Vec<String>>, SourceError> {
        let Some(copy) = self.copies.get_mut(copy) else { return Ok(None) };
        match block_texts(&mut *copy.source, height, size) {
            Ok(texts) => Ok(Some(texts)),
            Err(super::chain_check::TextsError::Source(e @ SourceError::Unavailable(_))) => Err(e),
            Err(_) => Ok(None),
        }
    }

    /// Reads the texts that are taken: the orders in them, and that every copy's checkpoint is of the same history.
    fn read_through(
        &mut self,
        claims: &[Claim],
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<(), SourceError> {
        let size = self.size();
        let (mut log, mut hashes) = (Log::new(), Vec::new());
        while log.size() < size {
            for text in self.blocks(log.size(), size)? {
                let hash = merkle::leaf_hash(text.as_bytes());
                log.append(hash);
                hashes.push(hash);
                let other = |(c, _): &&(Checkpoint, String)| c.size == log.size() && c.root != log.root();
                if claims.iter().flatten().any(|c| other(&c)) {
                    let what = format!(
                        "at {} blocks the copies are of two histories that are both signed: keep all of them as evidence, and find \
                         out how the second one came about (docs/OPERATIONS.md, \"Two histories\")",
                        log.size()
                    );
                    return Err(SourceError::Damaged(what));
                }
                if text.contains(ERASURE_KIND)
                    && let Some(Statement::Erasure(order)) = statement_in(&text)
                {
                    self.ordered.extend(order.records);
                }
            }
            progress(log.size(), size);
        }
        self.ordered = RecordRange::normalise(std::mem::take(&mut self.ordered));
        self.proved = hashes;
        Ok(())
    }

    /// Number of blocks that can be proved.
    pub fn size(&self) -> u64 {
        self.texts.last().map_or(0, |(end, _)| *end)
    }

    /// The blocks that the first copy did not have as they must be, as far as they were asked for, and the copies that had them.
    pub fn taken(&self) -> impl Iterator<Item = (u64, &str)> {
        let name = |copy: &usize| self.copies.get(*copy).map_or("", |c| &c.name);
        self.taken.iter().map(move |(block, copy)| (*block, name(copy)))
    }

    fn text(&mut self, height: u64, size: u64) -> Result<Option<String>, SourceError> {
        let at = |last: &(u64, Vec<String>)| {
            let at = usize::try_from(height.checked_sub(last.0)?).ok()?;
            last.1.get(at).cloned()
        };
        if at(&self.last).is_none() {
            self.blocks(height, size)?;
        }
        Ok(at(&self.last))
    }

    /// Whether a body is what the statement in its block signs, with nothing gone that was not ordered to go.
    fn fits(&self, text: &str, body: &[u8]) -> Fit {
        let whole = |is_it: bool| if is_it { Fit::Whole } else { Fit::Not };
        let Ok(block) = Block::parse(text) else { return Fit::Not };
        match Statement::parse(&block.statement.text) {
            Ok(Statement::Records(s)) => whole(batch::commit(body).is_ok_and(|found| {
                batch::check_hashes(&s, &found).is_ok()
                    && (found.erased == 0 || self.were_ordered(&batch::erased_in(block.first_record, body)))
            })),
            Ok(Statement::Grant(g)) if grant::check(&g, body).is_ok() => {
                match grant::emptied(&g, body, &self.ordered) {
                    Ok(gone) if gone.is_empty() => Fit::Whole,
                    Ok(_) => Fit::Emptied,
                    Err(_) => Fit::Not,
                }
            }
            Ok(Statement::Grant(_)) => Fit::Not,
            other => whole(other.is_ok()),
        }
    }

    fn were_ordered(&self, erased: &[RecordRange]) -> bool {
        RecordRange::without(erased, &self.ordered).is_empty()
    }
}

fn claim(text: &str, key: &VerifierKey) -> Claim {
    let signed = SignedCheckpoint::parse(text, key).ok()?;
    Some((signed.checkpoint().clone(), text.to_owned()))
}

fn statement_in(text: &str) -> Option<Statement> {
    Statement::parse(&Block::parse(text).ok()?.statement.text).ok()
}

impl Source for Copies<'_> {
    fn checkpoint(&mut self) -> Result<String, SourceError> {
        Ok(self.target.clone())
    }

    fn blocks(&mut self, height: u64, size: u64) -> Result<Vec<String>, SourceError> {
        let Some((end, copy)) = self.texts.iter().find(|(end, _)| height < *end).copied() else {
            return Ok(Vec::new());
        };
        let end = end.min(size);
        let texts = self.texts_of(copy, height, end)?.unwrap_or_default();
        // A server need not say now what it said when all of it was proved.
        let proved = self.proved.iter().skip(usize::try_from(height).unwrap_or(usize::MAX));
        let others = |(text, hash): (&String, &Hash)| merkle::leaf_hash(text.as_bytes()) != *hash;
        if texts.iter().zip(proved).any(others) {
            let name = self.copies.get(copy).map_or("", |c| &c.name);
            return Err(SourceError::Unavailable(format!("{name} gave two different texts of one block")));
        }
        if copy > 0 {
            // Only to say what the first one lacked.
            let first = self.texts_of(0, height, end).unwrap_or_default().unwrap_or_default();
            for (at, text) in (height..).zip(&texts) {
                if first.get((at - height) as usize) != Some(text) {
                    self.taken.insert(at, copy);
                }
            }
        }
        self.last = (height, texts.clone());
        Ok(texts)
    }

    fn has_bodies(&self) -> bool {
        true
    }

    fn body(&mut self, height: u64, size: u64) -> Result<Vec<u8>, SourceError> {
        let text = self.text(height, size)?.unwrap_or_default();
        let (mut unavailable, mut found) = (None, None);
        for i in 0..self.copies.len() {
            let Some(copy) = self.copies.get_mut(i) else { break };
            match copy.source.body(height, size).map(|body| (self.fits(&text, &body), body)) {
                Ok((Fit::Whole, body)) => {
                    found = Some((i, body));
                    break;
                }
                Ok((Fit::Emptied, body)) => found = found.or(Some((i, body))),
                Ok((Fit::Not, _)) => {}
                // A server that is shorter than the ledger has no such body; another copy may.
                Err(e @ SourceError::Unavailable(_)) => unavailable = Some(e),
                Err(_) => {}
            }
        }
        if let Some((i, body)) = found {
            if i > 0 {
                self.taken.insert(height, i);
            }
            return Ok(body);
        }
        let damaged = SourceError::Damaged(format!(
            "the body of block {height} is damaged or missing in every copy that was given"
        ));
        Err(unavailable.unwrap_or(damaged))
    }

    fn leaf_inputs(&mut self, height: u64) -> Result<Vec<u8>, SourceError> {
        Err(SourceError::Unavailable(format!("the leaf inputs of block {height} are made from its body")))
    }
}
