//! Hands requests on to the upstream, and its answers back, both as streams.

use crate::upstream::{HttpClient, Upstream};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Request, Response, Version, header};
use http_body::Body;
use hyper::{body::Incoming, ext::ReasonPhrase};
use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};
use tower::{BoxError, Service};
use tower_inference::{Category, InferenceError};

/// Headers that are about one connection, not about the message.
const HOP_BY_HOP: [HeaderName; 8] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    HeaderName::from_static("proxy-connection"),
    header::TE,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// The service in the middle of the stack: an answer of the upstream as it is, or an error if there
/// is none.
pub(crate) struct Proxy<B> {
    client: HttpClient<B>,
    upstream: Upstream,
}

impl<B> Proxy<B> {
    pub(crate) fn new(client: HttpClient<B>, upstream: Upstream) -> Self {
        Self { client, upstream }
    }
}

// Not derived: that would ask for a body that can be cloned.
impl<B> Clone for Proxy<B> {
    fn clone(&self) -> Self {
        Self { client: self.client.clone(), upstream: self.upstream.clone() }
    }
}

impl<B> Service<Request<B>> for Proxy<B>
where
    B: Body + Send + Unpin + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    type Response = Response<Incoming>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let address = self.upstream.address(request.uri());
        let client = self.client.clone();
        Box::pin(async move {
            *request.uri_mut() = address.map_err(|_| {
                InferenceError::new(Category::InvalidRequest, "the address is too long")
            })?;
            // The version belongs to a connection; the client knows what its own speaks.
            *request.version_mut() = Version::HTTP_11;
            request_headers(request.headers_mut());
            let mut response = client.request(request).await?;
            *response.version_mut() = Version::HTTP_11;
            // It belongs to a status that may be replaced.
            response.extensions_mut().remove::<ReasonPhrase>();
            remove_hop_by_hop(response.headers_mut());
            Ok(response)
        })
    }
}

fn request_headers(headers: &mut HeaderMap) {
    let trailers = accepts_trailers(headers);
    remove_hop_by_hop(headers);
    if trailers {
        headers.insert(header::TE, HeaderValue::from_static("trailers"));
    }
    // The client writes it anew, from the address.
    headers.remove(header::HOST);
    // What is compressed cannot be read, and a stream must be.
    headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
}

/// Whether `te` says so: gRPC insists on it.
fn accepts_trailers(headers: &HeaderMap) -> bool {
    tokens(headers, &header::TE).any(|token| token.eq_ignore_ascii_case("trailers"))
}

/// Removes the headers of the connection, and those that `connection` names. `trailer` stays, and so
/// do the trailers.
fn remove_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = tokens(headers, &header::CONNECTION)
        .filter_map(|token| token.parse().ok())
        .filter(|name| name != header::CONTENT_LENGTH)
        .collect();
    for name in HOP_BY_HOP.into_iter().chain(named) {
        headers.remove(name);
    }
}

