//! Bodies that arrive piece by piece, and end in one of three ways.

use axum::body::Body;
use futures::{future, stream};
use std::{io, time::Duration};

/// The time between two pieces.
const PACE: Duration = Duration::from_millis(60);

/// How a body ends.
#[derive(Clone, Copy)]
pub(super) enum Ending {
    /// As a complete body does.
    Clean,
    /// The connection is closed in the middle.
    Cut,
    /// Nothing more comes, and the connection stays.
    Silence,
}

/// Sends the pieces one after the other.
pub(super) fn play(pieces: Vec<String>, ending: Ending) -> Body {
    Body::from_stream(stream::unfold(pieces.into_iter(), move |mut pieces| async move {
        tokio::time::sleep(PACE).await;
        match (pieces.next(), ending) {
            (Some(piece), _) => Some((Ok(piece), pieces)),
            (None, Ending::Clean) => None,
            // A server whose body fails closes the connection.
            (None, Ending::Cut) => Some((Err(io::Error::other("cut on demand")), pieces)),
            (None, Ending::Silence) => future::pending().await,
        }
    }))
}
