//! Connections: names to addresses to streams to HTTP, and the pool that keeps them.

mod body;
mod connect;
mod egress;
mod pool;
mod tls;

pub(crate) use body::{Progress, RequestBody, ResponseBody};
pub(crate) use connect::{Connector, SendError};
pub(crate) use egress::Egress;
pub(crate) use pool::Pool;
