//! index.json: what the layout names. Always edited as the JSON it is, never through typed structs.

mod document;
mod edit;
mod platform;
mod resolve;
mod scan;
mod sniff;
mod tags;
mod walk;

pub(crate) use document::{Document, REF_NAME, descriptor, entry, is_of, tag_of};
pub(crate) use sniff::sniff;
pub(crate) use tags::{check_tag, set_tag};
