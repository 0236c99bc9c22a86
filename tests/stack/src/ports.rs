//! Free ports on loopback.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::net::{Ipv4Addr, TcpListener};

use crate::Error;

/// Below the ephemeral range. An outgoing connection could take a port of that range while the API server restarts,
/// even one of a client that retries that very port.
const FROM: u16 = 15_000;
const TO: u16 = 32_000;

/// `N` different ports that are free now. The search starts at a random port, so that parallel tests rarely collide.
pub fn free<const N: usize>() -> Result<[u16; N], Error> {
    let span = TO - FROM;
    let start = u16::try_from(RandomState::new().hash_one(0) % u64::from(span)).unwrap_or_default();
    let candidates = (0..span).map(|step| FROM + (start + step) % span);
    let mut free = candidates.filter(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok());
    let mut ports = [0; N];
    for port in &mut ports {
        *port = free.next().ok_or(Error::NoFreePort { from: FROM, to: TO })?;
    }
    Ok(ports)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn ports_differ_and_one_in_use_is_not_given() {
        let [a, b, c] = free::<3>().unwrap();
        assert!(a != b && b != c && a != c);
        let _held = TcpListener::bind((Ipv4Addr::LOCALHOST, a)).unwrap();
        assert!((0..20).all(|_| !free::<3>().unwrap().contains(&a)));
    }
}
