//! Four systems that each solved a corner of the problem, reproduced with the layers of this crate.
//!
//! The ids above the tests (D1, T1, M1, G1…) count the behaviours of each system.

mod dynamo;
mod dynamo_readiness;
mod mofa;
mod nemo_gym;
mod tenstorrent;
mod tenstorrent_canary;
