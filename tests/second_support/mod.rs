//! Runs one case folder (`tests/second_reader/VECTORS.md`) through this program's own reader, and names what
//! it refused by the families of that page.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use sealtrail::auditor::evidence::manifest::ManifestError;
use sealtrail::auditor::evidence::verify::{
    BlockFault, EvidenceError, RecordFault, SectionError, Trust, verify,
};
use sealtrail::auditor::open::{OpenRecordError, open_bytes};
use sealtrail::base::batch::{Body, Header};
use sealtrail::base::clock::Timestamp;
use sealtrail::base::hash::{Hash, from_base64, from_hex, to_base64, to_hex};
use sealtrail::base::record::Record;
use sealtrail::base::secret::Secret;
use sealtrail::chain::batch::{self, BatchError};
use sealtrail::chain::block::Block;
use sealtrail::chain::checkpoint::CheckpointError;
use sealtrail::chain::key::{KeyKind, VerifierKey};
use sealtrail::chain::merkle::MerkleError;
use sealtrail::chain::note::{Note, NoteError};
use sealtrail::chain::proof::{Proof, ProofError};
use sealtrail::chain::roster::Roster;
use sealtrail::chain::statement::Statement;
use sealtrail::event::error::{EventError, Rule};
use sealtrail::event::pattern::Pattern;
use sealtrail::event::policy::{Policy, ReaderChoice, SectionPolicy, TagField};
use sealtrail::event::prepare::Preparer;
use sealtrail::seal::open::{OpenError, Opener, open_challenge};
use sealtrail::seal::reader_key::{Identity, parse_identity_file};
use sealtrail::seal::tag::{SearchSecret, blind_tag};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

/// The family of a refusal.
pub type Family = &'static str;

/// All folders below `dir` that hold a case, in order.
pub fn case_folders(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.join("case.json").is_file() {
            found.push(path);
        } else if path.is_dir() {
            found.extend(case_folders(&path));
        }
    }
    found.sort();
    found
}

/// A case as its folder has it.
pub struct Case {
    folder: PathBuf,
    inputs: Map<String, Value>,
}

impl Case {
    /// Reads `case.json`.
    pub fn read(folder: &Path) -> Case {
        let text = std::fs::read_to_string(folder.join("case.json")).unwrap();
        Case { folder: folder.to_owned(), inputs: serde_json::from_str(&text).unwrap() }
    }

    /// `ok`, or the family it must be refused with.
    pub fn expected(&self) -> &str {
        if self.text("expect") == "ok" { "ok" } else { self.text("why") }
    }

    fn text(&self, input: &str) -> &str {
        self.inputs[input].as_str().unwrap()
    }

    fn has(&self, input: &str) -> bool {
        self.inputs.contains_key(input)
    }

    fn file(&self, input: &str) -> Vec<u8> {
        std::fs::read(self.folder.join(self.text(input))).unwrap()
    }

    fn file_text(&self, input: &str) -> Result<String, Family> {
        String::from_utf8(self.file(input)).map_err(|_| "format")
    }

    fn line(&self, input: &str) -> Result<String, Family> {
        let text = self.file_text(input)?;
        Ok(text.lines().find(|l| !l.is_empty() && !l.starts_with('#')).unwrap_or_default().to_owned())
    }

    fn vkey(&self, input: &str) -> Result<VerifierKey, Family> {
        let key = VerifierKey::parse(&self.line(input)?).map_err(|_| "format")?;
        if key.kind() == KeyKind::Ed25519 { Ok(key) } else { Err("format") }
    }

    fn identity(&self) -> Identity {
        parse_identity_file(&self.file_text("identity").unwrap()).unwrap().remove(0)
    }

    fn position(&self) -> usize {
        self.inputs["position"].as_u64().unwrap() as usize
    }

