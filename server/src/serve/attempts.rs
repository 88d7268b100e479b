//! How many wrong passwords are looked at: a token bucket for each address. Beyond it a password is refused unseen, so that nothing
//! tells whether it would have been right.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// Wrong passwords that an address may show at once.
const BURST: u32 = 10;
/// After so long it may show one more. Also the longest time for which someone else behind the same address is refused, once the
/// guessing has ended.
const REFILL: Duration = Duration::from_secs(3);
/// Addresses that are kept in memory, some 60 bytes each.
const ADDRESSES_MAX: usize = 10_000;

/// The buckets of addresses that showed a wrong password lately.
#[derive(Debug, Default)]
pub(super) struct Attempts(Mutex<HashMap<IpAddr, Bucket>>);

/// When the bucket of an address will be full again. It holds one token less for each [`REFILL`] until then.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    full: Instant,
}

impl Attempts {
    /// May this address show a password now? Otherwise, after how long.
    pub(super) fn check(&self, address: IpAddr, now: Instant) -> Result<(), Duration> {
        let empty_until = self.0.lock().get(&owner(address)).map(|bucket| bucket.full - (BURST - 1) * REFILL);
        match empty_until.map(|until| until.saturating_duration_since(now)) {
            Some(wait) if !wait.is_zero() => Err(wait),
            _ => Ok(()),
        }
    }

    /// Counts a wrong password. True if it was the last one for now.
    pub(super) fn wrong(&self, address: IpAddr, now: Instant) -> bool {
        let mut buckets = self.0.lock();
        let owner = owner(address);
        if buckets.len() >= ADDRESSES_MAX && !buckets.contains_key(&owner) {
            buckets.retain(|_, bucket| bucket.full > now);
            // So many at once: the one that was least wrong is forgotten.
            if buckets.len() >= ADDRESSES_MAX
                && let Some(fullest) = buckets.iter().min_by_key(|(_, bucket)| bucket.full).map(|(owner, _)| *owner)
            {
                buckets.remove(&fullest);
            }
        }
        let bucket = buckets.entry(owner).or_insert(Bucket { full: now });
        bucket.full = bucket.full.max(now) + REFILL;
        bucket.full > now + (BURST - 1) * REFILL
    }
}

/// Whose an address is: of IPv6, one customer or machine has a /64 at least.
fn owner(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !0 << 64)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_is_refused_until_a_token_is_back() {
        let (attempts, start) = (Attempts::default(), Instant::now());
        let address = ip("10.0.0.1");
        for n in 1..=BURST {
            assert_eq!(attempts.check(address, start), Ok(()));
            assert_eq!(attempts.wrong(address, start), n == BURST);
        }
        assert_eq!(attempts.check(address, start), Err(REFILL));
        assert_eq!(attempts.check(ip("10.0.0.2"), start), Ok(()));
        let later = start + REFILL / 3;
        assert_eq!(attempts.check(address, later), Err(REFILL - REFILL / 3));
        // One token is back, and is used.
        assert_eq!(attempts.check(address, start + REFILL), Ok(()));
        assert!(attempts.wrong(address, start + REFILL));
        assert_eq!(attempts.check(address, start + REFILL), Err(REFILL));
        // After a while all of them are.
        let rested = start + (BURST + 2) * REFILL;
        for n in 1..=BURST {
            assert_eq!((attempts.check(address, rested), attempts.wrong(address, rested)), (Ok(()), n == BURST));
        }
    }

    #[test]
    fn a_network_of_ipv6_is_one() {
        let (attempts, now) = (Attempts::default(), Instant::now());
        for host in 0..u128::from(BURST) {
            attempts.wrong(IpAddr::V6(Ipv6Addr::from_bits(0x2001_0db8 << 96 | host)), now);
        }
        assert!(attempts.check(ip("2001:db8::ffff"), now).is_err());
        assert_eq!(attempts.check(ip("2001:db8:0:1::"), now), Ok(()));
    }

    #[test]
    fn memory_is_bounded_and_who_guesses_most_is_kept() {
        let (attempts, now) = (Attempts::default(), Instant::now());
        let guesser = ip("10.0.0.1");
        for _ in 0..BURST {
            attempts.wrong(guesser, now);
        }
        for n in 0..2 * ADDRESSES_MAX {
            attempts.wrong(IpAddr::from([192, (n >> 16) as u8, (n >> 8) as u8, n as u8]), now);
        }
        assert_eq!(attempts.0.lock().len(), ADDRESSES_MAX);
        assert!(attempts.check(guesser, now).is_err());
        // Those whose buckets are full again go first.
        attempts.wrong(ip("10.0.0.3"), now + 2 * BURST * REFILL);
        assert_eq!(attempts.0.lock().len(), 1);
    }
}
