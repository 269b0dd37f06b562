//! All integration tests, in one binary.

mod answers;
mod contract;
mod corpus;
mod round_trip;
mod script;
mod streams;
mod transport;
