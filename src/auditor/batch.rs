//! Opens the records of one batch for whoever holds some identities: the one way from ciphertext to event in this layer.

use crate::base::batch::Header;
use crate::base::secret::SecretBytes;
use crate::event::error::EventError;
use crate::event::json::Parser;
use crate::event::prepare::{fields_of_payload, merge};
use crate::seal::disclosure::FieldSink;
use crate::seal::open::{BatchGrant, OpenError, Opened, Opener, Together};
use crate::seal::reader_key::Identity;
use crate::seal::tag::SectionSecret;

use super::record::Content;

/// Records whose fields are hashed together: as many as there are lanes, so that every level of their trees fills whole lanes.
pub(super) const OPENED_TOGETHER: usize = 16;

/// Why one record does not open although its place in the chain is right.
#[derive(Debug, thiserror::Error)]
pub enum OpenBatchError {
    /// The opener refused.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// What was inside is not what the format says.
    #[error("the writer sealed something that is no valid event: {0}")]
    Event(#[from] EventError),
}

/// An event and what of it could not be read.
pub struct OpenedEvent {
    /// Exactly the bytes the application sent, if every section could be read; markers stand for sections that could not.
    pub event: SecretBytes,
    /// Names of sections none of the identities may read.
    pub withheld: Vec<String>,
}

impl From<Opener> for BatchOpener {
    fn from(opener: Opener) -> Self {
        BatchOpener { names: opener.section_names().map(str::to_owned).collect(), openers: vec![opener] }
    }
}

/// Opens the records of one batch. The public-key work is done once, when it is made.
pub struct BatchOpener {
    names: Vec<String>,
    openers: Vec<Opener>,
}

impl BatchOpener {
    /// For all of `identities` that are readers of the batch, or were granted some of it. [`OpenError::NotAReader`] if none is.
    pub fn new(
        identities: &[Identity],
        header: &Header,
        grants: &[BatchGrant<'_>],
    ) -> Result<BatchOpener, OpenError> {
        let names = header.sections.iter().map(|s| s.name.clone()).collect();
        let mut openers = Vec::new();
        let mut refusal = None;
        for identity in identities {
            match Opener::with_grants(identity, header, grants) {
                Ok(opener) => openers.push(opener),
                // That it is for others is said only if it is for all of them.
                Err(e @ OpenError::NotAReader(_)) => refusal = refusal.or(Some(e)),
                Err(e) => refusal = Some(e),
            }
        }
        match refusal {
            Some(e) if openers.is_empty() => Err(e),
            _ => Ok(BatchOpener { names, openers }),
        }
    }

    /// Names of the batch's sections, in order.
    pub fn section_names(&self) -> &[String] {
        &self.names
    }

    /// Name and search secret of every section that can be read; a name comes twice if a dishonest granter made a secret up.
    pub fn search_secrets(&self) -> Result<Vec<(&str, &SectionSecret)>, OpenError> {
        let mut all: Vec<(&str, &SectionSecret)> = Vec::new();
        for opener in &self.openers {
            for (name, secret) in opener.section_search_secrets()? {
                if !all.iter().any(|(n, known)| *n == name && known.same(secret)) {
                    all.push((name, secret));
                }
            }
        }
        Ok(all)
    }

    /// Opens a record with every identity that can, each check passed.
    pub fn open_sections(
        &self,
        parser: &mut Parser,
        position: u32,
        record: &[u8],
    ) -> Result<Vec<Opened>, OpenBatchError> {
        let mut opened = Ok(Vec::new());
        self.open_each(parser, &[(position, record)], |one| opened = one);
        opened
    }

    /// Opens records, given with their positions, as [`BatchOpener::open_sections`] does; `each` gets what became of each, in order.
    fn open_each(
        &self,
        parser: &mut Parser,
        records: &[(u32, &[u8])],
        mut each: impl FnMut(Result<Vec<Opened>, OpenBatchError>),
    ) {
        let mut together = Together::default();
        for some in records.chunks(OPENED_TOGETHER) {
            let mut started = Vec::with_capacity(some.len() * self.openers.len());
            for (position, record) in some {
                started.extend(self.openers.iter().map(|opener| {
                    let fields_of = |section: usize, payload: &[u8], sink: &mut FieldSink<'_>| {
                        for field in fields_of_payload(parser, section, payload, &self.names)? {
                            sink.add(&field);
                        }
                        Ok::<_, OpenBatchError>(())
                    };
                    together.add(opener.open(*position, record)?, fields_of)
                }));
            }
            let mut verified = together.verify();
            let mut opened = started.into_iter().map(|started| match started {
                // As many as were added.
                Ok(()) => verified.next().map_or(Ok(None), |v| v.map(Some).map_err(OpenBatchError::Open)),
                Err(e) => Err(e),
            });
            for _ in some {
                let of_all: Vec<_> = opened.by_ref().take(self.openers.len()).collect();
                each(Self::united(of_all));
            }
        }
    }

