//! Passwords of `basic_auth_users`: bcrypt, one at a time and off the threads that serve; its verdicts are cached.

use std::collections::HashMap;

use anyhow::{Context, Result, anyhow};
use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use config::WebConfig;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use parking_lot::Mutex;
use tokio::sync::Semaphore;

/// Verdicts kept; each saves 50 ms and more of bcrypt.
const VERDICTS_MAX: usize = 100;

type Digest = [u8; 32];

/// Decides whether a request shows a user's password.
#[derive(Debug)]
pub(crate) struct Passwords {
    /// Verdicts by what was shown, under a key of this process.
    verdicts: Mutex<HashMap<Digest, bool>>,
    key: hmac::Key,
    /// bcrypt is meant to be slow: several at once would take all cores.
    one: Semaphore,
}

impl Passwords {
    /// # Errors
    /// When the system gives no random numbers.
    pub(crate) fn new() -> Result<Self> {
        let random = aws_lc_rs::rand::SystemRandom::new();
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &random).map_err(|_| anyhow!("no random numbers"))?;
        Ok(Self { verdicts: Mutex::default(), key, one: Semaphore::new(1) })
    }

    /// Does the request carry the password of one of the users?
    ///
    /// # Errors
    /// When the check cannot run.
    pub(crate) async fn admits(&self, config: &WebConfig, headers: &HeaderMap) -> Result<bool> {
        let Some((user, password)) = basic(headers) else { return Ok(false) };
        let known = config.users.get(&user);
        // An unknown user takes as long as a known one, so that nobody can tell which names there are.
        let Some(hash) = known.or_else(|| config.users.values().next()) else { return Ok(false) };
        // The hash is part of it: who changes a password does away with the verdicts on the old one.
        let digest = self.digest(&[user.as_bytes(), hash.expose().as_bytes(), &password]);
        let cached = self.verdicts().get(&digest).copied();
        let matches = match cached {
            Some(verdict) => verdict,
            None => {
                let _one = self.one.acquire().await.context("the check of passwords has ended")?;
                let hash = hash.expose().to_owned();
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
                matches
            }
        };
        Ok(matches && known.is_some())
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

    #[tokio::test]
    async fn the_password_of_a_user_admits() {
        let hash = bcrypt::hash("open sesame", 4).unwrap();
        let config = WebConfig::parse(&format!("basic_auth_users: {{ann: {hash}}}"), Path::new("web.yml")).unwrap();
        let passwords = Passwords::new().unwrap();
        // Twice each: the second time from the cache.
        for _ in 0..2 {
            assert!(passwords.admits(&config, &asking("ann:open sesame")).await.unwrap());
            for wrong in ["ann:open", "ann:", "bob:open sesame", ":open sesame", "ann"] {
                assert!(!passwords.admits(&config, &asking(wrong)).await.unwrap(), "{wrong}");
            }
        }
        assert!(!passwords.admits(&config, &HeaderMap::new()).await.unwrap());
        let bearer = HeaderMap::from_iter([(AUTHORIZATION, "Bearer abc".parse().unwrap())]);
        assert!(!passwords.admits(&config, &bearer).await.unwrap());
        for guess in 0..VERDICTS_MAX + 10 {
            assert!(!passwords.admits(&config, &asking(&format!("ann:{guess}"))).await.unwrap());
        }
        let verdicts = passwords.verdicts();
        assert!(verdicts.len() <= VERDICTS_MAX && verdicts.values().any(|verdict| *verdict));
    }
}
