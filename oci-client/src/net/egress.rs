use std::net::{IpAddr, SocketAddr};

use crate::protocol::url::Origin;

/// Who named the host that is connected to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Egress {
    /// The user.
    Named,
    /// A server: by a redirect, a realm, a Location. `registry` is the host that the user named.
    Told { registry: Origin },
}

impl Egress {
    /// The addresses that may be connected to, of those that the host's name stands for. Checked here, on what is
    /// connected to, because a name can resolve to anything.
    pub(crate) fn allowed(&self, addresses: Vec<SocketAddr>, registry_is_near: bool) -> Vec<SocketAddr> {
        match self {
            Self::Named => addresses,
            Self::Told { .. } => addresses
                .into_iter()
                .filter(|address| match reach(address.ip()) {
                    Reach::Never => false,
                    Reach::Near => registry_is_near,
                    Reach::Far => true,
                })
                .collect(),
        }
    }
}

/// Loopback or private, so that a registry there may lead to others there.
pub(crate) fn is_near(address: &SocketAddr) -> bool {
    reach(address.ip()) == Reach::Near
}

#[derive(Debug, PartialEq, Eq)]
enum Reach {
    /// Unspecified and link-local: cloud metadata lives there.
    Never,
    /// Loopback and private.
    Near,
    Far,
}

fn reach(ip: IpAddr) -> Reach {
    match ip.to_canonical() {
        IpAddr::V4(ip)
            if ip.octets()[0] == 0 || ip.is_link_local() || ip.is_broadcast() || ip.is_multicast() =>
        {
            Reach::Never
        }
        // 100.64/10 is carrier-grade NAT, and inside clouds.
        IpAddr::V4(ip)
            if ip.is_loopback()
                || ip.is_private()
                || (ip.octets()[0] == 100 && ip.octets()[1] & 0xc0 == 64) =>
        {
            Reach::Near
        }
        IpAddr::V6(ip) if ip.is_unspecified() || ip.is_unicast_link_local() || ip.is_multicast() => {
            Reach::Never
        }
        IpAddr::V6(ip) if ip.is_loopback() || ip.is_unique_local() => Reach::Near,
        _ => Reach::Far,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_a_server_may_lead_to() {
        for (address, expected) in [
            ("0.0.0.0", Reach::Never),
            ("0.1.2.3", Reach::Never),
            ("169.254.169.254", Reach::Never),
            ("::", Reach::Never),
            ("fe80::1", Reach::Never),
            ("::ffff:169.254.1.1", Reach::Never),
            ("224.0.0.1", Reach::Never),
            ("127.0.0.1", Reach::Near),
            ("::ffff:127.0.0.1", Reach::Near),
            ("10.1.1.1", Reach::Near),
            ("172.16.0.1", Reach::Near),
            ("192.168.0.1", Reach::Near),
            ("100.64.0.1", Reach::Near),
            ("::1", Reach::Near),
            ("fd00::1", Reach::Near),
            ("8.8.8.8", Reach::Far),
            ("100.128.0.1", Reach::Far),
            ("2001:4860::1", Reach::Far),
        ] {
            assert_eq!(reach(address.parse().unwrap()), expected, "{address}");
        }
        let told = Egress::Told { registry: Origin { https: false, host: "r".into(), port: 80 } };
        let near: SocketAddr = "127.0.0.1:1".parse().unwrap();
        assert_eq!(told.allowed(vec![near], false), []);
        assert_eq!(told.allowed(vec![near], true), [near]);
        assert_eq!(Egress::Named.allowed(vec!["0.0.0.0:1".parse().unwrap()], false).len(), 1);
    }
}
