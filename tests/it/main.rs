//! All integration tests, in one binary.

mod round_trip;
