//! Who asked: the dialect, the operation, and whether the request can take a body as its answer.

use super::{Dialect, OpenAi, Operation, operation::is_anthropic};
use crate::head::RequestHead;
use http::{Method, header};
use std::sync::Arc;

/// The dialect that one request is to be answered in, as an extension of the request.
///
/// Outranks the dialect of a layer, and what path and headers say. What is asked is still found from the
/// path: streams are watched where they would be without it.
///
/// ```
/// use http::Request;
/// use tower_inference::dialect::{Problem, RequestedDialect};
///
/// let request = Request::post("/v1/chat/completions").extension(RequestedDialect::new(Problem));
/// # let _ = request.body(());
/// ```
#[derive(Clone, Debug)]
pub struct RequestedDialect(Arc<dyn Dialect>);

impl RequestedDialect {
    /// This dialect.
    #[must_use]
    pub fn new(dialect: impl Dialect + 'static) -> Self {
        Self(Arc::new(dialect))
    }

    /// The dialect.
    #[must_use]
    pub fn get(&self) -> &dyn Dialect {
        &*self.0
    }
}

/// What must be remembered of a request to answer it in its own terms. Two words, `Copy`.
#[derive(Clone, Copy, Debug)]
pub struct Client {
    operation: Option<Operation>,
    kind: Kind,
}

/// What kind of answer a request can take.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    /// POST to a recognised path: a stream may be watched, an answer checked.
    Operation,
    /// Any other request.
    Plain,
    /// The same, from a client of the Anthropic API.
    Anthropic,
    /// HEAD: the head alone.
    Head,
    /// OPTIONS: always passes.
    Options,
    /// Upgrade or CONNECT: a bare status.
    Upgrade,
    /// gRPC: a status in the trailers.
    Grpc,
}

impl Client {
    /// Who sent this request.
    #[must_use]
    pub fn of(head: RequestHead<'_>) -> Self {
        let operation = Operation::of(head);
        let kind = match *head.method() {
            Method::POST if operation.is_some() => Kind::Operation,
            Method::HEAD => Kind::Head,
            Method::OPTIONS => Kind::Options,
            Method::CONNECT => Kind::Upgrade,
            _ if head.headers().contains_key(header::UPGRADE) => Kind::Upgrade,
            Method::POST if is_grpc(head.headers()) => Kind::Grpc,
            _ if is_anthropic(head) => Kind::Anthropic,
            _ => Kind::Plain,
        };
        Self { operation, kind }
    }

    /// The operation, if the path is one of those recognised and the method is POST.
    #[must_use]
    pub fn operation(self) -> Option<Operation> {
        self.operation.filter(|_| self.kind == Kind::Operation)
    }

    /// The dialect the request speaks; OpenAI's if nothing says otherwise, the one that most
    /// clients of unknown paths understand.
    #[must_use]
    pub fn dialect(self) -> &'static dyn Dialect {
        match (self.kind, self.operation) {
            (_, Some(operation)) => operation.dialect(),
            (Kind::Anthropic, None) => &super::Anthropic,
            _ => &OpenAi,
        }
    }

    /// Whether the dialect was recognised, from the path or the headers.
    #[must_use]
    pub fn is_recognised(self) -> bool {
        self.operation.is_some() || self.kind == Kind::Anthropic
    }

    /// Whether this is a CORS preflight or another OPTIONS request, which always passes.
    #[must_use]
    pub fn is_options(self) -> bool {
        self.kind == Kind::Options
    }

    /// Whether the request speaks gRPC.
    #[must_use]
    pub fn is_grpc(self) -> bool {
        self.kind == Kind::Grpc
    }

    pub(super) fn kind(self) -> Kind {
        self.kind
    }
}

/// Whether the content type is `application/grpc` or one of its variants.
pub(crate) fn is_grpc(headers: &http::HeaderMap) -> bool {
    let content_type = headers.get(header::CONTENT_TYPE);
    content_type.is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"))
}