    /// `ok`, or the family of the refusal.
    pub fn outcome(&self) -> Family {
        let result = match self.text("kind") {
            "proof" => self.proof(),
            "evidence" => self.evidence(),
            "open" => self.open(),
            "open-all" => self.open_all(),
            "block" => self.block(),
            "tags" if self.has("body") => self.tags(),
            "tags" => self.tag_value(),
            "statement" => self.statement(),
            "session" => self.session(),
            "ed25519" => self.ed25519(),
            other => panic!("unknown kind of case: {other}"),
        };
        result.err().unwrap_or("ok")
    }

    fn proof(&self) -> Result<(), Family> {
        let key = self.vkey("vkey")?;
        let writer = if self.has("writer_vkey") { Some(self.vkey("writer_vkey")?) } else { None };
        let proof = Proof::parse(&self.file("proof")).map_err(proof_family)?;
        let verified = proof.verify(&key, writer.as_ref()).map_err(proof_family)?;
        if self.has("body") {
            let body = checked_body(self.file("body"))?;
            let position = verified.record - Block::parse(&proof.block).unwrap().first_record;
            let record = Body::decode(&body)
                .map_err(|_| "format")?
                .records()
                .nth(position as usize)
                .ok_or("record")?;
            proof.check_record(record).map_err(proof_family)?;
        }
        Ok(())
    }

    fn evidence(&self) -> Result<(), Family> {
        let key = self.vkey("vkey")?;
        let writers = if self.has("writer_vkey") { vec![self.vkey("writer_vkey")?] } else { Vec::new() };
        let signer = if self.has("signer_vkey") { Some(self.vkey("signer_vkey")?) } else { None };
        let trust = Trust { ledger: &key, writers: &writers, signer: signer.as_ref(), policy: None };
        verify(&self.file("evidence"), &trust).map(drop).map_err(evidence_family)
    }

    fn open(&self) -> Result<(), Family> {
        let body = checked_body(self.file("body"))?;
        let found = open_position(&body, self.position(), &self.identity())?;
        if self.has("event") && found != self.file("event") { Err("event") } else { Ok(()) }
    }

    /// What the reader of an `open` case sees, if the record opens.
    pub fn opened(&self) -> Option<Vec<u8>> {
        open_position(&checked_body(self.file("body")).ok()?, self.position(), &self.identity()).ok()
    }

    fn open_all(&self) -> Result<(), Family> {
        let body = checked_body(self.file("body"))?;
        let events = self.file("events");
        let lines: Vec<&[u8]> = events.strip_suffix(b"\n").ok_or("event")?.split(|b| *b == b'\n').collect();
        if lines.len() != Body::decode(&body).unwrap().count() {
            return Err("event");
        }
        let identity = self.identity();
        for (position, line) in lines.into_iter().enumerate() {
            if open_position(&body, position, &identity)? != line {
                return Err("event");
            }
        }
        Ok(())
    }

    fn block(&self) -> Result<(), Family> {
        let block = Block::parse(&self.file_text("block")?).map_err(|_| "format")?;
        let statement = Statement::parse(&block.statement.text).map_err(|_| "format")?;
        let Statement::Records(statement) = statement else { return Err("statement") };
        let body = self.file("body");
        let commitment = batch::commit(&body).map_err(|_| "format")?;
        batch::check_erased(&statement, block.statement.signer_name(), &commitment, &no_rules()).map_err(
            |e| match e {
                BatchError::Mismatch { what: "ledger" | "writer" | "sequence", .. } => "header",
                BatchError::Mismatch { what, .. } => what,
                _ => "format",
            },
        )?;
        if self.has("writer_vkey") {
            block.statement.verify(&[self.vkey("writer_vkey")?]).map_err(|_| "signature")?;
        }
        Ok(())
    }

    fn statement(&self) -> Result<(), Family> {
        let key = self.vkey("vkey")?;
        let note = Note::parse(&self.file_text("statement")?).map_err(|_| "format")?;
        Statement::parse(&note.text).map_err(|_| "format")?;
        note.verify(&[key]).map(drop).map_err(|_| "signature")
    }

