//! A signature of a voucher.

use alloy_primitives::B256;
use channel::Signature;

/// 32 bytes of a digest, then a signature. What is parsed is canonical, and both implementations find the same signer.
pub fn read(input: &[u8]) -> bool {
    let Some((digest, signature)) = input.split_at_checked(32) else { return false };
    let Ok(signature) = Signature::parse(signature) else { return false };
    assert_eq!(Signature::parse(signature.as_bytes()), Ok(signature));
    assert!(matches!(signature.as_bytes()[64], 27 | 28));
    assert!(signature.as_bytes()[32] < 0x80, "s is in the lower half");
    let digest = B256::from_slice(digest);
    let signer = signature.recover(digest);
    assert_eq!(signer, signature.recover_in_rust(digest));
    signer.is_ok()
}
