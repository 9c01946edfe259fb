//! Network policy: the addresses that the server may connect to on behalf of a user, for a video's
//! `url` and its `router_url`.
//!
//! Guarantees: the answer depends on the address alone. An IPv4 address embedded in an IPv6 address
//! ([`destinations`]) is judged as the IPv4 address, so that no translator or tunnel leads around
//! the policy. Does no I/O: callers that resolve a name have to check each of its addresses.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    str::FromStr,
};

use ipnet::IpNet;

/// A network as the operator names it: `10.0.0.0/8`, `fd00::/8`, or a single address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network(IpNet);

/// A text that is not a network.
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

/// A host that a user named and that the server must not connect to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", if *own { own_text(host) } else { refused_text(host) })]
pub struct NotAllowed {
    /// As the user wrote it.
    pub host: String,
    /// Whether it is the address on which the server itself listens, and not one that the
    /// configuration refuses.
    pub own: bool,
}

fn own_text(host: &str) -> String {
    format!("The host {host} at this port is this server itself, which sources and routers must not be.")
}

fn refused_text(host: &str) -> String {
    format!("The host {host} is not allowed by the server's configuration.")
}

/// Policy for the addresses that the server may connect to.
///
/// By default all are allowed, except those that only the server itself should reach: link-local
/// addresses and the metadata services of clouds, the server's own port, and addresses of no single
/// host (multicast, broadcast, unspecified). Private networks and loopback are allowed, since
/// receivers are often there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NetworkPolicy {
    /// Unless empty, exactly these are allowed. An address in which others are embedded is allowed
    /// if all of its [`destinations`] are.
    allowed: Vec<Network>,
    /// Address on which the server listens.
    own: Option<SocketAddr>,
}

/// Single addresses of metadata services outside the link-local networks.
const METADATA: [IpAddr; 7] = [
    // Azure's platform service, which also hands certificates to the machine.
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
    // Alibaba Cloud.
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    // Oracle Cloud: IPv4, from before it took a link-local address, and IPv6.
    IpAddr::V4(Ipv4Addr::new(192, 0, 0, 192)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xc1, 0, 0, 0, 0, 0xa9fe, 0xa9fe)),
    // Google Cloud. The addresses around it belong to customers' networks.
    IpAddr::V6(Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254)),
    // Scaleway.
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0x42, 0, 0, 0, 0, 0, 0x42)),
    // Akamai.
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xa9fe, 0xa9fe, 0, 0, 0, 0, 1)),
];

impl NetworkPolicy {
    /// `allowed`: the only networks that may be reached; empty for the default policy. `own`: where
    /// the server listens, which the default policy refuses.
    pub fn new(allowed: Vec<Network>, own: Option<SocketAddr>) -> Self {
        Self { allowed, own }
    }

    /// Whether the server may connect to this address. Port 0 means that the port is not known yet.
    pub fn allows(&self, address: SocketAddr) -> bool {
        destinations(address.ip()).into_iter().all(|ip| self.allows_destination(ip, address.port()))
    }

    fn allows_destination(&self, ip: IpAddr, port: u16) -> bool {
        if !self.allowed.is_empty() {
            return self.allowed.iter().any(|network| network.0.contains(&ip));
        }
        !is_special(ip) && !self.is_own(ip, port)
    }

    /// Refuses a host that is an address (IPv6 with or without brackets) and not allowed. A name
    /// passes: the addresses that it resolves to have to be checked.
    ///
    /// # Errors
    /// [`NotAllowed`] names the host.
    pub fn check_literal(&self, host: &str, port: u16) -> Result<(), NotAllowed> {
        let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
        match bare.parse::<IpAddr>() {
            Ok(ip) if !self.allows(SocketAddr::new(ip, port)) => Err(self.refusal(host, &[SocketAddr::new(ip, port)])),
            _ => Ok(()),
        }
    }

    /// The error for a host with these addresses.
    pub fn refusal(&self, host: &str, addresses: &[SocketAddr]) -> NotAllowed {
        let is_own =
            |address: &SocketAddr| destinations(address.ip()).into_iter().any(|ip| self.is_own(ip, address.port()));
        let own = self.allowed.is_empty() && addresses.iter().any(is_own);
        NotAllowed { host: host.to_owned(), own }
    }

    /// The server's port, if it listens on every address of the machine: then clients have to check
    /// that a destination with this port is not this machine. `None` where networks are listed.
    pub fn own_port_everywhere(&self) -> Option<u16> {
        self.own.filter(|own| own.ip().is_unspecified() && self.allowed.is_empty()).map(|own| own.port())
    }

