//! Files that auditors are given, and those they keep.

use sealtrail::auditor::evidence::format::Evidence;
use sealtrail::auditor::evidence::manifest::{Manifest, is_text, to_text};
use sealtrail::auditor::evidence::verify::{Trust, verify};
use sealtrail::auditor::fuzzing::{cursor as read_cursor, cursor_text};

use super::input::keys;

/// Evidence files, and checking them.
pub fn evidence(data: &[u8]) {
    let _ = sealtrail::cli::fuzzing::is_evidence(data);
    let Ok(evidence) = Evidence::parse(data) else { return };
    let again = Evidence::parse(evidence.to_json().as_bytes());
    assert!(again.is_ok_and(|again| again == evidence));
    let keys = keys();
    let report = verify(data, &Trust::ledger(&keys.ledger));
    if let Ok(report) = &report {
        assert!(!report.heading().is_empty());
        let _ = (report.not_proven(), report.to_json().to_string());
    }
    let strict = verify(data, &Trust { writers: &keys.all, ..Trust::ledger(&keys.ledger) });
    assert!(strict.is_err() || report.is_ok(), "asking for more lets less through");
}

/// The manifest of an evidence file.
pub fn manifest(data: &[u8]) {
    let text = std::str::from_utf8(data).unwrap_or_default();
    let fit = to_text(text);
    assert!(fit.is_empty() || is_text(&fit));
    let Ok(manifest) = Manifest::parse(text) else { return };
    if manifest.signer.is_none() {
        assert_eq!(manifest.to_note(None).unwrap(), text);
    }
}

/// Grants on their way from an auditor to an admin.
pub fn grant_file(data: &[u8]) {
    let _ = sealtrail::cli::fuzzing::grant_file(data);
}

/// The cursor of a watch.
pub fn cursor(data: &[u8]) {
    let text = std::str::from_utf8(data).unwrap_or_default();
    let ledger = keys().ledger.name();
    let Some(position) = read_cursor(text, ledger) else { return };
    let again = cursor_text(&position, ledger).unwrap();
    assert_eq!(read_cursor(&again, ledger), Some(position));
}
