//! Which addresses the server may talk to on behalf of a user: for a video's `url` and its `router_url`.
//!
//! Guarantees: the answer depends on the address alone, however it was come by; an IPv4 address is the same address where
//! it is written as IPv6. Does no I/O: who resolves a name has to ask about each address that comes out.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    str::FromStr,
};

use ipnet::IpNet;

/// A network as the operator names it: `10.0.0.0/8`, `fd00::/8`, or a single address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network(IpNet);

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no network: expected an address with a prefix length (10.0.0.0/8, fd00::/8) or a single address")]
pub struct BadNetwork(String);

impl FromStr for Network {
    type Err = BadNetwork;

    fn from_str(text: &str) -> Result<Self, BadNetwork> {
        let text = text.trim();
        let net = text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
        net.map(|net| Self(net.trunc())).map_err(|_| BadNetwork(text.to_owned()))
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A host that a user named and that the server must not talk to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("The host {host} is not allowed by the server's configuration.")]
pub struct NotAllowed {
    pub host: String,
}

/// By default everything but what only the server itself should reach: link-local addresses and the metadata services of
/// clouds, the server's own port, and what is no single host's address. Private networks and loopback are allowed: the
/// receivers of those who host themselves live there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NetworkPolicy {
    /// Where there are any, only these are allowed, and they are allowed whatever else they are.
    allowed: Vec<Network>,
    /// Where the server listens.
    own: Option<SocketAddr>,
}

/// Metadata services outside the link-local networks: AWS on IPv6, Alibaba, Oracle.
const METADATA: [IpAddr; 3] = [
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V4(Ipv4Addr::new(192, 0, 0, 192)),
];

impl NetworkPolicy {
    pub fn new(allowed: Vec<Network>, own: Option<SocketAddr>) -> Self {
        Self { allowed, own }
    }

    /// May the server connect to this address? Port 0 stands for one that is not known yet.
    pub fn allows(&self, address: SocketAddr) -> bool {
        let ip = plain(address.ip());
        if !self.allowed.is_empty() {
            return self.allowed.iter().any(|network| network.0.contains(&ip));
        }
        !is_special(ip) && !self.is_own(ip, address.port())
    }

    /// Refuses a host that is an address (IPv6 with or without brackets) and not allowed. A name passes: it is what it
    /// resolves to that counts.
    pub fn check_literal(&self, host: &str, port: u16) -> Result<(), NotAllowed> {
        let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
        match bare.parse::<IpAddr>() {
            Ok(ip) if !self.allows(SocketAddr::new(ip, port)) => Err(NotAllowed { host: host.to_owned() }),
            _ => Ok(()),
        }
    }

    /// The port of the server, where it listens on every address of the machine, so that any of them could be its own.
    pub fn own_port_everywhere(&self) -> Option<u16> {
        self.own.filter(|own| own.ip().is_unspecified() && self.allowed.is_empty()).map(|own| own.port())
    }

    fn is_own(&self, ip: IpAddr, port: u16) -> bool {
        self.own.is_some_and(|own| own.port() == port && (plain(own.ip()) == ip || ip.is_loopback()))
    }
}

/// The IPv4 address within an IPv6 address that stands for one (mapped, or the well-known prefix of NAT64).
fn plain(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V6(v6) => match v6.segments() {
            [0x64, 0xff9b, 0, 0, 0, 0, high, low] => Ipv4Addr::from(u32::from(high) << 16 | u32::from(low)).into(),
            _ => v6.to_canonical(),
        },
        v4 => v4,
    }
}