    fn session(&self) -> Result<(), Family> {
        let bytes = |input| from_base64(self.text(input)).ok_or("format");
        let token =
            open_challenge(&self.identity(), self.text("ledger"), &bytes("enc")?, &bytes("ciphertext")?);
        let token = token.map_err(|_| "hpke")?;
        if to_base64(&token) == self.text("token") { Ok(()) } else { Err("token") }
    }

    fn ed25519(&self) -> Result<(), Family> {
        let bytes = |input| from_hex(self.text(input)).unwrap();
        let public: [u8; 32] = bytes("public_key").try_into().unwrap();
        let key = VerifierKey::new("x", KeyKind::Ed25519, &public).map_err(|_| "signature")?;
        if key.verify_bytes(&bytes("message"), &bytes("signature")) { Ok(()) } else { Err("signature") }
    }

    fn tag_value(&self) -> Result<(), Family> {
        let secret = Secret::from_slice(&from_hex(self.text("search_secret")).unwrap()).unwrap();
        let secret = SearchSecret::from_secret(secret).section(self.text("section"));
        let event = format!("{{\"v\":{}}}", self.text("value"));
        let pointers = vec![Pattern::parse("/v").unwrap()];
        let tags = vec![TagField { name: self.text("field").to_owned(), pointers }];
        let mut preparer = preparer(vec![section("event", vec![])], tags);
        let tag = preparer.prepare(event.as_bytes()).unwrap().tags().next();
        let tag = tag.map(|t| to_hex(&blind_tag(&secret, self.text("field"), t.value.as_bytes())));
        if tag.as_deref() == self.inputs["tag"].as_str() { Ok(()) } else { Err("tags") }
    }

    /// The event is put together again and prepared as if to be sealed, with a policy that moves what had
    /// been moved.
    fn tags(&self) -> Result<(), Family> {
        let body = checked_body(self.file("body"))?;
        let identity = self.identity();
        let header = Header::decode(Body::decode(&body).unwrap().header).unwrap();
        let (event, pointers) = with_moved_pointers(&body, self.position(), &identity)?;
        let opener = Opener::new(&identity, &header).map_err(open_family)?;
        let secrets = opener.section_search_secrets().map_err(open_family)?;
        let policy: Map<String, Value> = serde_json::from_slice(&self.file("policy")).unwrap();
        let fields = policy.iter().map(|(name, pointers)| TagField {
            name: name.clone(),
            pointers: pointers
                .as_array()
                .unwrap()
                .iter()
                .map(|p| Pattern::parse(p.as_str().unwrap()).unwrap())
                .collect(),
        });
        let sections = header.sections.iter().zip(pointers).enumerate().map(|(s, (section_, moved))| {
            // A section to which nothing was moved still has to claim something.
            let none = if s > 0 && moved.is_empty() {
                vec![Pattern::parse(&format!("/nothing {s}")).unwrap()]
            } else {
                moved
            };
            section(&section_.name, none)
        });
        let mut preparer = preparer(sections.collect(), fields.collect());
        let names = preparer.policy().tag_fields().to_vec();
        let prepared = preparer.prepare(&event).map_err(|_| "payload")?;
        let mut found: Vec<[u8; 8]> = Vec::new();
        for tag in prepared.tags() {
            let name = &header.sections[tag.section].name;
            if let Some((_, secret)) = secrets.iter().find(|(n, _)| n == name) {
                found.push(blind_tag(secret, &names[tag.field], tag.value.as_bytes()));
            }
        }
        found.sort_unstable();
        found.dedup();
        let record = Body::decode(&body).unwrap().records().nth(self.position()).unwrap();
        let Ok(Record::Sealed { tags, .. }) = Record::decode(record) else { return Err("erased") };
        let stated: Vec<[u8; 8]> = tags.chunks(8).map(|t| t.try_into().unwrap()).collect();
        let all = secrets.len() == header.sections.len();
        let good = if all { found == stated } else { found.iter().all(|t| stated.contains(t)) };
        if good { Ok(()) } else { Err("tags") }
    }
}

