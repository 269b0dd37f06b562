//! The corpus that is kept outside of the repository, where it is there.

use serde_json::Value;
use std::{fs, path::PathBuf};

/// The lines of a file of the corpus. `None`, and a word about it, if `TOWER_INFERENCE_SHARED` names
/// no folder.
pub(crate) fn lines(file: &str) -> Option<Vec<Value>> {
    let Some(folder) = std::env::var_os("TOWER_INFERENCE_SHARED").filter(|it| !it.is_empty())
    else {
        println!("skipped: TOWER_INFERENCE_SHARED names no folder");
        return None;
    };
    let path = PathBuf::from(folder).join("corpus").join(file);
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
    Some(text.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}