    fn is_own(&self, ip: IpAddr, port: u16) -> bool {
        self.own.is_some_and(|own| own.port() == port && (own.ip().to_canonical() == ip || ip.is_loopback()))
    }
}

/// The addresses that a connection to an address may reach: the address itself, and every IPv4
/// address embedded in it. At least one.
///
/// An address that stands for an IPv4 address and nothing else (mapped, compatible, translated,
/// NAT64, 6to4) gives that IPv4 address alone. A tunnel address (Teredo, ISATAP) gives itself and
/// the ends of the tunnel. The length of a NAT64 prefix for local use is known in its network only:
/// all lengths that fit the rest of the address count.
pub fn destinations(ip: IpAddr) -> Vec<IpAddr> {
    let IpAddr::V6(v6) = ip else { return vec![ip] };
    let v4 = |high: u16, low: u16| IpAddr::V4(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)));
    match v6.segments() {
        // Unspecified and loopback, which look like IPv4-compatible addresses.
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => vec![ip],
        // RFC 4291: compatible and mapped; RFC 2765: translated.
        [0, 0, 0, 0, 0, 0, high, low] | [0, 0, 0, 0, 0, 0xffff, high, low] | [0, 0, 0, 0, 0xffff, 0, high, low] => {
            vec![v4(high, low)]
        }
        // RFC 6052: the well-known prefix of NAT64.
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => vec![v4(high, low)],
        // RFC 8215: NAT64 for local use.
        [0x64, 0xff9b, 1, ..] => local_nat64(v6),
        // RFC 3056: 6to4.
        [0x2002, high, low, ..] => vec![v4(high, low)],
        // RFC 4380: Teredo, its server and its client; the latter is written inverted.
        [0x2001, 0, server_high, server_low, _, _, high, low] => vec![ip, v4(server_high, server_low), v4(!high, !low)],
        // RFC 5214: ISATAP, in any network.
        [_, _, _, _, 0 | 0x200, 0x5efe, high, low] => vec![ip, v4(high, low)],
        _ => vec![ip],
    }
}

/// The IPv4 addresses that RFC 6052 may place in an address of 64:ff9b:1::/48, by the length of the
/// prefix: 96, 64, 56, 48 bits. Byte 8 is 0 where the IPv4 address spans it, and so are the bytes
/// after that address.
fn local_nat64(v6: Ipv6Addr) -> Vec<IpAddr> {
    let [_, _, _, _, _, _, b6, b7, b8, b9, b10, b11, b12, b13, b14, b15] = v6.octets();
    let mut found = vec![[b12, b13, b14, b15]];
    if [b8, b13, b14, b15] == [0; 4] {
        found.push([b9, b10, b11, b12]);
        if b12 == 0 {
            found.push([b7, b9, b10, b11]);
            if b11 == 0 {
                found.push([b6, b7, b9, b10]);
            }
        }
    }
    // 0.0.0.0/8 contains no host: a prefix length that gives such an address is not that of the
    // network.
    let (hosts, others): (Vec<_>, Vec<_>) = found.into_iter().partition(|[first, ..]| *first != 0);
    let found = if hosts.is_empty() { others } else { hosts };
    found.into_iter().map(|octets| IpAddr::from(Ipv4Addr::from(octets))).collect()
}

