//! Events that have been read, but not sent.

use bytes::Bytes;
use std::collections::VecDeque;

/// Frames, and how many bytes they have: they are counted, since a frame may be as small as a byte. Boxed,
/// since few streams have any behind their head.
#[derive(Debug, Default)]
pub(super) struct Queue(Option<Box<(VecDeque<Bytes>, usize)>>);

impl Queue {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// The bytes of all frames since it was empty.
    pub(super) fn bytes(&self) -> usize {
        self.0.as_ref().map_or(0, |queue| queue.1)
    }

    /// Adds a frame, if there is anything in it.
    pub(super) fn push(&mut self, frame: Bytes) {
        if !frame.is_empty() {
            let (frames, bytes) = &mut **self.0.get_or_insert_default();
            *bytes += frame.len();
            frames.push_back(frame);
        }
    }

    pub(super) fn pop(&mut self) -> Option<Bytes> {
        let frames = &mut self.0.as_mut()?.0;
        let frame = frames.pop_front();
        if frames.is_empty() {
            self.0 = None;
        }
        frame
    }
}