/// The members of a header that is a list of words.
fn tokens<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream;
    use axum::{
        Router,
        body::{Body as AxumBody, Bytes},
    };
    use futures::{SinkExt, StreamExt, channel::mpsc, stream};
    use http_body_util::BodyExt;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };
    use tower::ServiceExt;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|&(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect()
    }

    #[test]
    fn only_the_headers_of_the_message_are_handed_on() {
        let mut request = headers(&[
            ("host", "gateway"),
            ("connection", "close, X-Hop"),
            ("x-hop", "1"),
            ("keep-alive", "timeout=5"),
            ("upgrade", "h2c"),
            ("transfer-encoding", "chunked"),
            ("accept-encoding", "gzip, br"),
            ("authorization", "Bearer key"),
            ("trailer", "x-checksum"),
            ("x-request-id", "1"),
        ]);
        request_headers(&mut request);
        let expected = headers(&[
            ("accept-encoding", "identity"),
            ("authorization", "Bearer key"),
            ("trailer", "x-checksum"),
            ("x-request-id", "1"),
        ]);
        assert_eq!(request, expected);
    }

    #[test]
    fn te_is_handed_on_only_as_far_as_it_asks_for_trailers() {
        for (te, expected) in [("trailers", true), ("gzip, Trailers", true), ("gzip", false)] {
            let mut request = headers(&[("te", te)]);
            request_headers(&mut request);
            assert_eq!(request.get("te").is_some_and(|te| te == "trailers"), expected, "{te}");
        }
    }

    #[test]
    fn a_connection_header_cannot_unframe_the_message() {
        let mut response =
            headers(&[("connection", "content-length, ,@"), ("content-length", "2")]);
        remove_hop_by_hop(&mut response);
        assert_eq!(response, headers(&[("content-length", "2")]));
    }

    /// A proxy of a server that says what it got.
    async fn echo(base: &str) -> Proxy<AxumBody> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let upstream = format!("http://{}{base}", listener.local_addr().unwrap());
        let router = Router::new().fallback(async |request: Request<AxumBody>| {
            let (head, body) = request.into_parts();
            let line = format!("{} {} {:?} ", head.method, head.uri, head.headers.get("x-a"));
            let line = stream::iter([Ok(Bytes::from(line))]);
            let headers = [("connection", "x-hop"), ("x-hop", "1"), ("x-end", "1")];
            (headers, AxumBody::from_stream(line.chain(body.into_data_stream())))
        });
        tokio::spawn(async move { axum::serve(listener, router).await });
        Proxy::new(upstream::client(None).unwrap(), upstream.parse().unwrap())
    }

    #[tokio::test]
    async fn method_path_query_headers_and_body_arrive() {
        let request = Request::put("/v1/files?purpose=batch%20x")
            .version(Version::HTTP_2)
            .header("host", "gateway")
            .header("x-a", "b")
            .body(AxumBody::from("content"))
            .unwrap();
        let response = echo("/base").await.oneshot(request).await.unwrap();
        assert_eq!(response.headers().get("x-end").unwrap(), "1");
        assert!(!response.headers().contains_key("x-hop"));
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(body, r#"PUT /base/v1/files?purpose=batch%20x Some("b") content"#);
    }

    #[tokio::test]
    async fn bodies_are_streamed_both_ways_at_once() {
        let (mut sender, receiver) = mpsc::channel::<Result<Bytes, BoxError>>(1);
        let request = Request::post("/").body(AxumBody::from_stream(receiver)).unwrap();
        let response = echo("").await.oneshot(request).await.unwrap();
        let mut body = response.into_body();
        let mut data = async || body.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(data().await, "POST / None ");
        for piece in ["one", "two"] {
            sender.send(Ok(piece.into())).await.unwrap();
            assert_eq!(data().await, piece);
        }
    }

    #[tokio::test]
    async fn a_reason_of_the_upstream_does_not_outlive_its_status() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let upstream = Upstream::at(listener.local_addr().unwrap());
        let proxy = Proxy::new(upstream::client(None).unwrap(), upstream);
        tokio::spawn(async move {
            let (mut connection, _) = listener.accept().await.unwrap();
            let answer = b"HTTP/1.1 503 Fine\r\ncontent-length: 0\r\n\r\n";
            assert!(connection.read(&mut [0; 1024]).await.unwrap() > 0);
            connection.write_all(answer).await.unwrap();
        });
        let response = proxy.oneshot(Request::new(AxumBody::empty())).await.unwrap();
        assert_eq!(response.status(), 503);
        assert!(response.extensions().get::<ReasonPhrase>().is_none());
    }

    #[tokio::test]
    async fn an_upstream_that_is_not_there_is_an_error() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let nobody = Upstream::at(listener.local_addr().unwrap());
        drop(listener);
        let proxy = Proxy::new(upstream::client(None).unwrap(), nobody);
        assert!(proxy.oneshot(Request::new(AxumBody::empty())).await.is_err());
    }

    #[tokio::test]
    async fn an_address_too_long_for_the_upstream_is_the_fault_of_the_request() {
        let path = format!("/{}", "a".repeat(65_000));
        let request = Request::get(path).body(AxumBody::empty()).unwrap();
        let base = format!("/{}", "b".repeat(1000));
        let error = echo(&base).await.oneshot(request).await.unwrap_err();
        let error = error.downcast::<InferenceError>().unwrap();
        assert_eq!(error.category(), Category::InvalidRequest);
    }
}
