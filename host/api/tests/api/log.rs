//! Covers: `GET /log/`: the lines that are kept, by severity and id, for administrators alone.

use std::sync::Arc;

use ocellus_api::{ApiConfig, LogLevel, RecentLog};
use ocellus_core::{SystemClock, Timestamp};
use ocellus_store::{NewToken, Scope, Tokens};
use reqwest::Method;
use serde_json::{Value, json};

use crate::server::Server;

async fn with_three_lines() -> Server {
    let log = RecentLog::default();
    for (level, text) in [(LogLevel::Info, "begun"), (LogLevel::Error, "broken"), (LogLevel::Warn, "odd")] {
        log.add(Timestamp::UNIX_EPOCH, level, text.into());
    }
    Server::with(ApiConfig { log, ..ApiConfig::default() }, Arc::new(SystemClock)).await
}

async fn texts(server: &Server, query: &str) -> Vec<Value> {
    let page = server.get(&format!("/log/{query}")).await.expect(200).json();
    page["results"].as_array().unwrap().iter().map(|line| line["text"].clone()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_are_chosen_by_severity_and_id() {
    let server = with_three_lines().await;
    assert_eq!(texts(&server, "").await, ["begun", "broken", "odd"]);
    assert_eq!(texts(&server, "?level=warn").await, ["broken", "odd"]);
    assert_eq!(texts(&server, "?level=error").await, ["broken"]);
    assert_eq!(texts(&server, "?after=2").await, ["odd"]);
    assert_eq!(texts(&server, "?level=error&after=2").await, Vec::<Value>::new());
    let first = server.get("/log/").await.expect(200).json()["results"][0].clone();
    assert_eq!(first, json!({"id": 1, "time": "1970-01-01T00:00:00Z", "level": "info", "text": "begun"}));
    server.get("/log/?level=fatal").await.refuses("level");
    server.get("/log/?after=last").await.refuses("after");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_is_for_administrators() {
    let server = with_three_lines().await;
    let tokens = Tokens::new(&server.data());
    for (scope, status) in [(Scope::Read, 403), (Scope::Operate, 403), (Scope::Admin, 200)] {
        let new = NewToken { name: format!("its-{scope}"), scope, expires: None, session: None };
        let secret = format!("secret-of-{scope}");
        tokens.add(new, &secret, Timestamp::now()).unwrap();
        let request = server.request(Method::GET, "/log/").header("authorization", format!("Token {secret}"));
        server.send(request).await.expect(status);
    }
}
