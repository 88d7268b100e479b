//! Verifies that a certificate is for the requested host, as Go does (`crypto/x509/verify.go`): a wildcard matches one label;
//! addresses are compared with addresses only; the common name does not count.

use std::net::IpAddr;

use rustls_pki_types::ServerName;

use crate::certificate::{Certificate, Name};

/// The most names of a certificate that an error shows.
const NAMES_SHOWN: usize = 10;

/// Checks the host; the error lists the names and says what to do. `configured`: the host is the configured `server_name`.
pub(crate) fn check(certificate: &Certificate<'_>, host: &ServerName<'_>, configured: bool) -> Result<(), String> {
    let names = certificate.extensions.names.as_deref().unwrap_or_default();
    let matched = match host {
        ServerName::DnsName(name) => {
            names.iter().any(|one| matches!(one, Name::Dns(dns) if is_for(dns, name.as_ref())))
        }
        ServerName::IpAddress(address) => {
            // An IPv4 address may be written as an IPv6 one.
            let address = IpAddr::from(*address).to_canonical();
            names.iter().any(|one| ip(one).is_some_and(|ip| ip.to_canonical() == address))
        }
        _ => false,
    };
    if matched { Ok(()) } else { Err(refusal(certificate, host, configured)) }
}

/// Does the name of a certificate, possibly a wildcard, match the host?
fn is_for(presented: &[u8], host: &str) -> bool {
    let Ok(presented) = std::str::from_utf8(presented) else { return false };
    let host = host.to_ascii_lowercase();
    let exact = presented.eq_ignore_ascii_case(&host);
    // Go compares names that are no valid host names as they are, without wildcards.
    if !is_hostname(&host, false) || !is_hostname(presented, true) {
        return !host.is_empty() && host != "." && exact;
    }
    let host = host.strip_suffix('.').unwrap_or(&host);
    let (mut pattern, mut labels) = (presented.split('.'), host.split('.'));
    let first = (pattern.next(), labels.next());
    // A wildcard is the whole first label and stands for exactly one.
    matches!(first, (Some(p), Some(l)) if p == "*" || p.eq_ignore_ascii_case(l))
        && pattern.clone().count() == labels.clone().count()
        && pattern.zip(labels).all(|(p, l)| p.eq_ignore_ascii_case(l))
}

fn is_hostname(name: &str, pattern: bool) -> bool {
    let name = if pattern { name } else { name.strip_suffix('.').unwrap_or(name) };
    if name.is_empty() || name == "*" {
        return false;
    }
    name.split('.').enumerate().all(|(i, label)| {
        let good = |(j, byte): (usize, u8)| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-' && j > 0;
        !label.is_empty() && (pattern && i == 0 && label == "*" || label.bytes().enumerate().all(good))
    })
}

fn ip(name: &Name<'_>) -> Option<IpAddr> {
    let Name::Ip(bytes) = name else { return None };
    let four = <[u8; 4]>::try_from(*bytes).map(IpAddr::from);
    four.or_else(|_| <[u8; 16]>::try_from(*bytes).map(IpAddr::from)).ok()
}

fn refusal(certificate: &Certificate<'_>, host: &ServerName<'_>, configured: bool) -> String {
    let wanted = host.to_str();
    let names = certificate.extensions.names.as_deref();
    let common = certificate.common_name().filter(|common| is_for(common.as_bytes(), &wanted));
    if let (None, Some(common)) = (names, common) {
        return format!(
            "certificate relies on legacy Common Name field ({common:.100}), use SANs instead; it needs a subject \
             alternative name"
        );
    }
    let names = names.unwrap_or_default();
    let dns = names.iter().filter_map(|name| match name {
        Name::Dns(dns) => Some(String::from_utf8_lossy(dns).escape_debug().to_string()),
        _ => None,
    });
    let by_name: Vec<String> = dns.collect();
    let by_address: Vec<String> = names.iter().filter_map(ip).map(|ip| ip.to_string()).collect();
    let usable = by_name.iter().find(|name| ServerName::try_from(name.as_str()).is_ok_and(|name| is_dns(&name)));
    let fix = match usable.or(by_address.first()) {
        _ if configured => "; tls_config.server_name asks for that name".to_owned(),
        Some(name) => format!("; set tls_config.server_name: {name}"),
        None if by_name.is_empty() => "; it needs a subject alternative name".to_owned(),
        // No name can be suggested: a wildcard is not one to ask for.
        None => match by_name.iter().find(|name| name.starts_with("*.")) {
            Some(wildcard) => format!("; set tls_config.server_name to a name like {wildcard}"),
            None => "; it needs another subject alternative name".to_owned(),
        },
    };
    let is_address = matches!(host, ServerName::IpAddress(_));
    let (matching, others) = if is_address { (&by_address, &by_name) } else { (&by_name, &by_address) };
    if is_address && by_address.is_empty() {
        let has = if others.is_empty() { String::new() } else { format!(", only the names {}", listed(others)) };
        return format!("cannot validate certificate for {wanted} because it doesn't contain any IP SANs{has}{fix}");
    }
    if matching.is_empty() {
        let has = if others.is_empty() { String::new() } else { format!(" (only for the address {})", listed(others)) };
        return format!("certificate is not valid for any names{has}, but wanted to match {wanted}{fix}");
    }
    format!("certificate is valid for {}, not {wanted}{fix}", listed(matching))
}

fn is_dns(name: &ServerName<'_>) -> bool {
    matches!(name, ServerName::DnsName(_))
}

fn listed(names: &[String]) -> String {
    let more = if names.len() > NAMES_SHOWN { ", …" } else { "" };
    format!("{}{more}", names.get(..NAMES_SHOWN).unwrap_or(names).join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wildcard_is_one_label_whatever_is_behind_it() {
        for (presented, host, expected) in [
            ("a.example", "a.example", true),
            ("A.Example", "a.eXample", true),
            ("a.example", "a.example.", true),
            ("*.lan", "node1.lan", true),
            ("*.lan", "a.node1.lan", false),
            ("*.lan", "lan", false),
            ("*.example.org", "x.example.org", true),
            ("*", "host", false),
            ("*.*.lan", "a.b.lan", false),
            ("a*.lan", "ab.lan", false),
            ("a_b.lan", "a_b.lan", true),
            ("-a.lan", "-a.lan", true),
            ("", "", false),
            ("127.0.0.1", "127.0.0.1", true),
        ] {
            assert_eq!(is_for(presented.as_bytes(), host), expected, "{presented} for {host}");
        }
    }
}
