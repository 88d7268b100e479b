//! Passwords of `basic_auth_users`: bcrypt, one at a time and off the threads that serve; its verdicts are cached, and wrong ones
//! are limited by `attempts`.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use config::WebConfig;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use parking_lot::Mutex;
use tokio::sync::Semaphore;

use super::attempts::Attempts;

/// Verdicts kept; each saves 50 ms and more of bcrypt.
const VERDICTS_MAX: usize = 100;

type Digest = [u8; 32];

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Right,
    /// Of no user, or there is none.
    Wrong,
    /// Not looked at: too many were wrong. For how long.
    TooMany(Duration),
}

/// What a connection has shown that was right. It may go on with it while others behind its address guess; a connection that
/// guesses has nothing of the kind.
#[derive(Debug, Default)]
pub(super) struct Shown(Mutex<Option<Digest>>);

/// Decides whether a request shows a user's password.
#[derive(Debug)]
pub(crate) struct Passwords {
    /// Verdicts by what was shown, under a key of this process.
    verdicts: Mutex<HashMap<Digest, bool>>,
    key: hmac::Key,
    attempts: Attempts,
    /// bcrypt is meant to be slow: several at once would take all cores.
    one: Semaphore,
}

impl Passwords {
    /// # Errors
    /// When the system gives no random numbers.
    pub(crate) fn new() -> Result<Self> {
        let random = aws_lc_rs::rand::SystemRandom::new();
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &random).map_err(|_| anyhow!("no random numbers"))?;
        Ok(Self { verdicts: Mutex::default(), key, attempts: Attempts::default(), one: Semaphore::new(1) })
    }

    /// Does the request carry the password of one of the users? It came from this address, on a connection that has shown this.
    ///
    /// # Errors
    /// When the check cannot run.
    pub(super) async fn admits(
        &self,
        config: &WebConfig,
        headers: &HeaderMap,
        (address, shown): (IpAddr, &Shown),
        now: Instant,
    ) -> Result<Verdict> {
        // A request without a password guesses none: browsers ask like this before they ask their user.
        let Some((user, password)) = basic(headers) else { return Ok(Verdict::Wrong) };
        let known = config.users.get(&user);
        // An unknown user takes as long as a known one, so that nobody can tell which names there are.
        let Some(hash) = known.or_else(|| config.users.values().next()) else { return Ok(Verdict::Wrong) };
        // The hash is part of it: who changes a password does away with the verdicts on the old one.
        let digest = self.digest(&[user.as_bytes(), hash.expose().as_bytes(), &password]);
        if *shown.0.lock() == Some(digest) {
            return Ok(Verdict::Right);
        }
        // Before the cache: it would tell which guesses are right as fast as they come.
        if let Err(wait) = self.attempts.check(address, now) {
            return Ok(Verdict::TooMany(wait));
        }
        let cached = self.verdicts().get(&digest).copied();
        let matches = match cached {
            Some(verdict) => verdict,
            None => {
                let _one = self.one.acquire().await.context("the check of passwords has ended")?;
                // Others of this address that were sent at the same time may have been wrong meanwhile.
                if let Err(wait) = self.attempts.check(address, now) {
                    return Ok(Verdict::TooMany(wait));
                }
                self.verify(digest, password, hash.expose().to_owned()).await?
            }
        };
        if matches && known.is_some() {
            *shown.0.lock() = Some(digest);
            return Ok(Verdict::Right);
        }
        if self.attempts.wrong(address, now) {
            tracing::warn!(%address, "too many wrong passwords; others from this address are refused for a while");
        }
        Ok(Verdict::Wrong)
    }

    async fn verify(&self, digest: Digest, password: Vec<u8>, hash: String) -> Result<bool> {
        // Requests with the same password wait for the first of them only.
        if let Some(verdict) = self.verdicts().get(&digest) {
            return Ok(*verdict);
        }
        let matches = tokio::task::spawn_blocking(move || bcrypt::verify(password, &hash).unwrap_or(false));
        let matches = matches.await.context("the check of a password failed")?;
        let mut verdicts = self.verdicts();
        if verdicts.len() >= VERDICTS_MAX {
            // Whoever guesses passwords must not push out those that are right.
            verdicts.retain(|_, verdict| *verdict);
        }
        if verdicts.len() >= VERDICTS_MAX {
            verdicts.clear();
        }
        verdicts.insert(digest, matches);
        Ok(matches)
    }

    fn verdicts(&self) -> parking_lot::MutexGuard<'_, HashMap<Digest, bool>> {
        self.verdicts.lock()
    }

    fn digest(&self, parts: &[&[u8]]) -> Digest {
        let mut context = hmac::Context::with_key(&self.key);
        for part in parts {
            // Else `a` and `bc` would be the same as `ab` and `c`.
            context.update(&(part.len() as u64).to_le_bytes());
            context.update(part);
        }
        let mut digest = Digest::default();
        digest.copy_from_slice(context.sign().as_ref());
        digest
    }
}

