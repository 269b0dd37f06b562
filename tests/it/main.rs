//! All integration tests, in one binary.

#![allow(clippy::unwrap_used, reason = "clippy allows it in test functions, not in their helpers")]

mod answers;
mod contract;
mod corpus;
mod cuts;
mod drain;
mod faults;
mod hold;
mod layering;
mod per_request;
mod poll_orders;
mod probes;
mod redaction;
mod retry;
mod round_trip;
mod script;
mod seeds;
mod shapes;
mod shared;
mod sse_vectors;
mod streams;
mod support;
mod surface;
mod transport;
mod traps_http;
mod traps_streams;
mod traps_text;
