//! Whose a file is: what root writes for a service must stay the service's, and who may not open a file is told whose it is.

use std::fs::File;
use std::io;
use std::path::Path;

/// Where the system lists its users.
#[cfg(unix)]
const USERS: &str = "/etc/passwd";

/// Gives a file that root has just made to the owner of `like`, an ordinary file, or if there is none to the owner of the folder it would
/// be in. Does nothing for anybody else than root. `file` must have been made by this process: what a name leads to may be anybody's.
#[cfg(unix)]
pub fn hand_over(file: &File, like: &Path) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt as _, fchown};
    let made = file.metadata()?;
    if made.uid() != 0 {
        return Ok(());
    }
    let owner = match std::fs::symlink_metadata(like) {
        Ok(there) if there.is_file() => there,
        _ => std::fs::metadata(folder(like))?,
    };
    match (owner.uid(), owner.gid()) == (made.uid(), made.gid()) {
        true => Ok(()),
        false => fchown(file, Some(owner.uid()), Some(owner.gid())),
    }
}

/// Other systems have access lists that a folder hands on.
#[cfg(not(unix))]
pub fn hand_over(_: &File, _: &Path) -> io::Result<()> {
    Ok(())
}

/// What to tell somebody who may not open `path`, or not write there: whose it is, and what to do.
#[cfg(unix)]
pub fn denied(path: &Path) -> String {
    use std::os::unix::fs::MetadataExt as _;
    // The nearest that can be looked at: of a file in a folder that is closed nothing is known.
    let mut place = path;
    let owner = loop {
        match std::fs::metadata(if place.as_os_str().is_empty() { Path::new(".") } else { place }) {
            Ok(there) => break there.uid(),
            Err(_) => match place.parent() {
                Some(parent) => place = parent,
                None => return "permission denied".to_owned(),
            },
        }
    };
    let place = if place.as_os_str().is_empty() { Path::new(".") } else { place };
    told(&place.display().to_string(), owner, rustix::process::geteuid().as_raw(), &name)
}

/// What to tell somebody who may not open `path`.
#[cfg(not(unix))]
pub fn denied(_: &Path) -> String {
    "permission denied".to_owned()
}

#[cfg(unix)]
fn told(place: &str, owner: u32, me: u32, name: &dyn Fn(u32) -> String) -> String {
    let (whose, who) = (name(owner), name(me));
    match owner {
        _ if owner == me => {
            format!("permission denied: {place} is yours ({who}), but its mode or the file system forbids it")
        }
        0 => format!(
            "permission denied: {place} belongs to root, and you are {who}. If it is meant for {who}, run as root: chown {who} {place}"
        ),
        _ => format!(
            "permission denied: {place} belongs to {whose}, and you are {who}. Run this as {whose}; root does so with: runuser -u {whose} -- …"
        ),
    }
}

/// The folder a name is in.
#[cfg(unix)]
fn folder(path: &Path) -> &Path {
    path.parent().filter(|f| !f.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// A user's name, or the number if the system's list does not have it.
#[cfg(unix)]
fn name(user: u32) -> String {
    let list = std::fs::read_to_string(USERS).unwrap_or_default();
    let number = user.to_string();
    let found = list.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1) == Some(&number)).then(|| name.to_owned())
    });
    found.unwrap_or(number)
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn whoever_is_refused_is_told_whose_it_is() {
        let name = |user: u32| {
            if user == 0 {
                "root"
            } else if user == 9 {
                "sealtrail"
            } else {
                "bob"
            }
            .to_owned()
        };
        let to_service = told("keys/a.key", 0, 9, &name);
        assert!(to_service.contains("belongs to root, and you are sealtrail"), "{to_service}");
        assert!(to_service.contains("chown sealtrail keys/a.key"), "{to_service}");
        let to_other = told("keys", 9, 8, &name);
        assert!(to_other.contains("runuser -u sealtrail") && !to_other.contains("chown"), "{to_other}");
        assert!(told("a", 8, 8, &name).contains("is yours (bob)"));
    }
}
