//! The server: accepts connections, and leaves without cutting anybody off.

use axum::Router;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto::Builder, graceful::GracefulShutdown},
    service::TowerToHyperService,
};
use std::{future::Future, io, time::Duration};
use tokio::{
    net::TcpListener,
    pin, select,
    time::{sleep, timeout},
};

/// Longest wait for the requests in flight.
const DRAIN: Duration = Duration::from_secs(10);

/// Longest wait for the answers to those who came during the drain.
const LATE: Duration = Duration::from_secs(1);

/// The pause after a connection could not be accepted, mostly for want of file descriptors.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// Serves `app` until `stop` is ready, then calls `drain` and lets the requests in flight finish, for
/// at most ten seconds. Meanwhile others are still accepted: it is for the app to tell them that it
/// is going, which is better news than a refused connection.
pub(crate) async fn serve(
    listener: TcpListener,
    app: Router,
    stop: impl Future<Output = ()>,
    drain: impl FnOnce(),
) {
    let connections = GracefulShutdown::new();
    accept_until(stop, &listener, &app, &connections).await;
    drain();
    let late = GracefulShutdown::new();
    let finished = async {
        if timeout(DRAIN, connections.shutdown()).await.is_err() {
            eprintln!("some requests did not finish in time");
        }
    };
    accept_until(finished, &listener, &app, &late).await;
    drop(listener);
    // Whoever is slow here has been told to go already.
    _ = timeout(LATE, late.shutdown()).await;
}

async fn accept_until(
    stop: impl Future<Output = ()>,
    listener: &TcpListener,
    app: &Router,
    connections: &GracefulShutdown,
) {
    let mut server = Builder::new(TokioExecutor::new());
    // Without timers a client could send its headers for ever.
    server.http1().timer(TokioTimer::new());
    server.http2().timer(TokioTimer::new());
    pin!(stop);
    loop {
        let accepted = select! {
            accepted = listener.accept() => accepted,
            () = &mut stop => return,
        };
        let connection = match accepted {
            Ok((connection, _)) => connection,
            Err(error) => {
                accept_failed(&error).await;
                continue;
            }
        };
        // Events of a stream are small, and each is awaited by somebody.
        _ = connection.set_nodelay(true);
        let service = TowerToHyperService::new(app.clone());
        let connection = server.serve_connection(TokioIo::new(connection), service).into_owned();
        let connection = connections.watch(connection);
        // An error here is a connection that broke: nobody is left to be told.
        tokio::spawn(async move { _ = connection.await });
    }
}

async fn accept_failed(error: &io::Error) {
    let of_the_peer = matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
    );
    if !of_the_peer {
        eprintln!("cannot accept connections: {error}");
        sleep(ACCEPT_AGAIN).await;
    }
}

/// Ready when the process is asked to stop: SIGTERM, or ctrl-c.
///
/// # Errors
///
/// The signals cannot be listened to.
pub(crate) fn stop_signal() -> io::Result<impl Future<Output = ()>> {
    let interrupted = async {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    #[cfg(unix)]
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    #[cfg(unix)]
    let terminated = async move { _ = terminate.recv().await };
    #[cfg(not(unix))]
    let terminated = std::future::pending();
    Ok(async {
        select! {
            () = interrupted => {}
            () = terminated => {}
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream;
    use axum::{body::Body, http::Request, routing::get};
    use http_body_util::BodyExt;
    use std::{net::SocketAddr, sync::Arc};
    use tokio::{
        sync::{Notify, oneshot},
        task::JoinHandle,
        time::Instant,
    };

    struct Server {
        address: SocketAddr,
        slow_has_arrived: Arc<Notify>,
        slow_may_answer: Arc<Notify>,
        stop: oneshot::Sender<()>,
        served: JoinHandle<()>,
    }

    async fn start() -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let slow_has_arrived = Arc::new(Notify::new());
        let slow_may_answer = Arc::new(Notify::new());
        let (arrived, wait) = (Arc::clone(&slow_has_arrived), Arc::clone(&slow_may_answer));
        let slow = async move || {
            arrived.notify_one();
            wait.notified().await;
        };
        let app = Router::new().route("/slow", get(slow)).route("/fast", get(async || ()));
        let (stop, stopped) = oneshot::channel();
        let stopped = async { stopped.await.unwrap() };
        let served = tokio::spawn(serve(listener, app, stopped, || ()));
        Server { address, slow_has_arrived, slow_may_answer, stop, served }
    }

    /// One request on a connection of its own: its status, if it is answered.
    async fn status(address: SocketAddr, path: &str) -> Option<u16> {
        let client = upstream::client::<Body>(None).unwrap();
        let request = Request::get(format!("http://{address}{path}")).body(Body::empty()).unwrap();
        let response = client.request(request).await.ok()?;
        let status = response.status().as_u16();
        response.into_body().collect().await.ok().map(|_| status)
    }

    #[tokio::test]
    async fn requests_in_flight_finish_and_others_are_answered_meanwhile() {
        let server = start().await;
        let slow = tokio::spawn(status(server.address, "/slow"));
        server.slow_has_arrived.notified().await;
        server.stop.send(()).unwrap();
        sleep(Duration::from_millis(100)).await;
        assert_eq!(status(server.address, "/fast").await, Some(200));
        assert!(!slow.is_finished() && !server.served.is_finished());
        server.slow_may_answer.notify_one();
        assert_eq!(slow.await.unwrap(), Some(200));
        server.served.await.unwrap();
        assert_eq!(status(server.address, "/fast").await, None);
    }

    #[tokio::test]
    async fn a_server_with_nothing_to_finish_stops_at_once() {
        let server = start().await;
        assert_eq!(status(server.address, "/fast").await, Some(200));
        server.stop.send(()).unwrap();
        timeout(Duration::from_millis(500), server.served).await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn the_drain_ends_though_a_request_does_not() {
        let server = start().await;
        let slow = tokio::spawn(status(server.address, "/slow"));
        server.slow_has_arrived.notified().await;
        tokio::time::pause();
        let before = Instant::now();
        server.stop.send(()).unwrap();
        server.served.await.unwrap();
        assert!((DRAIN..DRAIN + LATE).contains(&before.elapsed()));
        assert!(!slow.is_finished());
    }
}
