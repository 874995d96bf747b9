//! Opening what was sealed: hostile headers, slots, records, grants and challenges, with readers' real keys.

use sealtrail::auditor::batch::BatchOpener;
use sealtrail::auditor::granted::Granted;
use sealtrail::auditor::open::{open_bytes, open_with};
use sealtrail::base::batch::{Body, Header};
use sealtrail::base::limits::MAX_KEY_FILE_BYTES;
use sealtrail::chain::batch::commit;
use sealtrail::event::json::Parser;
use sealtrail::seal::at_rest;
use sealtrail::seal::fuzzing::open_protected;
use sealtrail::seal::open::open_challenge;
use sealtrail::seal::protected::{ProtectedError, is_protected};

use super::input::{keys, part};

/// Batch bodies, for every identity.
pub fn open(data: &[u8]) {
    let Ok(body) = Body::decode(data) else { return };
    let Ok(header) = Header::decode(body.header) else { return };
    for identity in &keys().identities {
        for (position, record) in (0..).zip(body.records().take(8)) {
            let Ok((event, withheld)) = open_bytes(identity, &header, position, record) else { continue };
            assert!(commit(data).is_ok() || Body::decode(data).is_ok());
            assert!(!withheld.is_empty() || Parser::new().parse(&event).is_ok(), "opened, and no event");
        }
    }
}

/// Grants on a batch: `length ‖ body of the grant`, body of the batch.
pub fn granted(mut data: &[u8]) {
    let grant = part(&mut data);
    let from = keys().identities[0].recipient().to_string();
    let message = sealtrail::api::message::GrantMessage {
        block: 3,
        first_record: 0,
        last_record: 7,
        from,
        part: Some(sealtrail::base::hash::to_base64(grant)),
    };
    let Some(granted) = Granted::of_messages(std::slice::from_ref(&message)) else { return };
    assert_eq!(granted.count(), 1);
    let Ok(body) = Body::decode(data) else { return };
    let Ok(header) = Header::decode(body.header) else { return };
    for height in granted.blocks().take(4) {
        let grants = granted.batch(height);
        for identity in &keys().identities {
            let identities = std::slice::from_ref(identity);
            let own = BatchOpener::new(identities, &header, &[]);
            let Ok(opener) = BatchOpener::new(identities, &header, &grants) else {
                assert!(own.is_err(), "a grant took something away");
                continue;
            };
            for (position, record) in (0..).zip(body.records().take(4)) {
                let with = open_with(&opener, position, record);
                let without = own.as_ref().is_ok_and(|own| open_with(own, position, record).is_ok());
                assert!(with.is_ok() || !without, "a grant took something away");
            }
        }
    }
}

/// Challenges and what a reader sealed to itself: `length ‖ encapsulated key`, ciphertext.
pub fn sealed(data: &[u8]) {
    let mut rest = data;
    let enc = part(&mut rest);
    for identity in &keys().identities {
        let _ = open_challenge(identity, "ledger.example/audit", enc, rest);
        let _ = at_rest::open(identity, "ledger.example/audit", "7", data);
    }
}

/// Key files under a passphrase.
pub fn protected(data: &[u8]) {
    match open_protected(data, "correct horse") {
        Ok(text) => {
            assert!(is_protected(data) && !is_protected(text.as_bytes()) && text.len() <= MAX_KEY_FILE_BYTES);
            assert!(
                matches!(open_protected(data, "another"), Err(ProtectedError::Wrong)),
                "any passphrase fits"
            );
        }
        Err(e) => assert!(!e.to_string().contains("correct horse")),
    }
}
