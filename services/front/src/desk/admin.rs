//! What only the operator may ask for, by HTTP basic authentication: with the password, or with a token in place of the
//! name and no password.
//!
//! A token is its own expiry with a code over it that only the password makes: no front has to remember it, and all fronts
//! take it. Nothing can make them forget it either, so it lives for a few minutes.

use std::time::{Duration, SystemTime};

use alloy_primitives::hex;
use anyhow::{Context, ensure};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use http::header::AUTHORIZATION;
use http::request::Parts;
use ledger::{JobKind, NewJob};
use protocols::{Answer, Operation, Reply};
use runtime::config;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::{Window, since_1970};
use crate::fault::Fault;

/// How long a token is good for.
const TOKEN_LIFE: Duration = Duration::from_secs(600);
/// The least a password has, in bytes: whoever sees a token may try passwords on it at home.
const PASSWORD_MIN: usize = 16;
/// What the code is over, before the expiry, so that it is good for nothing else.
const TOKEN_PURPOSE: &[u8] = b"sluice operator token";

/// Who may close channels for the payee.
pub(super) struct Operator {
    user: [u8; 32],
    password: [u8; 32],
    code: Hmac<Sha256>,
}

impl Operator {
    pub(super) fn open(config: &config::Admin) -> anyhow::Result<Operator> {
        let file = &config.password_file;
        let text = secret_file::read(file).with_context(|| format!("front.admin.password_file {}", file.display()))?;
        let password = text.lines().next().unwrap_or_default();
        ensure!(
            password.len() >= PASSWORD_MIN,
            "front.admin.password_file {}: a password has {PASSWORD_MIN} characters at least",
            file.display()
        );
        Operator::new(&config.user, password)
    }

    fn new(user: &str, password: &str) -> anyhow::Result<Operator> {
        let code = Hmac::new_from_slice(password.as_bytes())?.chain_update(TOKEN_PURPOSE);
        Ok(Operator { user: digest(user), password: digest(password), code })
    }

    /// Whether a request comes from the operator.
    fn knows(&self, head: &Parts, now: Duration) -> bool {
        let Some((user, password)) = credentials(head) else { return false };
        if password.is_empty() {
            return self.takes(&user, now);
        }
        // Digests are of one length, so comparing them takes one time.
        (digest(&user).ct_eq(&self.user) & digest(&password).ct_eq(&self.password)).into()
    }

    fn token(&self, now: Duration) -> String {
        let expiry = now.saturating_add(TOKEN_LIFE).as_secs().to_string();
        let code = self.code.clone().chain_update(&expiry).finalize().into_bytes();
        format!("{expiry}.{}", hex::encode(code))
    }

    fn takes(&self, token: &str, now: Duration) -> bool {
        let Some((expiry, code)) = token.split_once('.') else { return false };
        let is_alive = expiry.parse().is_ok_and(|expiry: u64| now.as_secs() < expiry);
        let is_ours = |code: Vec<u8>| self.code.clone().chain_update(expiry).verify_slice(&code).is_ok();
        is_alive && hex::decode(code).is_ok_and(is_ours)
    }
}

fn digest(text: &str) -> [u8; 32] {
    Sha256::digest(text).into()
}

/// Name and password of a request, if it has any.
fn credentials(head: &Parts) -> Option<(String, String)> {
    let (scheme, encoded) = head.headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let text = String::from_utf8(BASE64_STANDARD.decode(encoded.trim()).ok()?).ok()?;
    text.split_once(':').map(|(user, password)| (user.to_owned(), password.to_owned()))
}

pub(super) async fn answer(
    window: &Window<'_>,
    operator: &Operator,
    operation: &Operation,
    head: &Parts,
) -> Result<Answer, Fault> {
    let now = since_1970(SystemTime::now());
    if !operator.knows(head, now) {
        // A guess costs as much as a close.
        window.front.desk.count_delete(window.visit)?;
        return Ok(window.reply(&Reply::Unauthorized));
    }
    match operation {
        Operation::LogIn => Ok(window.reply(&Reply::LoggedIn { token: &operator.token(now) })),
        Operation::LogOut => Ok(window.reply(&Reply::LoggedOut)),
        Operation::Greet => Ok(window.reply(&Reply::Greeted)),
        Operation::Close(opening) => {
            if let Some((till, channel, _)) = window.find(opening).await? {
                let (id, client) = (channel.id, window.visit.client);
                let job = NewJob {
                    kind: JobKind::Close,
                    key: id.to_string(),
                    deployment: till.name.to_string(),
                    channel: Some(id),
                    amount: None,
                };
                window.front.ledger.enqueue(&job).await?;
                tracing::info!(channel.id = %id, %client, "the operator closes a channel");
            }
            Ok(window.reply(&Reply::ForceClosed(opening)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_good_for_ten_minutes_and_only_with_the_password_it_was_made_with() {
        let operator = Operator::new("operator", "correct horse battery").unwrap();
        let (now, soon) = (Duration::from_secs(1_000), Duration::from_secs(1_599));
        let token = operator.token(now);
        assert!(operator.takes(&token, now) && operator.takes(&token, soon));
        assert!(!operator.takes(&token, Duration::from_secs(1_600)));
        let other = Operator::new("operator", "another horse battery").unwrap();
        assert!(!other.takes(&token, now));
        let (_, code) = token.split_once('.').unwrap();
        assert!(!operator.takes(&format!("9999.{code}"), now));
        for nonsense in ["", ".", "1600.", "1600.00", code] {
            assert!(!operator.takes(nonsense, now), "{nonsense}");
        }
    }
}
