//! Keys of derived values that do not follow from the blocks: what a process notes in a store for itself. They stand in one place,
//! because whoever inspects a store must know them all to tell a value that belongs to nothing.

/// Number of authority statements whose orders are carried out: 8 bytes, big-endian.
pub const ERASED_UP_TO: &str = "erased-up-to";
/// The checkpoint up to which a vault has downloaded and verified everything.
pub const VAULT_WHOLE: &str = "vault/whole";
/// The key that signed the newest checkpoint a vault has seen.
pub const VAULT_SIGNED_BY: &str = "vault/signed-by";
/// Of a backup: the state that the ledger signed together with the checkpoint of the backup. It saves the ledger from going through
/// all blocks when it starts from the backup.
pub const BACKUP_STATE: &str = "backup/state";

/// All of them.
pub const ALL: [&str; 4] = [ERASED_UP_TO, VAULT_WHOLE, VAULT_SIGNED_BY, BACKUP_STATE];
