//! Who made an error.

/// Who made an error.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Origin {
    /// A readiness gate refused the request.
    Readiness,
    /// The inner tower service failed, or did not answer in time.
    Service,
    /// The upstream said so.
    Upstream,
    /// The answer began, then its stream broke.
    Stream,
}

impl Origin {
    /// The name in snake case, as it is written into answers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Readiness => "readiness",
            Self::Service => "service",
            Self::Upstream => "upstream",
            Self::Stream => "stream",
        }
    }
}
