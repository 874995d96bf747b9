//! Ways into what this folder keeps private, for fuzz targets; see `docs/FUZZING.md`.

use std::path::Path;

use super::check;

/// Whether the text is a remote writer's settings; of what is wrong, the offset it is about.
pub fn writer_settings(text: &str) -> Result<(), usize> {
    check::writer_settings(text, Path::new("/w")).map(|_| ()).map_err(|p| p.at)
}
