//! Attacker: the network, or a server that is not what it says. He has no key at all, unless it is said; he answers true things in the
//! wrong place.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use sealtrail::api::message::{StatementReceipt, WriterHead};
use sealtrail::auditor::source::{Source, SourceError};
use sealtrail::auditor::verify::{Trust, VerifyError, verify};
use sealtrail::base::hash::Hash;

use crate::database::erase;
use crate::evil::Evil;
use crate::forge::Forged;
use crate::judge::Victim::{Open, Proof, Reader, Stranger};
use crate::judge::{Scene, expect};
use crate::world::{LAB, ORIGIN, world};

fn scene(lie: impl Fn(&str) -> Option<Vec<u8>> + Send + Sync + 'static) -> Scene {
    Scene::new().served_by(Evil::lying(Forged::honest(), Box::new(move |path, _| lie(path))))
}

fn asked(url: &str, path: &str) -> Option<Vec<u8>> {
    sealtrail::client::Client::new(url, None).unwrap().get(path).ok()
}

/// Asked for record 1, it answers with record 0 and its proof, all of it true.
#[test]
fn answer_with_another_record() {
    let honest = Evil::serve(Forged::honest());
    let scene = scene(move |path| match path {
        "/v1/records/1" => asked(&honest.url, "/v1/records/0"),
        "/v1/proofs/1" => asked(&honest.url, "/v1/proofs/0"),
        _ => None,
    });
    expect(&scene.judge(&[Open(1), Proof(1), Open(0)]), "
        Open(1) 1: the server sent a malformed record: the proof is for another record
        Proof(1) 1: the server gave the proof of EVT-00000000 when asked for 1: nothing was written
        Open(0) holds, EVT-00000000 block 1 sealed … by test.example/writers/ehr (as the ledger says; --writer VKEY che");
}

/// Asked for the proof of a record, it gives the record of another one with the right proof.
#[test]
fn answer_with_the_bytes_of_another_record() {
    let honest = Evil::serve(Forged::honest());
    let scene =
        scene(move |path| (path == "/v1/records/1").then(|| asked(&honest.url, "/v1/records/0")).flatten());
    expect(&scene.judge(&[Open(1)]), "
        Open(1) 1: the proof that the server gave does not hold: the record is not the one of the proof: its cipher…");
}

/// Bodies are exchanged on their way, and cut short.
#[test]
fn exchange_bodies_on_their_way() {
    let mut other = Forged::honest();
    let body = other.parts[3].body.clone();
    other.parts[1].body = body;
    let exchanged = Scene::served(&other).judge(&[Stranger, Reader]);
    let mut short = Forged::honest();
    let half = short.parts[1].body.len() / 2;
    short.parts[1].body.truncate(half);
    let short = Scene::served(&short).judge(&[Stranger, Reader]);
    expect(&format!("[exchanged]\n{exchanged}[short]\n{short}"), "
        [exchanged]
        Stranger holds
        Reader 1: record EVT-00000000 in block 1: the ciphertext and the envelope (key slots, commitments or tags)…
        [short]
        Stranger holds
        Reader 1: block 1: its body is damaged: cut short while reading batch body");
}

/// The first pass of a sync sees other block texts than the second.
#[test]
fn give_a_sync_two_texts_of_one_block() {
    let mut other = Forged::honest();
    other.parts[10].text = other.parts[10].text.replace("sealed 20", "sealed 19");
    let (other, calls) = (Evil::serve(other), Arc::new(AtomicUsize::new(0)));
    let scene = scene(move |path| {
        let second = path.starts_with("/tile/entries/") && calls.fetch_add(1, Ordering::SeqCst) > 0;
        second.then(|| asked(&other.url, path)).flatten()
    });
    let vault = ["--vault", "net", "--key", "ledger.vkey", "--identity", "alice.identity"];
    let out = scene.run(&[&["audit", "sync", "--server", scene.url()], &vault[..]].concat());
    assert_eq!(out.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&out.stderr).contains("two different texts of block 10"));
}

/// A writer beside the application, with its own memory of how far it is.
fn remote_writer(scene: &Scene, state: Option<(u64, Hash)>) {
    let key = scene.path("lab.key");
    sealtrail::config::keyfile::create_secret(&key, &world().keys.lab.to_text()).unwrap();
    let settings = format!(
        "ledger = \"{ORIGIN}\"\nledger_key = \"ledger.vkey\"\nkey = \"lab.key\"\n[[reader]]\nname = \"alice\"\nrecipient = \"{}\"\n",
        world().keys.alice.recipient()
    );
    std::fs::write(scene.path("writer.toml"), settings).unwrap();
    std::fs::write(scene.path("one.json"), "{\"n\":1}").unwrap();
    if let Some((next, previous)) = state {
        std::fs::write(scene.path("lab.state"), format!("{next} {}\n", previous.base64())).unwrap();
    }
}

fn seal(scene: &Scene) -> (i32, String) {
    let out = scene.run(&["log", "one.json", "--seal", "writer.toml", "--server", scene.url()]);
    (out.status.code().unwrap(), String::from_utf8_lossy(&out.stderr).into_owned())
}

fn says(head: u64, previous: Hash) -> Vec<u8> {
    let head = WriterHead { writer: LAB.into(), next_sequence: head, previous: previous.base64() };
    serde_json::to_vec(&head).unwrap()
}

/// Operator, with the ledger key: takes a batch, stores nothing, and answers with the receipt of another batch, which is true.
#[test]
fn steal_a_receipt_for_another_batch() {
    let place = Forged::honest().place(LAB);
    let scene = scene(move |path| match path.split('?').next().unwrap() {
        "/v1/writers" => Some(says(place.next_sequence, place.previous)),
        // That of this writer's last batch.
        "/v1/batches" => {
            let receipt = StatementReceipt { block: 11, first_record: 9, count: 1, repeated: false };
            serde_json::to_vec(&receipt).ok()
        }
        _ => None,
    });
    remote_writer(&scene, Some((place.next_sequence, place.previous)));
    let (code, said) = seal(&scene);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("not proven: the proof is for another batch"), "{said}");
    assert!(scene.path("lab.pending").exists(), "the batch is kept");
}

/// Operator: has left out the writer's last batch, which it had a receipt for. The next time the writer comes, it knows.
#[test]
fn forget_a_batch_of_a_writer_that_comes_back() {
    let place = Forged::honest().place(LAB);
    let scene =
        scene(move |path| path.starts_with("/v1/writers").then(|| says(place.next_sequence - 1, Hash::ZERO)));
    remote_writer(&scene, Some((place.next_sequence, place.previous)));
    let (code, said) = seal(&scene);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("the ledger has lost statements of this writer"), "{said}");
}

/// Thief of a writer's key: has sealed a batch of his own. The writer finds the number taken.
#[test]
fn use_a_stolen_writer_key_before_the_writer_comes_back() {
    let place = Forged::honest().place(LAB);
    let scene = scene(move |path| {
        path.starts_with("/v1/writers").then(|| says(place.next_sequence + 1, Hash::of(&[b"the thief's"])))
    });
    remote_writer(&scene, Some((place.next_sequence, place.previous)));
    let (code, said) = seal(&scene);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("someone else signs with this key"), "{said}");
}

