//! A proxy with the layers, and without: `proxy STACK UPSTREAM`, driven by `run.py` beside it.
//!
//! It has one thread, prints its address, and ends with its standard input.

use axum::{
    Router,
    middleware::{Next, from_fn},
};
use futures::future::{BoxFuture, FutureExt};
use http::{Request, Response, Uri, uri::Authority};
use http_body::Body;
use hyper::{body::Incoming, server::conn::http1};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioIo},
    service::TowerToHyperService,
};
use std::{
    convert::Infallible,
    env,
    io::{self, Read},
    thread,
};
use tokio::{net::TcpListener, select, sync::oneshot};
use tower::{
    BoxError, Layer, Service,
    layer::util::{Identity, Stack},
    service_fn,
};
use tower_inference::{ErrorNormalizationLayer, ModelRegistry, ReadinessLayer};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    let mut arguments = env::args().skip(1);
    let (Some(stack), Some(upstream)) = (arguments.next(), arguments.next()) else {
        return Err("usage: proxy STACK UPSTREAM".into());
    };
    let upstream: Authority = upstream.parse()?;
    let router = Router::new().fallback_service(proxy(upstream.clone()));
    match &*stack {
        "bare" => serve(proxy(upstream)).await,
        "layers" => serve(layers().layer(proxy(upstream))).await,
        "router" => serve(router).await,
        "router, identity" => serve(router.layer(Identity::new())).await,
        "router, from_fn" => serve(router.layer(from_fn(run_next))).await,
        "router, layers" => serve(router.layer(layers())).await,
        _ => Err("no such stack".into()),
    }
}

fn layers() -> Stack<ReadinessLayer<ModelRegistry>, ErrorNormalizationLayer> {
    Stack::new(ReadinessLayer::new(ModelRegistry::new()), ErrorNormalizationLayer::new())
}

async fn run_next(request: axum::extract::Request, next: Next) -> axum::response::Response {
    next.run(request).await
}

type Answer = Result<Response<Incoming>, Infallible>;

/// Passes requests on to the upstream, which is there.
fn proxy<B>(
    upstream: Authority,
) -> impl Service<
    Request<B>,
    Response = Response<Incoming>,
    Error = Infallible,
    Future = BoxFuture<'static, Answer>,
> + Clone
+ Send
+ Sync
+ 'static
where
    B: Body<Data: Send, Error: Into<BoxError>> + Send + Unpin + 'static,
{
    let client: Client<HttpConnector, B> = Client::builder(TokioExecutor::new()).build_http();
    service_fn(move |mut request: Request<B>| {
        let mut uri = request.uri().clone().into_parts();
        uri.scheme = Some(http::uri::Scheme::HTTP);
        uri.authority = Some(upstream.clone());
        *request.uri_mut() = Uri::from_parts(uri).expect("has all parts");
        let answer = client.request(request);
        async { Ok(answer.await.expect("the upstream answers")) }.boxed()
    })
}

async fn serve<S, B>(service: S) -> Result<(), BoxError>
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible, Future: Send>
        + Clone
        + Send
        + 'static,
    B: Body<Data: Send, Error: Into<BoxError>> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?);
    let (end, mut ended) = oneshot::channel();
    thread::spawn(move || {
        _ = io::stdin().read(&mut [0]);
        _ = end.send(());
    });
    loop {
        let connection = select! {
            accepted = listener.accept() => accepted?.0,
            _ = &mut ended => return Ok(()),
        };
        connection.set_nodelay(true)?;
        let service = TowerToHyperService::new(service.clone());
        let served = http1::Builder::new().serve_connection(TokioIo::new(connection), service);
        tokio::spawn(served);
    }
}
