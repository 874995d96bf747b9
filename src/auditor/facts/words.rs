//! What the words of a result or an action say.

use super::Outcome;

/// Calls `each` with the words of a text in small letters: `API_KEY_REVOKED`, `CreateBucket` and `get:/patients` have three,
/// two and two.
fn words(text: &str, mut each: impl FnMut(&str) -> bool) {
    let mut word = String::with_capacity(16);
    let mut before_small = false;
    for c in text.chars() {
        let capital = c.is_ascii_uppercase();
        if (!c.is_alphanumeric() || (capital && before_small)) && !word.is_empty() {
            if each(&word) {
                return;
            }
            word.clear();
        }
        before_small = c.is_lowercase();
        if c.is_alphanumeric() {
            word.push(c.to_ascii_lowercase());
        }
    }
    if !word.is_empty() {
        each(&word);
    }
}

/// The outcome that a result says in a word, an HTTP status code, or yes and no.
pub(super) fn outcome(result: &str) -> Option<Outcome> {
    match result.parse::<u16>() {
        Ok(401 | 403) => return Some(Outcome::Denied),
        Ok(100..=399) => return Some(Outcome::Allowed),
        Ok(400..=599) => return Some(Outcome::Failed),
        Ok(_) => return None,
        Err(_) => {}
    }
    let (mut found, mut negated) = (None, false);
    words(result, |word| {
        let one = match word {
            "not" | "no" | "without" => {
                negated = true;
                None
            }
            "allowed" | "allow" | "permit" | "permitted" | "granted" | "grant" | "approved"
            | "authorized" | "authorised" => Some(if negated { Outcome::Denied } else { Outcome::Allowed }),
            "success" | "successful" | "succeeded" | "succeed" | "ok" | "pass" | "passed" | "complete"
            | "completed" | "true" | "yes" => Some(if negated { Outcome::Failed } else { Outcome::Allowed }),
            "denied" | "deny" | "refused" | "forbidden" | "forbid" | "rejected" | "reject"
            | "unauthorized" | "unauthorised" | "blocked" | "block" => Some(Outcome::Denied),
            "failure" | "fail" | "failed" | "error" | "timeout" | "aborted" | "invalid" | "exception"
            | "unsuccessful" | "false" => Some(Outcome::Failed),
            _ => None,
        };
        found = worse(found, one);
        false
    });
    found
}

/// The outcome that the name of an action gives away, such as `login_failed`. Words that may be the action itself
/// (`invoice_rejected`) say nothing.
pub(super) fn outcome_of_action(action: &str) -> Option<Outcome> {
    let mut found = None;
    words(action, |word| {
        found = worse(
            found,
            match word {
                "denied" | "unauthorized" | "unauthorised" | "forbidden" => Some(Outcome::Denied),
                "failed" | "failure" => Some(Outcome::Failed),
                "granted" | "succeeded" | "success" => Some(Outcome::Allowed),
                _ => None,
            },
        );
        false
    });
    found
}

fn worse(a: Option<Outcome>, b: Option<Outcome>) -> Option<Outcome> {
    let rank = |o: &Outcome| match o {
        Outcome::Denied => 2,
        Outcome::Failed => 1,
        Outcome::Allowed => 0,
    };
    a.into_iter().chain(b).max_by_key(rank)
}

/// Whether a text says that it was a refusal.
pub(super) fn says_denied(text: &str) -> bool {
    outcome(text) == Some(Outcome::Denied)
}

/// The kind of operation that the first telling word of an action names.
pub(super) fn operation(action: &str) -> Option<&'static str> {
    let mut found = None;
    words(action, |word| {
        found = match word {
            "create" | "created" | "creates" | "insert" | "inserted" | "add" | "added" | "new" | "post"
            | "upload" | "uploaded" | "import" | "imported" | "register" | "registered" => Some("create"),
            "read" | "reads" | "view" | "viewed" | "views" | "get" | "list" | "listed" | "search"
            | "searched" | "query" | "queried" | "access" | "accessed" | "export" | "exported"
            | "download" | "downloaded" | "print" | "printed" | "vread" | "history" | "describe" | "head"
            | "watch" | "lookup" | "disclose" | "disclosure" => Some("read"),
            "update" | "updated" | "updates" | "modify" | "modified" | "patch" | "patched" | "put"
            | "edit" | "edited" | "change" | "changed" | "set" | "write" | "written" | "rename"
            | "renamed" | "amend" | "amended" | "rotate" | "rotated" => Some("update"),
            "delete" | "deleted" | "deletes" | "deletecollection" | "remove" | "removed" | "erase"
            | "erased" | "purge" | "purged" | "destroy" | "destroyed" | "drop" | "revoke" | "revoked" => {
                Some("delete")
            }
            "login" | "logout" | "logon" | "logoff" | "signin" | "signout" | "execute" | "executed"
            | "exec" | "run" | "start" | "started" | "stop" | "stopped" | "approve" | "approved"
            | "reject" | "rejected" | "validate" | "validated" | "verify" | "verified" | "invoke"
            | "invoked" | "assume" | "authenticate" | "authenticated" => Some("execute"),
            _ => None,
        };
        found.is_some()
    });
    found
}

/// Whether a text names emergency access.
pub(super) fn is_emergency(text: &str) -> bool {
    let mut letters = String::with_capacity(text.len());
    words(text, |word| {
        letters.push_str(word);
        false
    });
    ["breakglass", "breaktheglass", "emergencyaccess", "emergencyoverride", "emergencytreatment"]
        .iter()
        .any(|w| letters.contains(w))
        || matches!(&*letters, "btg" | "etreat")
}
