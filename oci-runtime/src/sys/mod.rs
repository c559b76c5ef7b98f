//! The system calls of this crate: the only place with `unsafe`.
//!
//! [`call`] is for the child between `clone3` and `execve`: it shares the caller's memory and thread-local
//! storage, so nothing there may go through libc (which writes `errno`), allocate, lock or panic. [`parent`] is
//! for ordinary code.
#![allow(unsafe_code)]

pub(crate) mod call;
pub(crate) mod clone;
pub(crate) mod parent;
mod raw;
pub(crate) mod stub;

pub(crate) use raw::Errno;