fn section(name: &str, pointers: Vec<Pattern>) -> SectionPolicy {
    SectionPolicy { name: name.to_owned(), readers: ReaderChoice::All, pointers }
}

fn preparer(sections: Vec<SectionPolicy>, tags: Vec<TagField>) -> Preparer {
    let policy = Policy { sections, tags, access_log: ReaderChoice::All };
    Preparer::new(policy.compile().unwrap().into())
}

/// The body, if everything in it can be decoded.
fn checked_body(body: Vec<u8>) -> Result<Vec<u8>, Family> {
    batch::commit(&body).map_err(|_| "format")?;
    Ok(body)
}

fn open_position(body: &[u8], position: usize, identity: &Identity) -> Result<Vec<u8>, Family> {
    let decoded = Body::decode(body).map_err(|_| "format")?;
    let header = Header::decode(decoded.header).map_err(|_| "format")?;
    let record = decoded.records().nth(position).ok_or("range")?;
    let (event, _) = open_bytes(identity, &header, position as u32, record).map_err(|e| match e {
        OpenRecordError::Open(e) => open_family(e),
        OpenRecordError::Event(EventError { rule: Rule::Mismatch, .. }) => "marker",
        OpenRecordError::Event(_) => "payload",
        OpenRecordError::Erased(_) | OpenRecordError::ErasedByOrder { .. } => "erased",
        OpenRecordError::Client(_) | OpenRecordError::Proof(_) | OpenRecordError::Malformed(_) => "format",
    })?;
    Ok(event.to_vec())
}

/// The event as far as it is readable, and per section the pointers of what was moved there.
fn with_moved_pointers(
    body: &[u8],
    position: usize,
    identity: &Identity,
) -> Result<(Vec<u8>, Vec<Vec<Pattern>>), Family> {
    let event = open_position(body, position, identity)?;
    let decoded = Body::decode(body).map_err(|_| "format")?;
    let header = Header::decode(decoded.header).map_err(|_| "format")?;
    let record = decoded.records().nth(position).ok_or("range")?;
    let names: Vec<String> = header.sections.iter().map(|s| s.name.clone()).collect();
    let opener = Opener::new(identity, &header).map_err(open_family)?;
    let unchecked = opener.open(position as u32, record).map_err(open_family)?;
    let mut parser = sealtrail::event::json::Parser::new();
    let opened = unchecked.verify_disclosure(|s, payload, sink| {
        let fields = sealtrail::event::prepare::fields_of_payload(&mut parser, s, payload, &names).unwrap();
        fields.for_each(|f| sink.add(&f));
        Ok::<_, OpenError>(())
    });
    let opened = opened.map_err(open_family)?;
    if opened.payload(0).is_none() {
        return Err("identity");
    }
    let moved = |s: usize| match opened.payload(s) {
        Some(payload) if s > 0 => {
            // Raw, because an event may hold numbers that serde_json cannot.
            let members: BTreeMap<String, Box<RawValue>> = serde_json::from_slice(payload).unwrap();
            members.keys().map(|p| Pattern::parse(p).unwrap()).collect()
        }
        _ => Vec::new(),
    };
    Ok((event, (0..names.len()).map(moved).collect()))
}

/// A roster that requires no reader.
fn no_rules() -> Roster {
    let key =
        VerifierKey::parse("PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW").unwrap();
    Roster {
        ledger: String::new(),
        sequence: 0,
        previous: Hash::ZERO,
        issued: Timestamp::from_millis(0).unwrap(),
        ledger_key: key,
        admins: Vec::new(),
        writers: Vec::new(),
        readers: Vec::new(),
        officers_required: 0,
        officers: Vec::new(),
        witnesses: Vec::new(),
    }
}

fn open_family(error: OpenError) -> Family {
    match error {
        OpenError::NotAReader(_) => "identity",
        OpenError::Header { .. } | OpenError::Record { .. } => "format",
        OpenError::Envelope { .. } | OpenError::Challenge(_) => "hpke",
        OpenError::Erased { .. } => "erased",
        OpenError::Commitment(_) | OpenError::GrantedSlot(_) => "commitment",
        OpenError::Ciphertext(_) => "aead",
        OpenError::Padding(_) => "padding",
        OpenError::Fields { .. } => "payload",
        OpenError::Disclosure(_) => "disclosure",
    }
}