/// User and password of `Authorization: Basic …`.
fn basic(headers: &HeaderMap) -> Option<(String, Vec<u8>)> {
    let value = headers.get(AUTHORIZATION)?.as_bytes();
    let (scheme, encoded) = value.split_at_checked(6)?;
    if !scheme.eq_ignore_ascii_case(b"basic ") {
        return None;
    }
    let decoded = BASE64_STANDARD.decode(encoded).ok()?;
    let colon = decoded.iter().position(|byte| *byte == b':')?;
    let user = String::from_utf8(decoded[..colon].to_vec()).ok()?;
    Some((user, decoded[colon + 1..].to_vec()))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn asking(user_and_password: &str) -> HeaderMap {
        let value = format!("Basic {}", BASE64_STANDARD.encode(user_and_password));
        HeaderMap::from_iter([(AUTHORIZATION, value.parse().unwrap())])
    }

    fn sesame() -> (WebConfig, Passwords) {
        let hash = bcrypt::hash("open sesame", 4).unwrap();
        let config = WebConfig::parse(&format!("basic_auth_users: {{ann: {hash}}}"), Path::new("web.yml")).unwrap();
        (config, Passwords::new().unwrap())
    }

    /// One on a connection of its own.
    async fn verdict((config, passwords): &(WebConfig, Passwords), shown: &str, from: u32, now: Instant) -> Verdict {
        let peer = (IpAddr::from(from.to_be_bytes()), &Shown::default());
        passwords.admits(config, &asking(shown), peer, now).await.unwrap()
    }

    #[tokio::test]
    async fn the_password_of_a_user_admits() {
        let (at, now) = (sesame(), Instant::now());
        // Twice each: the second time from the cache.
        for from in 0..2 {
            for wrong in ["ann:open", "ann:", "bob:open sesame", ":open sesame", "ann"] {
                assert_eq!(verdict(&at, wrong, from, now).await, Verdict::Wrong, "{wrong}");
            }
            assert_eq!(verdict(&at, "ann:open sesame", from, now).await, Verdict::Right);
        }
        let bearer = HeaderMap::from_iter([(AUTHORIZATION, "Bearer abc".parse().unwrap())]);
        for headers in [HeaderMap::new(), bearer] {
            for _ in 0..100 {
                let peer = (IpAddr::from([10, 0, 0, 1]), &Shown::default());
                assert_eq!(at.1.admits(&at.0, &headers, peer, now).await.unwrap(), Verdict::Wrong);
            }
        }
        assert_eq!(verdict(&at, "ann:open sesame", 0x0a00_0001, now).await, Verdict::Right);
        for guess in 0..VERDICTS_MAX as u32 + 10 {
            assert_eq!(verdict(&at, &format!("ann:{guess}"), guess, now).await, Verdict::Wrong);
        }
        let verdicts = at.1.verdicts();
        assert!(verdicts.len() <= VERDICTS_MAX && verdicts.values().any(|verdict| *verdict));
    }

    #[tokio::test]
    async fn who_guesses_is_not_told_what_is_right() {
        let (at, now) = (sesame(), Instant::now());
        let (guesser, other) = (1_u32, 2);
        let open = Shown::default();
        let peer = (IpAddr::from(guesser.to_be_bytes()), &open);
        let right = asking("ann:open sesame");
        assert_eq!(at.1.admits(&at.0, &right, peer, now).await.unwrap(), Verdict::Right);
        let mut guess = 0;
        let wait = loop {
            match verdict(&at, &format!("ann:{guess}"), guesser, now).await {
                Verdict::TooMany(wait) => break wait,
                verdict => assert_eq!((verdict, guess < 100), (Verdict::Wrong, true)),
            }
            guess += 1;
        };
        // Right or wrong, known or new: all are refused alike, and none costs bcrypt.
        for shown in ["ann:open sesame", "ann:0", "ann:new", "bob:new"] {
            assert_eq!(verdict(&at, shown, guesser, now).await, Verdict::TooMany(wait), "{shown}");
        }
        assert_eq!(at.1.verdicts().len(), guess + 1);
        // Others are not concerned, nor connections that had shown it, and soon nobody is.
        assert_eq!(verdict(&at, "ann:open sesame", other, now).await, Verdict::Right);
        assert_eq!(at.1.admits(&at.0, &right, peer, now).await.unwrap(), Verdict::Right);
        assert_eq!(at.1.admits(&at.0, &asking("ann:1"), peer, now).await.unwrap(), Verdict::TooMany(wait));
        assert_eq!(verdict(&at, "ann:open sesame", guesser, now + wait).await, Verdict::Right);
    }

    #[tokio::test]
    async fn guesses_sent_at_once_are_counted_one_by_one() {
        let (at, now) = (sesame(), Instant::now());
        let guesses: Vec<String> = (0..200).map(|guess| format!("ann:{guess}")).collect();
        let verdicts = futures::future::join_all(guesses.iter().map(|shown| verdict(&at, shown, 1, now))).await;
        let looked_at = verdicts.iter().filter(|verdict| **verdict == Verdict::Wrong).count();
        assert_eq!(looked_at, at.1.verdicts().len());
        assert!((1..=20).contains(&looked_at), "{looked_at}");
    }
}
