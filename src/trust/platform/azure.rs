//! Tokens of Microsoft Entra for managed identities and applications (Microsoft identity platform: "Access token claims
//! reference"). All tenants share their keys, so the tenant in the claims must be the one in `iss`.

use super::claim::{ClaimFact, PlatformClaims, Shape, refuse_if};
use crate::jose::Compact;
use crate::trust::PlatformReason;

pub(super) const CLAIMS: &[ClaimFact] = &[
    ClaimFact::id("oid", r#""8911b4f4-2b4e-46ce-b854-ebeebffe7bc6""#),
    ClaimFact::id("sub", r#""8911b4f4-2b4e-46ce-b854-ebeebffe7bc6""#),
    ClaimFact::id("appid", r#""a56f4eac-dab5-4920-b005-e84146adaadc""#),
    ClaimFact::id("azp", r#""a56f4eac-dab5-4920-b005-e84146adaadc""#),
    ClaimFact::context("tid", r#""738016bf-2f59-46ca-9660-357d1de3b865""#),
    ClaimFact::context("ver", r#""1.0""#),
    ClaimFact::context("idtyp", r#""app""#),
    ClaimFact::name(
        "xms_mirid",
        r#""/subscriptions/7244/resourcegroups/prod/providers/Microsoft.ManagedIdentity/userAssignedIdentities/web""#,
    ),
    ClaimFact::context(
        "xms_az_rid",
        r#""/subscriptions/7244/resourcegroups/prod/providers/Microsoft.Compute/virtualMachines/web""#,
    ),
    ClaimFact::context("roles", r#"["Tokens.Exchange"]"#).of(Shape::List),
    ClaimFact::context("appidacr", r#""2""#),
    ClaimFact::context("azpacr", r#""2""#),
    ClaimFact::context("idp", r#""https://sts.windows.net/738016bf-2f59-46ca-9660-357d1de3b865/""#),
    ClaimFact::context("uti", r#""43CV3HaJykiHcPnF8XDWAA""#),
];

const PEOPLE: [&str; 5] = ["upn", "unique_name", "preferred_username", "scp", "amr"];

pub(in crate::trust) fn check(claims: PlatformClaims<'_>, token: &Compact<'_>) -> Result<(), PlatformReason> {
    // Tokens for Graph have a nonce in their header and verify nowhere else.
    refuse_if(token.header_names().any(|name| name == "nonce"), PlatformReason::Legacy)?;
    refuse_if(Some(&*claims.need("tid")?) != tenant(claims.issuer()), PlatformReason::Tenant)?;
    let (oid, sub) = (claims.need("oid")?, claims.need("sub")?);
    refuse_if(!is_guid(&oid), PlatformReason::Claim("oid"))?;
    let client = match &*claims.need("ver")? {
        "1.0" => "appid",
        "2.0" => "azp",
        _ => return Err(PlatformReason::Claim("ver")),
    };
    claims.need(client)?;
    let person = PEOPLE.iter().any(|claim| claims.has(claim));
    // `idtyp` is optional; a token without a person has the same object for subject.
    let application = claims.told("idtyp")?.map_or(oid == sub, |kind| kind == "app");
    refuse_if(person || !application, PlatformReason::Person)
}

/// Microsoft's own APIs, and what all federated credentials share.
pub(super) fn is_foreign_audience(audience: &str) -> bool {
    const HOSTS: [&str; 12] = [
        "management.azure.com",
        "management.core.windows.net",
        "management.usgovcloudapi.net",
        "management.core.usgovcloudapi.net",
        "management.chinacloudapi.cn",
        "management.core.chinacloudapi.cn",
        "graph.microsoft.com",
        "graph.microsoft.us",
        "dod-graph.microsoft.us",
        "microsoftgraph.chinacloudapi.cn",
        "vault.azure.net",
        "storage.azure.com",
    ];
    let host = audience.strip_prefix("https://").map(|rest| rest.trim_end_matches('/'));
    // The national clouds have their own: …USGov, …China.
    audience.starts_with("api://AzureADTokenExchange")
        || audience == "00000003-0000-0000-c000-000000000000"
        || host.is_some_and(|host| HOSTS.contains(&host))
}

/// The tenant of an issuer: the segment of its path that is a GUID. `common` and its like are nobody's.
pub fn tenant(issuer: &str) -> Option<&str> {
    issuer.split('/').skip(3).find(|segment| is_guid(segment))
}

fn is_guid(text: &str) -> bool {
    let groups: Vec<usize> = text.split('-').map(str::len).collect();
    let digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte) || byte == b'-';
    groups == [8, 4, 4, 4, 12] && text.bytes().all(digit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tenant_is_in_the_issuer() {
        let guid = "738016bf-2f59-46ca-9660-357d1de3b865";
        assert_eq!(tenant(&format!("https://sts.windows.net/{guid}/")), Some(guid));
        assert_eq!(tenant(&format!("https://login.microsoftonline.com/{guid}/v2.0")), Some(guid));
        for none in
            ["https://login.microsoftonline.com/common/v2.0", "https://sts.windows.net/", "https://sts.windows.net/{tenantid}/"]
        {
            assert_eq!(tenant(none), None);
        }
    }
}