fn checkpoint_family(error: &CheckpointError) -> Family {
    use NoteError::{AmbiguousKey, BadSignature, NoKnownSigner};
    match error {
        CheckpointError::Origin { .. } => "origin",
        CheckpointError::Note(BadSignature { .. } | NoKnownSigner { .. } | AmbiguousKey { .. }) => {
            "signature"
        }
        _ => "format",
    }
}

fn evidence_family(error: EvidenceError) -> Family {
    match error {
        EvidenceError::TooLarge
        | EvidenceError::Json(_)
        | EvidenceError::Member { .. }
        | EvidenceError::RecordCount => "format",
        EvidenceError::Manifest(ManifestError::NotSigned(_))
        | EvidenceError::Manifest(ManifestError::Note(
            NoteError::BadSignature { .. } | NoteError::NoKnownSigner { .. },
        )) => "signature",
        EvidenceError::Manifest(_) => "format",
        EvidenceError::Ledger { .. } => "origin",
        EvidenceError::Checkpoint(e) => checkpoint_family(&e),
        EvidenceError::OtherCheckpoint | EvidenceError::Records { .. } | EvidenceError::Contents => {
            "manifest"
        }
        EvidenceError::Policy(_) => "policy",
        EvidenceError::Unsigned(_) | EvidenceError::OtherSigner { .. } => "signature",
        EvidenceError::Block { fault, .. } => match fault {
            BlockFault::Block(_)
            | BlockFault::Signatures
            | BlockFault::Header
            | BlockFault::HeaderForm(_) => "format",
            BlockFault::Order(_) | BlockFault::Unused => "order",
            BlockFault::Inclusion(MerkleError::Index { .. }) => "range",
            BlockFault::Inclusion(_) => "inclusion",
            BlockFault::Kind => "statement",
            BlockFault::Ledger(_) => "origin",
            BlockFault::Writer(_) => "signature",
            BlockFault::OtherHeader => "header",
        },
        EvidenceError::Record { fault, .. } => match fault {
            RecordFault::Order { .. } => "order",
            RecordFault::NoBlock(_) | RecordFault::Range { .. } => "range",
            RecordFault::Inclusion(MerkleError::Index { .. }) => "range",
            RecordFault::Inclusion(_) => "inclusion",
            RecordFault::ErasedAndOpened | RecordFault::NoHeader => "format",
            RecordFault::NotErased => "erased",
            RecordFault::Shown(shown) => match shown {
                SectionError::Count { .. } | SectionError::Empty | SectionError::TooManyFields { .. } => {
                    "format"
                }
                SectionError::Payload { .. } | SectionError::Fields { .. } => "payload",
                SectionError::Merge(_) => "marker",
                SectionError::Order { .. } => "order",
                SectionError::Field { .. } | SectionError::Root => "disclosure",
            },
        },
    }
}

fn proof_family(error: ProofError) -> Family {
    use NoteError::{AmbiguousKey, BadSignature, NoKnownSigner};
    match error {
        ProofError::Checkpoint(CheckpointError::Origin { .. }) | ProofError::Ledger { .. } => "origin",
        ProofError::Checkpoint(CheckpointError::Note(
            BadSignature { .. } | NoKnownSigner { .. } | AmbiguousKey { .. },
        )) => "signature",
        ProofError::Height { .. } | ProofError::Range { .. } => "range",
        ProofError::BlockInclusion(MerkleError::Index { .. })
        | ProofError::RecordInclusion(MerkleError::Index { .. }) => "range",
        ProofError::BlockInclusion(_) | ProofError::RecordInclusion(_) => "inclusion",
        ProofError::NoRecords => "statement",
        ProofError::Writer { .. } => "signature",
        ProofError::OtherRecord(_) => "record",
        _ => "format",
    }
}
