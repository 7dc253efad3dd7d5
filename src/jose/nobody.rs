//! Keys of nobody. What names a client that there is not is verified by one of them, in vain, so that its refusal takes the work
//! of any other.

use std::sync::LazyLock;

use super::{Compact, KeySet, KeyUse};

/// One key for every algorithm that there is. The private ones were never kept.
static NOBODY: LazyLock<Option<KeySet>> = LazyLock::new(|| KeySet::parse(KEYS.as_bytes(), KeyUse::Signature).ok());

const KEYS: &str = concat!(
    r#"{"keys":["#,
    r#"{"kty":"EC","crv":"P-256","x":"xjruLBXqVHoAtITunmVzXj_zQo2D63FNAfXWJjTs2fE","y":"c2e1WfyCoiWRMRgodTJJQZgAgBil_"#,
    r#"iCptbO7So6Gh0A"}"#,
    r#",{"kty":"EC","crv":"P-384","x":"NETkU1Ai1B-Pao3ZVVX12ixt9GKdFSpTJZgPe6-V2YT4JC2n2YeOAMPo5Dd5RNP8","y":"D6W44K0"#,
    r#"sji3hVNKaWWf0xAFuzFkBKHL3qDS5O4-VBZ-AJ9sW6MGhF_LrctAOY0gC"}"#,
    r#",{"kty":"EC","crv":"P-521","x":"APVpAmN6V5Dre6KvDI5SejZn74XuSCZ_4QiFTTVF3YDZv1iay4-V0IS_M7XujB4tD-Pa0cLoTIOr_U"#,
    r#"zzm64lGcEM","y":"AL58mj4MPyKbgMfmRhUYBNCPD_vu980ykH2h-jm1RcDFqol453n1_FHyyGn-4NvWP_3gzCw4ROI5o8z5sISlu9LW"}"#,
    r#",{"kty":"OKP","crv":"Ed25519","x":"COeTx4-vtoBMGdUGpRuq39_V2MI8VxoQj3l2ObTmj38"}"#,
    r#",{"kty":"RSA","e":"AQAB","n":"nJIZmWf0xRRzP3zw9VsiG3mBwj5vdI83EpnVZRI1pQjHTwVZQHd_wXz8pJotm7awmPe8FRL4prRlEoXm"#,
    r#"qaV3jMo1dD3VxErRaYLkguUhrjxDmzEUfEk9ryeVwN1lHnZXMf2x3I1CtvqKjYtVQKi7QTLrbvR3pPV7qAki8R87WXvW86JrwVYkyFV9Sdtzml"#,
    r#"XbrR40kF_OsGtLLLpPSm1GGxJbMT-7Qj6vmQ1hxzTmpHnRaqySsDCp2Bn-LBOswIqztGVXb24AL4w9MZlNIGP0agy36l07HUqbRSxckzgDUEEJ"#,
    r#"PsN9fwCEG_2XrIbq8_AXrMJcf8di_zRn9799-NGpzQ"}"#,
    "]}"
);

impl Compact<'_> {
    /// Does the work of a verification whose outcome is known: it is nobody's.
    pub fn verify_in_vain(&self) {
        let key = self.algorithm().ok().zip(NOBODY.as_ref()).and_then(|(algorithm, keys)| {
            let key = keys.select(None, algorithm).ok()?;
            Some((key, algorithm))
        });
        if let Some((key, algorithm)) = key {
            let _nobodys = self.check_signature(key, algorithm);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jose::Algorithm;

    #[test]
    fn there_is_one_key_for_every_algorithm() {
        let keys = NOBODY.as_ref();
        for algorithm in Algorithm::ALL {
            assert!(keys.is_some_and(|keys| keys.select(None, algorithm).is_ok()), "{algorithm}");
        }
    }
}
