//! The settings file that `init` writes.

use super::settings::*;

/// A commented file for a new ledger; a test holds it to [`Settings::default_for`].
pub(super) fn settings(origin: &str) -> String {
    let quoted = |s: &str| toml::Value::from(s).to_string();
    let (ledger, writer) = (quoted(origin), quoted(&default_writer(origin)));
    format!(
        r##"# Settings of one Sealtrail ledger. Paths are relative to this file's folder.

# The ledger's origin: the name its key signs under. It is in every signature, so it cannot change later.
ledger = {ledger}

# Where to serve. Another address than loopback needs TLS (both lines), or allow_plaintext = true behind
# a proxy that does TLS.
listen = "{DEFAULT_LISTEN}"
# tls_cert = "tls/fullchain.pem"
# tls_key = "tls/private.pem"
# allow_plaintext = false

# Folder of the key files, and the SQLite file of the ledger.
keys = "{DEFAULT_KEYS}"
database = "{DEFAULT_DATABASE}"

# The writer inside `sealtrail serve`, which seals the events sent to POST /v1/events.
[gateway]
writer = {writer}
retain_years = {DEFAULT_RETAIN_YEARS}
# Longest silence: with nothing to record, the gateway says so this often.
heartbeat_minutes = {DEFAULT_HEARTBEAT_MINUTES}

# Who reads what. The first section holds whatever no later one claims; readers = ["*"] means every reader
# of the roster. Names are those of `sealtrail reader add`.
[[section]]
name = "event"
readers = ["*"]

# A later section takes the values at its pointers out of the event, for fewer readers. * is any array
# index; a pointer to an object or array takes all of it.
# [[section]]
# name = "patient"
# readers = ["privacy-officer"]
# pointers = ["/resource/id", "/entity/*/what"]

# Searchable fields get blind tags: the ledger can find equal values without knowing them, and so sees
# which records share one. Without this table the tags are actor, resource, action, result and address,
# with the places where common event shapes keep them. An empty list turns a tag off.
# [tags]
# address = []
# ward = ["/context/ward"]

# Readers of the records about who downloaded records.
[access_log]
readers = ["*"]
"##
    )
}
