//! Layer 2: what travels over HTTP, without any HTTP library: routes, messages, problem codes.
//! `docs/API.md` is the same for people.

pub mod bulk;
pub mod message;
pub mod problem;
pub mod route;
