//! The center's HTTP API, as the operator's commands call it.
//!
//! The token is read from a file and travels in the `Authorization` header only. Nothing is retried: every request
//! may be repeated by the person who made it.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use center_agent::api::types::{BlobStored, ErrorBody, Published};
use clap::Args;
use flotilla_schemas::{Artifact, Digest};
use serde::Serialize;
use serde::de::DeserializeOwned;
use ureq::http::{Response, StatusCode};
use ureq::{Agent, Body, Timeout};

use crate::toml_file::read_bounded;

/// Where the center listens when nobody says.
pub const API: &str = "http://127.0.0.1:8080";

/// The environment's word for `--api`.
pub const API_ENV: &str = "FLOTILLA_API";

/// The environment's word for `--token-file`.
pub const TOKEN_FILE_ENV: &str = "FLOTILLA_TOKEN_FILE";

/// The longest that a request may take; an upload takes longest.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(120);

/// The longest that a publication may take: a center first proves what it was given before, and then proves the release
/// anew, with all its apps to be compiled.
const PUBLISH_TIMEOUT: Duration = Duration::from_secs(600);

/// The largest answer that is read, in bytes.
const ANSWER_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// The largest token file, in bytes.
const TOKEN_BYTES_MAX: u64 = 4096;

/// Which center, and the right to speak to it.
#[derive(Debug, Clone, Args)]
pub struct Api {
    /// The center's HTTP API [env: FLOTILLA_API] [default: http://127.0.0.1:8080]
    #[arg(long, value_name = "URL")]
    pub api: Option<String>,
    /// The file with the center's token, DATA/api.token of its data folder [env: FLOTILLA_TOKEN_FILE]
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
}

/// All things of one kind.
#[derive(Debug, Args)]
pub struct List {
    /// Print one a line as JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub api: Api,
}

/// Why the center did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The address is no URL that can be spoken to.
    #[error("use {0:?} as the center's address: it is not of the form http://HOST:PORT")]
    Url(String),
    /// Nobody said which token.
    #[error(
        "find the center's token: pass --token-file FILE or set {TOKEN_FILE_ENV}; the file is api.token in the \
         center's data folder (what `flotilla center --data` names)"
    )]
    NoToken,
    /// The token file could not be read, or holds no token.
    #[error("read the center's token from {path}")]
    Token {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        cause: io::Error,
    },
    /// No answer.
    #[error(
        "reach the center at {api}: {cause}; is it running there? (--api URL or {API_ENV} names another)"
    )]
    Unreachable {
        /// The center's address.
        api: String,
        /// Why.
        cause: Box<ureq::Error>,
    },
    /// No answer in time.
    #[error(
        "wait any longer for the center at {0}: it may still do what it was asked; look before you ask again"
    )]
    Silent(String),
    /// The center said no. Its reasons read after "failed to" as ours do.
    #[error("{0}")]
    Refused(Refusal),
    /// The answer is not of the expected form.
    #[error("understand the center's answer to {what}: is it of another version? ({cause})")]
    Answer {
        /// What was asked for.
        what: String,
        /// Why.
        cause: String,
    },
}

/// Why the center's answer is not on the screen.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// There is none.
    #[error(transparent)]
    Center(#[from] ClientError),
    /// Standard output is gone.
    #[error("print")]
    Print(#[from] io::Error),
}

/// A center's no.
#[derive(Debug)]
pub struct Refusal {
    /// The HTTP status.
    pub status: u16,
    /// Its reasons.
    pub body: ErrorBody,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.body.error)?;
        if self.status == StatusCode::UNAUTHORIZED.as_u16() {
            write!(f, "; it is api.token in the center's data folder")?;
        }
        self.body.details.iter().try_for_each(|detail| write!(f, "\n  {detail}"))
    }
}

/// A center that can be spoken to.
#[derive(Debug, Clone)]
pub struct Client {
    api: String,
    token: String,
    agent: Agent,
}

impl Api {
    /// Reads the token. Whether the center answers shows with the first request.
    pub fn client(&self) -> Result<Client, ClientError> {
        let api = self.api.clone().or_else(|| std::env::var(API_ENV).ok()).unwrap_or_else(|| API.to_owned());
        let api = api.trim_end_matches('/');
        let api = if api.contains("://") { api.to_owned() } else { format!("http://{api}") };
        if !api.strip_prefix("http://").is_some_and(|rest| !rest.is_empty() && !rest.contains('/')) {
            return Err(ClientError::Url(api));
        }
        let path = self.token_file.clone().or_else(|| std::env::var_os(TOKEN_FILE_ENV).map(PathBuf::from));
        let path = path.ok_or(ClientError::NoToken)?;
        let token = read_token(&path).map_err(|cause| ClientError::Token { path, cause })?;
        let config =
            Agent::config_builder().http_status_as_error(false).timeout_global(Some(REQUEST_TIMEOUT));
        Ok(Client { api, token, agent: config.build().into() })
    }
}

