//! The fuzz targets as a library; see `docs/FUZZING.md`.

#![forbid(unsafe_code)]

pub mod targets;
