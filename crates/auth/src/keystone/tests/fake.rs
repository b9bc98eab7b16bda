//! A Keystone that does on command what a real one does by accident.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// How a question is answered.
#[derive(Debug, Clone)]
pub(super) enum Manner {
    /// As Keystone does.
    Well,
    /// Well, but late.
    Late(Duration),
    /// With this status and body.
    Otherwise(u16, String),
    /// Not at all.
    Never,
    /// By closing the connection.
    Cut,
    /// By closing the connection this once.
    CutOnce,
}

pub(super) struct World {
    /// What Keystone knows of tokens.
    pub(super) tokens: HashMap<String, Value>,
    /// How questions about tokens are answered.
    pub(super) manner: Manner,
    /// How the service user's wish for a token is answered.
    pub(super) login: Manner,
    /// Tokens of the service user's that are taken.
    pub(super) own: Vec<String>,
    /// Seconds that they live.
    pub(super) own_life: i64,
    /// How often tokens were asked about.
    pub(super) validations: usize,
    /// How often the service user asked for a token.
    pub(super) logins: usize,
    /// Everything that was received.
    pub(super) heard: String,
}

#[derive(Clone)]
pub(super) struct Fake {
    pub(super) address: SocketAddr,
    world: Arc<Mutex<World>>,
}

impl Fake {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let world = World {
            tokens: HashMap::new(),
            manner: Manner::Well,
            login: Manner::Well,
            own: Vec::new(),
            own_life: 3_600,
            validations: 0,
            logins: 0,
            heard: String::new(),
        };
        let fake = Self { address, world: Arc::new(Mutex::new(world)) };
        let serving = fake.clone();
        tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                tokio::spawn(serving.clone().serve(connection));
            }
        });
        fake
    }

    pub(super) fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap()
    }

    /// Serves a connection until the client closes it.
    async fn serve(self, mut connection: TcpStream) {
        let mut heard = Vec::new();
        loop {
            let mut buffer = [0; 16_384];
            match connection.read(&mut buffer).await {
                Ok(0) | Err(_) => return,
                Ok(length) => heard.extend_from_slice(&buffer[..length]),
            }
            let text = String::from_utf8_lossy(&heard).into_owned();
            let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
            if body.len() < header(head, "content-length").parse().unwrap_or(0) {
                continue;
            }
            heard.clear();
            let (manner, well) = self.answer(head, body);
            let answer = match manner {
                Manner::Well => well,
                Manner::Late(wait) => {
                    tokio::time::sleep(wait).await;
                    well
                }
                Manner::Otherwise(status, body) => http(status, "", &body),
                Manner::Never => std::future::pending().await,
                Manner::Cut | Manner::CutOnce => return,
            };
            if connection.write_all(answer.as_bytes()).await.is_err() {
                return;
            }
        }
    }

    fn answer(&self, head: &str, body: &str) -> (Manner, String) {
        let mut world = self.world();
        world.heard += head;
        world.heard += body;
        assert!(head.split(' ').nth(1) == Some("/identity/v3/auth/tokens?nocatalog"), "{head}");
        if head.starts_with("POST ") {
            world.logins += 1;
            let own = format!("own-{}", world.logins);
            world.own.push(own.clone());
            let ends = chrono::Utc::now() + chrono::TimeDelta::seconds(world.own_life);
            let body = json!({"token": {"expires_at": ends}}).to_string();
            return (world.login.clone(), http(201, &format!("X-Subject-Token: {own}\r\n"), &body));
        }
        world.validations += 1;
        let answer = if !world.own.contains(&header(head, "x-auth-token")) {
            http(401, "", &complaint(401))
        } else if let Some(token) = world.tokens.get(&header(head, "x-subject-token")) {
            http(200, "", &json!({ "token": token }).to_string())
        } else {
            http(404, "", &complaint(404))
        };
        let manner = world.manner.clone();
        if matches!(manner, Manner::CutOnce) {
            world.manner = Manner::Well;
        }
        (manner, answer)
    }
}

/// What Keystone says beside a status.
pub(super) fn complaint(status: u16) -> String {
    json!({"error": {"code": status, "message": "Because.", "title": "Title"}}).to_string()
}

fn http(status: u16, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status} Whatever\r\nContent-Length: {}\r\n{headers}\r\n{body}", body.len())
}

fn header(head: &str, name: &str) -> String {
    let headers = head.lines().filter_map(|line| line.split_once(':'));
    let mut found = headers.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim().to_owned());
    found.next().unwrap_or_default()
}
