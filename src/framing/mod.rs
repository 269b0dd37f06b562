//! How bytes on the wire are cut into events and members, without ever failing.
//!
//! Everything here is a function of bytes: any chunking, any garbage, bounded memory, linear time.
//! What is not understood is skipped or handed on, never refused, because an upstream's answer is
//! untrusted and a client must still be told something.
//!
//! * [`sse`]: the blocks of an event stream, and the fields of one block.
//! * [`ndjson`]: the lines of a stream of JSON texts.
//! * [`json`]: a JSON text read in place, member by member, without building a tree.
//! * [`json_keys`]: one top-level member of a JSON text that arrives in pieces.
//!
//! # Example: is this event an error?
//!
//! ```
//! use tower_inference::framing::{json::Json, sse::Event};
//!
//! let block = b"event: error\ndata: {\"error\":{\"message\":\"overloaded\"}}\n\n";
//! let event = Event::of(block);
//! assert_eq!(event.name(), Some(&b"error"[..]));
//!
//! let message = Json::of(&event.data()).get("error").get("message").string().map(String::from);
//! assert_eq!(message.as_deref(), Some("overloaded"));
//! ```

pub mod json;
pub(crate) mod json_index;
pub mod json_keys;
mod json_scan;
pub mod ndjson;
pub mod sse;