fn is_special(ip: IpAddr) -> bool {
    let special = match ip {
        IpAddr::V4(v4) => v4.is_link_local() || v4.is_broadcast() || v4.octets().first() == Some(&0),
        // AWS serves fd00:ec2::/32 within each machine: metadata, credentials of pods, time, DNS.
        IpAddr::V6(v6) => {
            v6.is_unicast_link_local() || v6.is_unspecified() || matches!(v6.segments(), [0xfd00, 0xec2, ..])
        }
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
    fn by_default_only_special_addresses_are_refused() {
        let policy = policy(&[]);
        for good in [
            "127.0.0.1:80",
            "10.1.2.3:554",
            "192.168.0.9:80",
            "[::1]:80",
            "[fd12::1]:80",
            "8.8.8.8:443",
            "[2001:db8::1]:80",
        ] {
            assert!(allows(&policy, good), "{good}");
        }
        for bad in [
            "[fe80::1]:80",
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

    /// IPv6 addresses in which this IPv4 address is embedded, in every possible way.
    fn carriers(v4: Ipv4Addr) -> Vec<Ipv6Addr> {
        let [a, b, c, d] = v4.octets();
        let inverted = Ipv4Addr::from_bits(!v4.to_bits());
        [
            format!("::ffff:{v4}"),
            format!("::{v4}"),
            format!("::ffff:0:{v4}"),
            format!("64:ff9b::{v4}"),
            // For local use: prefixes of 96, 64, 56 and 48 bits.
            format!("64:ff9b:1::{v4}"),
            format!("64:ff9b:1:ffff:0:0:{v4}"),
            format!("64:ff9b:1:0:{a:02x}:{b:02x}{c:02x}:{d:02x}00:0"),
            format!("64:ff9b:1:{a:02x}:{b:02x}:{c:02x}{d:02x}::"),
            format!("64:ff9b:1:{a:02x}{b:02x}:{c:02x}:{d:02x}00::"),
            format!("2002:{a:02x}{b:02x}:{c:02x}{d:02x}::1"),
            // Teredo: the address of its server, then of its client.
            format!("2001:0:{a:02x}{b:02x}:{c:02x}{d:02x}:0:ffff:f7f7:f7f7"),
            format!("2001:0:808:808:0:ffff:{inverted}"),
            format!("2001:db8::5efe:{v4}"),
            format!("2001:db8::200:5efe:{v4}"),
        ]
        .iter()
        .map(|text| text.parse().unwrap_or_else(|e| panic!("{text}: {e}")))
        .collect()
    }

    #[test]
    fn metadata_is_refused_however_its_address_is_written() {
        let policy = policy(&[]);
        for bad in [
            "fd00:ec2::254",
            "fd00:ec2::23",
            "fd00:ec2:0:1::1",
            "fd20:ce::254",
            "fd00:c1::a9fe:a9fe",
            "fd00:42::42",
            "fd00:a9fe:a9fe::1",
            "fe80::a9fe:a9fe",
        ] {
            assert!(!allows(&policy, &format!("[{bad}]:80")), "{bad}");
        }
        for bad in
            ["169.254.169.254", "169.254.170.2", "169.254.42.42", "168.63.129.16", "100.100.100.200", "192.0.0.192"]
        {
            let bad: Ipv4Addr = bad.parse().unwrap();
            assert!(!policy.allows((bad, 80).into()), "{bad}");
            for carrier in carriers(bad) {
                assert!(!policy.allows((carrier, 80).into()), "{bad} as {carrier}");
            }
        }
        for good in
            ["168.63.129.17:80", "100.100.100.201:80", "[fd20:ce::255]:80", "[fd00:ec3::254]:80", "[fd00:ec::254]:80"]
        {
            assert!(allows(&policy, good), "{good}");
        }
    }

    #[test]
    fn an_address_that_only_resembles_a_carrier_is_itself() {
        for own in
            ["::1", "::", "64:ff9b:2::a9fe:a9fe", "2001:1::a9fe:a9fe", "2003:a9fe:a9fe::1", "2001:db8::5eff:a9fe:a9fe"]
        {
            let own: IpAddr = own.parse().unwrap();
            assert_eq!(destinations(own), [own]);
        }
        let policy = policy(&[]);
        assert!(allows(&policy, "[64:ff9b:1::8.8.8.8]:80") && allows(&policy, "[64:ff9b:1:808:8:800::]:80"));
    }

    #[test]
    fn the_servers_own_port_is_refused_through_a_translator_too() {
        for carrier in carriers(Ipv4Addr::LOCALHOST) {
            assert!(!policy(&[]).allows((carrier, 8000).into()), "{carrier}");
        }
    }

    #[test]
    fn a_list_of_networks_replaces_the_default_policy() {
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
        let own = policy.check_literal("127.0.0.1", 8000).unwrap_err().to_string();
        assert!(own.contains("is this server itself"), "{own}");
    }

    #[test]
    fn an_invalid_network_is_named_in_the_error() {
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
            // The address of a tunnel may be outside the list; NAT64 for local use may be read in
            // several ways, but never as an address in 0.0.0.0/8.
            for (n, carrier) in carriers(v4).into_iter().enumerate() {
                let exact = n < 4 || n == 9;
                let right = if exact { as_v6(carrier) == expected } else { expected || v4.octets()[0] == 0 || !as_v6(carrier) };
                prop_assert!(right, "{carrier}: {expected}");
            }
            if listed {
                prop_assert_eq!(expected, bits < 1 << 31);
            }
        }

        #[test]
        fn link_local_addresses_are_refused(low: u16, rest: u64, port: u16) {
            let [a, b] = low.to_be_bytes();
            let v4 = Ipv4Addr::new(169, 254, a, b);
            prop_assert!(!NetworkPolicy::default().allows((v4, port).into()));
            for carrier in carriers(v4) {
                prop_assert!(!NetworkPolicy::default().allows((carrier, port).into()), "{carrier}");
            }
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
