//! `ocellus token`: tokens beside the admin token. Works on the data folder, so that it needs no
//! running server and no token; a running server applies changes at once.

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use comfy_table::{Table, presets::NOTHING};
use ocellus_core::{Clock, SystemClock, Timestamp};
use ocellus_store::{AuditLog, NewToken, Scope, Token, Tokens};
use serde_json::json;

use crate::token::random_secret;

#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Add a token and print it. Only its hash is stored: it cannot be printed again.
    Add(AddArguments),
    /// List the tokens, the sessions of logins among them.
    List(ListArguments),
    /// Remove a token, and the sessions that were begun with it.
    Revoke(RevokeArguments),
}

#[derive(Args, Debug)]
pub(crate) struct DataFolder {
    /// Folder that holds the archive.
    #[arg(long, env = "OCELLUS_DATA", value_name = "DIR")]
    data: PathBuf,
}

#[derive(Args, Debug)]
pub(crate) struct AddArguments {
    /// What the token is called, for example after the program that uses it.
    name: String,

    #[command(flatten)]
    folder: DataFolder,

    /// What it may be used for: read (lists, objects, pictures, searches), operate (also videos,
    /// jobs and deliveries), admin (also plugins).
    #[arg(long, default_value = "read", value_name = "SCOPE")]
    scope: Scope,

    /// Days for which it is valid. [default: no end]
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..=36_500))]
    expires_days: Option<u32>,
}

#[derive(Args, Debug)]
pub(crate) struct ListArguments {
    #[command(flatten)]
    folder: DataFolder,

    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Args, Debug)]
pub(crate) struct RevokeArguments {
    /// Name or id of the token; admin ends the sessions of the admin token.
    token: String,

    #[command(flatten)]
    folder: DataFolder,
}

pub(crate) fn run(command: &TokenCommand) -> Result<()> {
    match command {
        TokenCommand::Add(arguments) => add(arguments),
        TokenCommand::List(arguments) => list(arguments),
        TokenCommand::Revoke(arguments) => revoke(arguments),
    }
}

impl DataFolder {
    fn open(&self) -> Result<(Tokens, AuditLog)> {
        let dir: &Path = &self.data;
        if !dir.join("archive").is_dir() {
            bail!("{} is no data folder: there is no archive in it", dir.display());
        }
        Ok((Tokens::new(dir), AuditLog::new(dir)))
    }
}

fn add(arguments: &AddArguments) -> Result<()> {
    let (tokens, audit) = arguments.folder.open()?;
    let now = SystemClock.now();
    let day = jiff::SignedDuration::from_hours(24);
    let expires = arguments.expires_days.map(|days| now.checked_add(day * days as i32)).transpose()?;
    let secret = random_secret()?;
    let new = NewToken { name: arguments.name.clone(), scope: arguments.scope, expires, session: None };
    let token = tokens.add(new, &secret, now).context("cannot add a token")?;
    record(&audit, now, "token add", &token.name)?;
    writeln!(io::stdout(), "{secret}")?;
    Ok(())
}

fn list(arguments: &ListArguments) -> Result<()> {
    let (tokens, _) = arguments.folder.open()?;
    let (tokens, now) = (tokens.list().context("cannot list the tokens")?, SystemClock.now());
    if arguments.json {
        let shown: Vec<_> = tokens.iter().map(shown).collect();
        writeln!(io::stdout(), "{:#}", json!(shown))?;
        return Ok(());
    }
    let mut table = Table::new();
    table.load_style(NOTHING).set_header(["ID", "NAME", "SCOPE", "CREATED", "EXPIRES", "LAST USED", "DEVICE"]);
    let date = |time: Option<Timestamp>, none: &str| {
        time.map_or_else(|| none.to_owned(), |time| time.strftime("%Y-%m-%d %H:%M").to_string())
    };
    for token in &tokens {
        let expires = if token.is_expired(now) { "expired".to_owned() } else { date(token.expires, "never") };
        table.add_row([
            token.id.to_string(),
            token.name.clone(),
            token.scope.to_string(),
            date(Some(token.created_date), ""),
            expires,
            date(token.last_used, "never"),
            token.session.as_ref().map_or_else(String::new, |session| session.device.escape_debug().to_string()),
        ]);
    }
    writeln!(io::stdout(), "{}", table.trim_fmt())?;
    Ok(())
}

/// A token without the hash of its secret.
fn shown(token: &Token) -> serde_json::Value {
    json!({
        "id": token.id, "name": token.name, "scope": token.scope, "created_date": token.created_date,
        "expires": token.expires, "last_used": token.last_used, "session": token.session,
    })
}

fn revoke(arguments: &RevokeArguments) -> Result<()> {
    let (tokens, audit) = arguments.folder.open()?;
    let sessions = tokens.revoke(&arguments.token).context("cannot revoke a token")?;
    record(&audit, SystemClock.now(), "token revoke", &arguments.token)?;
    writeln!(io::stderr(), "revoked {}, with {sessions} sessions", arguments.token)?;
    Ok(())
}

fn record(audit: &AuditLog, time: Timestamp, command: &str, token: &str) -> Result<()> {
    let user = rustix::process::getuid().as_raw();
    let entry = json!({"time": time, "command": command, "argument": token, "uid": user});
    audit.append(&entry).context("the change was made, but cannot be written into the audit log")
}