fn read_token(path: &std::path::Path) -> io::Result<String> {
    let text = String::from_utf8(read_bounded(path, TOKEN_BYTES_MAX)?);
    let token = text.map(|text| text.trim().to_owned()).unwrap_or_default();
    if token.is_empty() || !token.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(io::Error::other("it holds no token: one line of printable ASCII"));
    }
    Ok(token)
}

impl Client {
    /// The center's address.
    pub fn api(&self) -> &str {
        &self.api
    }

    /// Asks for `/v1/PATH`.
    pub fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        let what = format!("get {path}");
        let sent = self.agent.get(self.url(path)).header("Authorization", self.bearer()).call();
        self.read(what, self.answered(sent)?)
    }

    /// Puts a body to `/v1/PATH`.
    pub fn put<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, ClientError> {
        let request = self.agent.put(self.url(path)).header("Authorization", self.bearer());
        self.read(format!("put {path}"), self.answered(request.send_json(body))?)
    }

    /// Posts a body to `/v1/PATH`.
    pub fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, ClientError> {
        let request = self.agent.post(self.url(path)).header("Authorization", self.bearer());
        self.read(format!("post {path}"), self.answered(request.send_json(body))?)
    }

    /// Posts a signed release to `/v1/PATH`, which the center proves before it answers.
    pub fn publish(&self, path: &str, release: &impl Serialize) -> Result<Published, ClientError> {
        let request = self.agent.post(self.url(path)).header("Authorization", self.bearer());
        let request = request.config().timeout_global(Some(PUBLISH_TIMEOUT)).build();
        self.read(format!("publish to {path}"), self.answered(request.send_json(release))?)
    }

    /// Deletes at `/v1/PATH` what the body names.
    pub fn delete<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, ClientError> {
        let request = self.agent.delete(self.url(path)).header("Authorization", self.bearer());
        self.read(format!("delete {path}"), self.answered(request.force_send_body().send_json(body))?)
    }

    /// Whether the center has these bytes.
    pub fn has_blob(&self, digest: Digest) -> Result<bool, ClientError> {
        let sent = self
            .agent
            .head(self.url(&format!("blobs/{digest}")))
            .header("Authorization", self.bearer())
            .call();
        let answer = self.answered(sent)?;
        match answer.status() {
            StatusCode::NOT_FOUND => Ok(false),
            status if status.is_success() => Ok(true),
            _ => self.read(format!("look for the blob {}", digest.short()), answer),
        }
    }

    /// Gives the center these bytes.
    pub fn put_blob(&self, bytes: &[u8]) -> Result<BlobStored, ClientError> {
        let request = self.agent.post(self.url("blobs")).header("Authorization", self.bearer());
        let sent = request.content_type("application/octet-stream").send(bytes);
        self.read(format!("upload {} bytes", bytes.len()), self.answered(sent)?)
    }

    /// The bytes of an artifact that the center has, checked against what its publisher signed.
    pub fn blob(&self, artifact: &Artifact) -> Result<Vec<u8>, ClientError> {
        let what = format!("get the blob {}", artifact.digest.short());
        let url = self.url(&format!("blobs/{}", artifact.digest));
        let mut answer = self.answered(self.agent.get(url).header("Authorization", self.bearer()).call())?;
        if !answer.status().is_success() {
            return self.read(what, answer);
        }
        let wrong = |cause: String| ClientError::Answer { what: what.clone(), cause };
        let bytes = answer.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_vec();
        let bytes = bytes.map_err(|error| wrong(error.to_string()))?;
        artifact.verify(&bytes).map_err(|error| wrong(error.to_string()))?;
        Ok(bytes)
    }

    fn url(&self, path: &str) -> String {
        format!("{}/v1/{path}", self.api)
    }

    fn bearer(&self) -> String {
        format!("Bearer {}", self.token)
    }

    fn answered(&self, sent: Result<Response<Body>, ureq::Error>) -> Result<Response<Body>, ClientError> {
        sent.map_err(|cause| match cause {
            ureq::Error::Timeout(Timeout::Global) => ClientError::Silent(self.api.clone()),
            cause => ClientError::Unreachable { api: self.api.clone(), cause: cause.into() },
        })
    }

    fn read<T: DeserializeOwned>(&self, what: String, mut answer: Response<Body>) -> Result<T, ClientError> {
        let status = answer.status();
        let text = answer.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_string();
        let text = text.map_err(|e| ClientError::Answer { what: what.clone(), cause: e.to_string() })?;
        if status.is_success() {
            return serde_json::from_str(&text)
                .map_err(|e| ClientError::Answer { what, cause: e.to_string() });
        }
        let unknown = |_| ErrorBody { error: format!("{what}: the answer is {status}"), details: Vec::new() };
        let body = serde_json::from_str(&text).unwrap_or_else(unknown);
        Err(ClientError::Refused(Refusal { status: status.as_u16(), body }))
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use super::*;

    /// A center that gives one answer and hands back the request.
    fn center(status: &str, body: &str) -> (Client, std::thread::JoinHandle<String>) {
        slow_center(Duration::ZERO, status, body)
    }

    /// One that takes its time.
    fn slow_center(time: Duration, status: &str, body: &str) -> (Client, std::thread::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let api = format!("http://{}", listener.local_addr().unwrap());
        let length = body.len();
        let answer =
            format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}");
        let served = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut buffer = [0; 4096];
            let count = stream.read(&mut buffer).unwrap();
            std::thread::sleep(time);
            stream.write_all(answer.as_bytes()).unwrap();
            String::from_utf8_lossy(&buffer[..count]).into_owned()
        });
        (client(api, "secret\n"), served)
    }

    fn client(api: String, token: &str) -> Client {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("api.token");
        std::fs::write(&file, token).unwrap();
        Api { api: Some(api), token_file: Some(file) }.client().unwrap()
    }

    #[test]
    fn the_token_travels_with_every_request() {
        let (client, served) = center("200 OK", "[1,2]");
        assert_eq!(client.get::<Vec<u32>>("edges").unwrap(), [1, 2]);
        let request = served.join().unwrap().to_lowercase();
        assert!(request.starts_with("get /v1/edges http/1.1\r\n"), "{request}");
        assert!(request.contains("authorization: bearer secret\r\n"), "{request}");
    }

    #[test]
    fn a_refusal_is_told_with_all_its_reasons() {
        let body = r#"{"error": "start x: 2 errors", "details": ["e7 is not known", "e8 is not known"]}"#;
        let error = center("422 Unprocessable Entity", body).0.get::<()>("edges").unwrap_err().to_string();
        assert_eq!(error, "start x: 2 errors\n  e7 is not known\n  e8 is not known");
        let error =
            center("401 Unauthorized", r#"{"error": "wrong token"}"#).0.get::<()>("edges").unwrap_err();
        assert!(error.to_string().contains("it is api.token in the center's data folder"), "{error}");
        let error = center("502 Bad Gateway", "<html>").0.get::<()>("edges").unwrap_err().to_string();
        assert_eq!(error, "get edges: the answer is 502 Bad Gateway");
    }

    #[test]
    fn an_answer_of_another_form_is_no_panic() {
        let error = center("200 OK", "{}").0.get::<Vec<u32>>("edges").unwrap_err().to_string();
        assert!(error.starts_with("understand the center's answer to get edges"), "{error}");
    }

    #[test]
    fn nobody_listening_is_told_with_the_way_out() {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let error = client(format!("http://{port}/"), "t").get::<()>("edges").unwrap_err().to_string();
        assert!(error.contains("is it running there?") && error.contains("--api"), "{error}");
    }

    #[test]
    fn a_publication_is_waited_for_longer_than_anything_else() {
        let (time, digest) = (Duration::from_millis(400), flotilla_schemas::Digest::of(b""));
        let body = format!("{{\"release\": \"{digest}\", \"catalog\": 1, \"new\": true}}");
        let hasty = |(client, _): (Client, _)| {
            let config = Agent::config_builder().timeout_global(Some(time / 4));
            Client { agent: config.build().into(), ..client }
        };
        assert!(hasty(slow_center(time, "200 OK", &body)).publish("apps", &1).unwrap().new);
        let error = hasty(slow_center(time, "200 OK", &body)).get::<()>("edges").unwrap_err().to_string();
        assert!(error.starts_with("wait any longer for the center at http://"), "{error}");
    }

    #[test]
    fn a_bad_address_or_token_is_refused_before_anything_is_sent() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("token");
        let api = |api: &str| Api { api: Some(api.into()), token_file: Some(file.clone()) };
        assert!(matches!(api("https://x").client(), Err(ClientError::Url(_))));
        for taken in ["http://x", "http://x/", "127.0.0.1:8080"] {
            assert!(matches!(api(taken).client(), Err(ClientError::Token { .. })), "{taken}");
        }
        for bad in ["", "\n", "two words", "ü"] {
            std::fs::write(&file, bad).unwrap();
            assert!(matches!(api("http://x").client(), Err(ClientError::Token { .. })), "{bad:?}");
        }
    }
}