    /// What was granted to one identity may leave a record out that another one reads.
    fn united(of_all: Vec<Result<Option<Opened>, OpenBatchError>>) -> Result<Vec<Opened>, OpenBatchError> {
        let (mut all, mut refusal) = (Vec::new(), None);
        for opened in of_all {
            match opened {
                Ok(opened) => all.extend(opened),
                Err(e @ OpenBatchError::Open(OpenError::NotAReader(_))) => refusal = Some(e),
                Err(e) => return Err(e),
            }
        }
        match refusal {
            Some(e) if all.is_empty() => Err(e),
            _ => Ok(all),
        }
    }

    /// What is inside records whose places in the chain are right and that are not erased, given with their positions, in order;
    /// `opener` is what [`BatchOpener::new`] gave for their batch. [`OPENED_TOGETHER`] at once are faster than one by one.
    pub fn contents(
        opener: &Result<BatchOpener, OpenError>,
        parser: &mut Parser,
        records: &[(u32, &[u8])],
    ) -> Vec<Content> {
        let refused = match opener {
            Ok(opener) => {
                let mut all = Vec::with_capacity(records.len());
                opener.open_each(parser, records, |opened| all.push(opener.content_of(opened)));
                return all;
            }
            Err(OpenError::NotAReader(_)) => Content::NotForYou,
            Err(e) => Content::Unreadable { why: e.to_string() },
        };
        vec![refused; records.len()]
    }

    fn content_of(&self, opened: Result<Vec<Opened>, OpenBatchError>) -> Content {
        match opened.and_then(|opened| self.event(opened)) {
            Ok(opened) => Content::Opened { event: opened.event, withheld: opened.withheld },
            // Of a batch that was granted in part.
            Err(OpenBatchError::Open(OpenError::NotAReader(_))) => Content::NotForYou,
            Err(e) => Content::Unreadable { why: e.to_string() },
        }
    }

    /// Opens a record and puts its event together again.
    pub fn open(
        &self,
        parser: &mut Parser,
        position: u32,
        record: &[u8],
    ) -> Result<OpenedEvent, OpenBatchError> {
        self.event(self.open_sections(parser, position, record)?)
    }

    /// The event that a record is, opened by all who can.
    fn event(&self, mut opened: Vec<Opened>) -> Result<OpenedEvent, OpenBatchError> {
        if let [_] = &self.names[..]
            && let Some(event) = opened.iter_mut().find_map(|o| o.take_payload(0))
        {
            return Ok(OpenedEvent { event, withheld: Vec::new() });
        }
        let payload = |s: usize| opened.iter().find_map(|o| o.payload(s));
        let payloads: Vec<Option<&[u8]>> = (0..self.names.len()).map(payload).collect();
        let hidden = self.names.iter().zip(&payloads).filter(|(_, p)| p.is_none());
        let withheld: Vec<String> = hidden.map(|(n, _)| n.clone()).collect();
        let event = match payloads.first() {
            Some(Some(_)) => merge(&self.names, &payloads)?,
            // Without the first section there is no frame to put the others into: each stands on a line.
            _ => payloads.iter().flatten().copied().collect::<Vec<_>>().join(&b'\n'),
        };
        Ok(OpenedEvent { event: SecretBytes::new(event), withheld })
    }
}