fn is_special(ip: IpAddr) -> bool {
    let special = match ip {
        IpAddr::V4(v4) => v4.is_link_local() || v4.is_broadcast() || v4.octets().first() == Some(&0),
        IpAddr::V6(v6) => v6.is_unicast_link_local() || v6.is_unspecified(),
    };
    special || ip.is_multicast() || METADATA.contains(&ip)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn policy(allowed: &[&str]) -> NetworkPolicy {
        NetworkPolicy::new(allowed.iter().map(|n| n.parse().unwrap()).collect(), Some(([127, 0, 0, 1], 8000).into()))
    }

    fn allows(policy: &NetworkPolicy, address: &str) -> bool {
        policy.allows(address.parse().unwrap())
    }

    #[test]
    fn by_default_only_what_is_special_is_refused() {
        let policy = policy(&[]);
        for good in ["127.0.0.1:80", "10.1.2.3:554", "192.168.0.9:80", "[::1]:80", "[fd12::1]:80", "8.8.8.8:443", "[2001:db8::1]:80"] {
            assert!(allows(&policy, good), "{good}");
        }
        for bad in [
            "169.254.169.254:80",
            "[::ffff:169.254.169.254]:80",
            "[64:ff9b::a9fe:a9fe]:80",
            "[fe80::1]:80",
            "[fd00:ec2::254]:80",
            "100.100.100.200:80",
            "0.0.0.0:80",
            "0.1.2.3:80",
            "[::]:80",
            "224.0.0.1:80",
            "[ff02::1]:80",
            "255.255.255.255:80",
            "127.0.0.1:8000",
            "127.9.9.9:8000",
            "[::1]:8000",
            "[::ffff:127.0.0.1]:8000",
        ] {
            assert!(!allows(&policy, bad), "{bad}");
        }
    }

    #[test]
    fn a_list_is_all_that_is_allowed_and_allows_what_is_refused_otherwise() {
        let policy = policy(&["10.0.0.0/8", "169.254.1.1", "fd00::/8", "127.0.0.1"]);
        for good in ["10.255.0.1:1", "169.254.1.1:80", "[fd00:ec2::254]:80", "[::ffff:10.0.0.1]:80", "127.0.0.1:8000"] {
            assert!(allows(&policy, good), "{good}");
        }
        for bad in ["11.0.0.1:80", "169.254.1.2:80", "[::1]:80", "[2001:db8::1]:80"] {
            assert!(!allows(&policy, bad), "{bad}");
        }
    }

    #[test]
    fn literal_hosts_are_checked_and_names_pass() {
        let policy = policy(&[]);
        assert!(policy.check_literal("example.org", 80).is_ok());
        assert!(policy.check_literal("[::1]", 80).is_ok());
        let refused = policy.check_literal("[fe80::1]", 80).unwrap_err();
        assert_eq!(refused.to_string(), "The host [fe80::1] is not allowed by the server's configuration.");
        assert!(policy.check_literal("127.0.0.1", 8000).is_err());
    }

    #[test]
    fn what_is_no_network_is_named() {
        for bad in ["", "10.0.0.0/33", "10.0.0/8", "fd00::/129", "example.org", "10.0.0.0-10.0.0.9"] {
            assert!(bad.parse::<Network>().unwrap_err().to_string().contains(&format!("{bad:?}")), "{bad}");
        }
        assert_eq!("10.1.2.3/8".parse::<Network>().unwrap().to_string(), "10.0.0.0/8");
    }

    proptest! {
        #[test]
        fn an_ipv4_address_is_judged_alike_however_it_is_written(bits: u32, port: u16, listed: bool) {
            let v4 = Ipv4Addr::from(bits);
            let policy = if listed { policy(&["0.0.0.0/1"]) } else { policy(&[]) };
            let as_v6 = |ip: Ipv6Addr| policy.allows((ip, port).into());
            let expected = policy.allows((v4, port).into());
            prop_assert_eq!(as_v6(v4.to_ipv6_mapped()), expected);
            prop_assert_eq!(as_v6(format!("64:ff9b::{v4}").parse().unwrap()), expected);
            if listed {
                prop_assert_eq!(expected, bits < 1 << 31);
            }
        }

        #[test]
        fn link_local_addresses_are_refused(low: u16, rest: u64, port: u16) {
            let [a, b] = low.to_be_bytes();
            prop_assert!(!NetworkPolicy::default().allows((Ipv4Addr::new(169, 254, a, b), port).into()));
            let v6 = Ipv6Addr::from(0xfe80_u128 << 112 | u128::from(rest));
            prop_assert!(!NetworkPolicy::default().allows((v6, port).into()));
        }

        #[test]
        fn a_network_holds_its_addresses_and_no_others(bits: u32, prefix in 0_u8..=32, other: u32) {
            let network: Network = format!("{}/{prefix}", Ipv4Addr::from(bits)).parse().unwrap();
            let policy = NetworkPolicy::new(vec![network], None);
            let mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
            prop_assert_eq!(policy.allows((Ipv4Addr::from(other), 1).into()), bits & mask == other & mask);
        }

        #[test]
        fn any_text_is_a_network_or_a_refusal(text in ".{0,40}") {
            if let Ok(network) = text.parse::<Network>() {
                prop_assert_eq!(network.to_string().parse::<Network>(), Ok(network));
            }
        }
    }
}
