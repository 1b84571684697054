//! The door of the HTTP API: how many come in at once, and how long they may take to say what they want.
//!
//! A connection that has no place yet waits in the system's queue. One that sends no whole head of a request in time
//! is closed, so who says nothing takes nobody's place for long.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The most connections at once.
pub const CONNECTIONS_MAX: usize = 256;

/// How long the head of a request may take, from when its connection is free for it.
pub const HEAD_TIME_MAX: Duration = Duration::from_secs(30);

/// How long nobody is let in after the system had no place for a connection.
const PAUSE: Duration = Duration::from_millis(100);

/// A door.
pub(crate) struct Door {
    places: Arc<Semaphore>,
    http: http1::Builder,
    leaving: GracefulShutdown,
}

impl Door {
    pub fn new() -> Self {
        Self::with(CONNECTIONS_MAX, HEAD_TIME_MAX)
    }

    fn with(connections_max: usize, head_time_max: Duration) -> Self {
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new()).header_read_timeout(head_time_max);
        Self { places: Arc::new(Semaphore::new(connections_max)), http, leaving: GracefulShutdown::new() }
    }

    /// Lets in whoever comes until `stop`; comes back when requests under way are answered.
    pub async fn serve(self, listener: TcpListener, router: Router, stop: impl Future<Output = ()>) {
        tokio::pin!(stop);
        loop {
            tokio::select! {
                () = &mut stop => break,
                Some((stream, place)) = self.admit(&listener) => self.let_in(stream, place, router.clone()),
            }
        }
        drop(listener);
        self.leaving.shutdown().await;
    }

    /// The next who comes, once there is a place.
    async fn admit(&self, listener: &TcpListener) -> Option<(TcpStream, OwnedSemaphorePermit)> {
        loop {
            let place = self.places.clone().acquire_owned().await.ok()?;
            match listener.accept().await {
                Ok((stream, _)) => return Some((stream, place)),
                Err(error) => {
                    tracing::warn!(%error, "no place for a connection to the API");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    fn let_in(&self, stream: TcpStream, place: OwnedSemaphorePermit, router: Router) {
        let connection = self.http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
        let connection = self.leaving.watch(connection);
        tokio::spawn(async move {
            let _place = place;
            // What fails is this one connection.
            _ = connection.await;
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::routing::get;
    use std::net::SocketAddr;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";

    async fn open(connections_max: usize, head_time_max: Duration) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().route("/", get(async || "here"));
        let door = Door::with(connections_max, head_time_max);
        tokio::spawn(door.serve(listener, router, std::future::pending()));
        address
    }

    async fn ask(stream: &mut TcpStream) -> String {
        stream.write_all(REQUEST).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn who_says_nothing_is_shown_out() {
        let address = open(1, Duration::from_millis(20)).await;
        let mut silent = TcpStream::connect(address).await.unwrap();
        silent.write_all(b"GET / HTTP/1.1\r\nHost:").await.unwrap();
        let mut rest = Vec::new();
        _ = silent.read_to_end(&mut rest).await;
        let mut other = TcpStream::connect(address).await.unwrap();
        assert!(ask(&mut other).await.ends_with("here"), "its place is free again");
    }

    #[tokio::test]
    async fn who_finds_no_place_waits_for_one() {
        let address = open(1, Duration::from_secs(3600)).await;
        let first = TcpStream::connect(address).await.unwrap();
        let mut second = TcpStream::connect(address).await.unwrap();
        let early = tokio::time::timeout(Duration::from_millis(50), ask(&mut second)).await;
        assert!(early.is_err(), "it has no place yet");
        drop(first);
        let mut third = TcpStream::connect(address).await.unwrap();
        assert!(ask(&mut third).await.ends_with("here"));
    }
}
