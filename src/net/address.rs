//! The addresses that a name may lead to: public ones, and those of networks that an operator named.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// A network, as `10.0.0.0/8` or one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Network {
    base: IpAddr,
    bits: u8,
}

/// A name that leads to an address that nobody named. The connection is not made.
#[derive(Debug)]
pub(super) struct Forbidden;

/// A name without an address, or whose addresses cannot be had now.
#[derive(Debug)]
pub(super) struct Unresolved(io::Error);

/// A source of the addresses of a name.
pub(crate) trait Lookup: Send + Sync + fmt::Debug {
    fn lookup(&self, host: String) -> Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send>>;
}

/// The operating system's resolver.
#[derive(Debug)]
pub(super) struct SystemResolver;

/// Lets connections through to addresses that may be reached. The client connects to exactly the addresses that were checked:
/// there is no second look-up that could answer otherwise.
#[derive(Debug)]
pub(super) struct AddressFilter {
    pub(super) lookup: Arc<dyn Lookup>,
    pub(super) networks: Vec<Network>,
    /// True where public addresses may be reached too.
    pub(super) public: bool,
    /// The host of a proxy, which an operator named and may be anywhere.
    pub(super) proxy: Option<String>,
}

impl Network {
    /// Reads a network in CIDR notation, or one address.
    ///
    /// # Errors
    /// A sentence about what is wrong.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        const WANTED: &str = "must be an address or a network such as 10.0.0.0/8";
        let (base, bits) = text.split_once('/').map_or((text, None), |(base, bits)| (base, Some(bits)));
        let base: IpAddr = base.parse().map_err(|_| WANTED)?;
        let whole = if base.is_ipv4() { 32 } else { 128 };
        let bits = bits.map_or(Ok(whole), |bits| bits.parse().map_err(|_| WANTED))?;
        let network = Self { base, bits };
        match bits {
            0 => Err("must not be the whole Internet"),
            bits if bits > whole => Err(WANTED),
            _ if network.masked(base) != Some(number(base)) => Err("has bits of a host behind its prefix"),
            _ => Ok(network),
        }
    }

    /// True for an address of this network.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_ipv4() == self.base.is_ipv4() && self.masked(address) == Some(number(self.base))
    }

    fn masked(self, address: IpAddr) -> Option<u128> {
        let whole = if self.base.is_ipv4() { 32 } else { 128 };
        let host = u32::from(whole - self.bits.min(whole));
        Some(number(address).checked_shr(host).unwrap_or(0).checked_shl(host).unwrap_or(0))
    }
}

impl Resolve for AddressFilter {
    fn resolve(&self, name: Name) -> Resolving {
        let found = self.lookup.lookup(name.as_str().to_owned());
        let networks = self.networks.clone();
        let (local, public) = (name.as_str() == "localhost", self.public);
        let proxy = self.proxy.as_deref() == Some(name.as_str());
        Box::pin(async move {
            let addresses = found.await.map_err(Unresolved)?;
            let allowed = |address: &IpAddr| {
                let named = networks.iter().any(|network| network.contains(*address));
                proxy || named || if local { address.to_canonical().is_loopback() } else { public && is_public(*address) }
            };
            // One forbidden address among several is no mistake of an honest zone.
            if !addresses.iter().all(allowed) {
                return Err(Forbidden.into());
            }
            let addresses: Addrs = Box::new(addresses.into_iter().map(|address| SocketAddr::new(address, 0)));
            Ok(addresses)
        })
    }
}

impl Lookup for SystemResolver {
    fn lookup(&self, host: String) -> Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send>> {
        Box::pin(async move { Ok(tokio::net::lookup_host((host, 0)).await?.map(|address| address.ip()).collect()) })
    }
}

/// True for an address of the public Internet (RFC 6890, and what is built on it).
pub(super) fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let special = address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_broadcast()
        || address.is_documentation()
        || address.is_multicast();
    let reserved = matches!((a, b, c), (0, _, _) | (100, 64..=127, _) | (192, 0, 0) | (198, 18..=19, _) | (240.., _, _));
    !special && !reserved
}

/// Global unicast, with the IPv4 address that some prefixes carry looked at for itself.
fn is_public_v6(address: Ipv6Addr) -> bool {
    if let Some(inner) = address.to_ipv4_mapped() {
        return is_public_v4(inner);
    }
    let [a, b, c, ..] = address.segments();
    let carried = match (a, b) {
        (0x0064, 0xff9b) => Some(low_v4(address)),
        (0x2002, _) => Some(Ipv4Addr::from((u32::from(b) << 16) | u32::from(c))),
        _ => None,
    };
    let global = (a & 0xe000) == 0x2000 && !matches!((a, b), (0x2001, 0x0db8) | (0x2001, 0x0000) | (0x3fff, _));
    carried.map_or(global, is_public_v4)
}

fn low_v4(address: Ipv6Addr) -> Ipv4Addr {
    let bits = u128::from(address) & u128::from(u32::MAX);
    Ipv4Addr::from(u32::try_from(bits).unwrap_or(0))
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(u32::from(address)),
        IpAddr::V6(address) => u128::from(address),
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.base, self.bits)
    }
}

impl fmt::Display for Forbidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name leads to an address that is neither public nor in a network that is named for it")
    }
}

impl std::error::Error for Forbidden {}

impl fmt::Display for Unresolved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the name of the host leads to no address ({})", self.0)
    }
}

impl std::error::Error for Unresolved {}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
    use super::*;

    /// Negative test 48; attack 33.
    #[test]
    fn only_the_public_internet_is_public() {
        for address in [
            "127.0.0.1",
            "127.8.9.1",
            "10.0.0.1",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "169.254.169.254",
            "0.0.0.0",
            "0.1.2.3",
            "100.64.0.1",
            "192.0.0.8",
            "198.18.0.1",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "192.0.2.1",
            "::1",
            "::",
            "fc00::1",
            "fd12:3456::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "64:ff9b::7f00:1",
            "64:ff9b::a9fe:a9fe",
            "2002:7f00:1::",
            "2001:db8::1",
            "2001::1",
            "::127.0.0.1",
        ] {
            assert!(!is_public(address.parse().unwrap()), "{address}");
        }
        for address in
            ["93.184.216.34", "8.8.8.8", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"]
        {
            assert!(is_public(address.parse().unwrap()), "{address}");
        }
    }

    #[test]
    fn networks_contain_what_they_say() {
        let ten = Network::parse("10.0.0.0/8").unwrap();
        assert!(ten.contains("10.255.0.1".parse().unwrap()) && !ten.contains("11.0.0.1".parse().unwrap()));
        assert!(ten.contains("::ffff:10.0.0.1".parse().unwrap()) && !ten.contains("a00::".parse().unwrap()));
        let one = Network::parse("fd00::5").unwrap();
        assert!(one.contains("fd00::5".parse().unwrap()) && !one.contains("fd00::6".parse().unwrap()));
        assert_eq!(ten.to_string(), "10.0.0.0/8");
        for wrong in ["", "10.0.0.0/0", "::/0", "10.0.0.1/8", "10.0.0.0/33", "10.0.0.0/x", "idp.example", "10.0.0.0/-1"] {
            assert!(Network::parse(wrong).is_err(), "{wrong}");
        }
    }
}
