//! index.json: what the layout names. Always edited as the JSON it is, never through typed structs.

mod document;
mod edit;
mod platform;
mod resolve;
mod sniff;
mod tags;
mod walk;

pub(crate) use document::{Document, REF_NAME, descriptor};
pub(crate) use sniff::sniff;
