//! A PROXY v2 header at the beginning of a connection.

use std::net::IpAddr;

use front::reading::proxy_header;

const MAGIC: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// A connection's first bytes. A header that is read names the address that stands at the specification's place, and takes
/// its own length of bytes, not one more.
pub fn read(input: &[u8]) -> bool {
    let Some((source, rest)) = proxy_header(input) else { return false };
    let header = &input[..input.len() - rest.len()];
    assert_eq!(&header[..12], MAGIC);
    assert_eq!(header[12] >> 4, 2, "version 2");
    let length = usize::from(u16::from_be_bytes([header[14], header[15]]));
    assert_eq!(header.len(), 16 + length);
    let expected = match (header[12] & 0x0f, header[13] >> 4) {
        (0, _) => None,
        (1, 1) => Some(IpAddr::from(<[u8; 4]>::try_from(&header[16..20]).expect("four bytes"))),
        (1, 2) => Some(IpAddr::from(<[u8; 16]>::try_from(&header[16..32]).expect("sixteen bytes"))),
        (1, 0 | 3) => None,
        other => panic!("no such command and family: {other:?}"),
    };
    assert_eq!(source, expected);
    true
}