/// A source that shows one ledger until it has been asked for its checkpoint a second time, and another one from then on.
struct Faces {
    shown: [Forged; 2],
    asked: usize,
}

impl Faces {
    fn now(&self) -> &Forged {
        &self.shown[usize::from(self.asked > 1)]
    }
}

impl Source for Faces {
    fn checkpoint(&mut self) -> Result<String, SourceError> {
        self.asked += 1;
        Ok(self.now().checkpoint.clone())
    }
    fn blocks(&mut self, height: u64, _: u64) -> Result<Vec<String>, SourceError> {
        Ok(self.now().parts.iter().skip(height as usize).map(|p| p.text.clone()).collect())
    }
    fn has_bodies(&self) -> bool {
        true
    }
    fn body(&mut self, height: u64, _: u64) -> Result<Vec<u8>, SourceError> {
        Ok(self.now().parts[height as usize].body.clone())
    }
    fn leaf_inputs(&mut self, height: u64) -> Result<Vec<u8>, SourceError> {
        Ok(self.now().parts[height as usize].leaves.clone())
    }
}

/// Attacker: the operator, with the ledger's key. Content is missing, and a verification that begins anew, as it does in case an erasure
/// overtook it, is shown another ledger: an older state, or another history. What was shown first counts.
#[test]
fn show_another_ledger_when_a_verification_begins_anew() {
    let mut hollow = Forged::honest();
    erase(&mut hollow.parts[1], 1);
    let mut older = Forged::honest();
    older.parts.pop();
    let mut other = Forged::honest();
    other.parts.pop();
    other.append_batch(&world().keys.lab, &["{\"other\":1}".to_owned()]);
    let mut longer = other.clone();
    longer.append_batch(&world().keys.lab, &["{\"other\":2}".to_owned()]);
    let key = world().keys.ledger.verifier();
    for (then, finding) in [
        (older, "it was cut off or rolled back"),
        (other, "two histories are signed"),
        (longer, "two histories are signed"),
    ] {
        let mut faces = Faces { shown: [hollow.clone(), then.operated()], asked: 0 };
        let trust = Trust { ledger: &key, admin: None, known: &[] };
        let refused = verify(&mut faces, &trust, &mut |_, _| ()).unwrap_err();
        assert!(
            matches!(&refused, VerifyError::History { before: Some(b), .. } if *b == hollow.checkpoint),
            "{refused}"
        );
        assert!(refused.to_string().contains(finding), "{refused}");
    }
}
