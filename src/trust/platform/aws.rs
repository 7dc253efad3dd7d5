//! Tokens that AWS STS issues by `GetWebIdentityToken` (IAM User Guide: "Understanding token claims").

use super::claim::{ClaimFact, PlatformClaims, Shape, refuse_if};
use crate::trust::PlatformReason;

pub(super) const CLAIMS: &[ClaimFact] = &[
    ClaimFact::name("sub", r#""arn:aws:iam::123456789012:role/DataProcessingRole""#),
    ClaimFact::id("/https:~1~1sts.amazonaws.com~1/aws_account", r#""123456789012""#),
    ClaimFact::id("/https:~1~1sts.amazonaws.com~1/org_id", r#""o-abc1234567""#),
    ClaimFact::context("/https:~1~1sts.amazonaws.com~1/ou_path", r#"["o-a1b2c3d4e5/r-ab12/ou-ab12-11111111/"]"#).of(Shape::List),
    ClaimFact::name("/https:~1~1sts.amazonaws.com~1/principal_id", r#""arn:aws:iam::123456789012:role/DataProcessingRole""#),
    ClaimFact::context("/https:~1~1sts.amazonaws.com~1/source_region", r#""eu-west-1""#),
    ClaimFact::context("/https:~1~1sts.amazonaws.com~1/principal_tags", r#"{"team":"data"}"#).of(Shape::Object),
    ClaimFact::chosen("/https:~1~1sts.amazonaws.com~1/request_tags", r#"{"job-id":"job-1"}"#),
    ClaimFact::context(
        "/https:~1~1sts.amazonaws.com~1/ec2_source_instance_arn",
        r#""arn:aws:ec2:eu-west-1:123456789012:instance/i-abc""#,
    ),
    ClaimFact::context("/https:~1~1sts.amazonaws.com~1/ec2_instance_source_vpc", r#""vpc-abc123""#),
    ClaimFact::context("/https:~1~1sts.amazonaws.com~1/ec2_instance_source_private_ipv4", r#""10.0.1.25""#),
    ClaimFact::context("/https:~1~1sts.amazonaws.com~1/ec2_role_delivery", r#""2.0""#),
    ClaimFact::context("/https:~1~1sts.amazonaws.com~1/original_session_exp", r#""2026-01-15T10:00:00Z""#),
    ClaimFact::context("/https:~1~1sts.amazonaws.com~1/federated_provider", r#""arn:aws:iam::123456789012:oidc-provider/x""#),
    ClaimFact::context("/https:~1~1sts.amazonaws.com~1/identity_store_user_id", r#""user-abc123def456""#),
    ClaimFact::context(
        "/https:~1~1sts.amazonaws.com~1/identity_store_arn",
        r#""arn:aws:identitystore::123456789012:identitystore/d-1""#,
    ),
    ClaimFact::context("/https:~1~1sts.amazonaws.com~1/source_identity", r#""admin-user""#),
    ClaimFact::context(
        "/https:~1~1sts.amazonaws.com~1/lambda_source_function_arn",
        r#""arn:aws:lambda:eu-west-1:123456789012:function:f""#,
    ),
    ClaimFact::context("/https:~1~1sts.amazonaws.com~1/glue_credential_issuing_service", r#""glue.amazonaws.com""#),
    ClaimFact::context("jti", r#""xyz123-def456-ghi789-jkl012""#),
];

const ACCOUNT: &str = "/https:~1~1sts.amazonaws.com~1/aws_account";
const PERSON: &str = "/https:~1~1sts.amazonaws.com~1/identity_store_user_id";
const INSTANCES: [&str; 2] =
    ["/https:~1~1sts.amazonaws.com~1/ec2_source_instance_arn", "/https:~1~1sts.amazonaws.com~1/lambda_source_function_arn"];

pub(in crate::trust) fn check(claims: PlatformClaims<'_>) -> Result<(), PlatformReason> {
    let sub = claims.need("sub")?;
    let account = principal(&sub).ok_or(PlatformReason::Subject)?;
    refuse_if(claims.need(ACCOUNT)? != account, PlatformReason::Contradiction)?;
    // Somebody of IAM Identity Center who sits in front of a terminal.
    refuse_if(claims.at(PERSON).is_some_and(|user| !user.is_empty()), PlatformReason::Person)
}

pub(super) fn instance(claims: PlatformClaims<'_>) -> Option<String> {
    let found = INSTANCES.iter().filter_map(|path| claims.at(path)).find(|arn| !arn.is_empty());
    found.map(std::borrow::Cow::into_owned)
}

/// The account of `arn:PARTITION:iam::ACCOUNT:role/…`; users and the root have no workload behind them that could be told.
fn principal(arn: &str) -> Option<&str> {
    let parts: Vec<&str> = arn.splitn(6, ':').collect();
    let ["arn", "aws" | "aws-cn" | "aws-us-gov", "iam", "", account, resource] = parts.as_slice() else { return None };
    let digits = account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit());
    let named = ["role/", "user/"].iter().any(|kind| resource.strip_prefix(kind).is_some_and(|name| !name.is_empty()));
    (digits && named && !resource.contains(['*', ':'])).then_some(account)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn principals_are_roles_and_users_of_an_account() {
        assert_eq!(principal("arn:aws:iam::123456789012:role/path/Data"), Some("123456789012"));
        assert_eq!(principal("arn:aws-cn:iam::123456789012:user/ci"), Some("123456789012"));
        for wrong in [
            "arn:aws:iam::123456789012:root",
            "arn:aws:iam::12345678901:role/x",
            "arn:aws:iam::123456789012:role/",
            "arn:aws:sts::123456789012:assumed-role/x/y",
            "arn:evil:iam::123456789012:role/x",
            "arn:aws:iam:eu:123456789012:role/x",
            "arn:aws:iam::123456789012:role/x:y",
            "alice",
        ] {
            assert_eq!(principal(wrong), None, "{wrong}");
        }
    }
}
