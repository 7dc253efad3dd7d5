#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
use super::*;
use crate::trust::PlatformReason;

#[test]
fn facts_are_json_of_their_own_shape_and_cover_what_lies_in_them() {
    for (_, kind) in TrustKind::ALL {
        for fact in claims_of(kind) {
            let value: serde_json::Value = serde_json::from_str(fact.example).unwrap();
            let fits = match fact.shape {
                Shape::Text => value.is_string() || value.is_null(),
                Shape::Integer => value.is_i64(),
                Shape::Boolean => value.is_boolean(),
                Shape::List => value.is_array(),
                Shape::Object => value.is_object(),
            };
            assert!(fits, "{kind} {}", fact.path);
        }
    }
    let tags = "/https:~1~1sts.amazonaws.com~1/request_tags";
    assert_eq!(claim_of(TrustKind::Aws, &format!("{tags}/team")).unwrap().nature, Nature::Chosen);
    assert!(claim_of(TrustKind::Aws, "/https:~1~1sts.amazonaws.com~1/request_tagsx").is_none());
    assert_eq!(claim_of(TrustKind::Github, "/repository_id").unwrap().path, "repository_id");
    assert!(claim_of(TrustKind::Github, "repository_idx").is_none());
}

#[test]
fn public_sentences_follow_the_house_rules() {
    let reasons = [
        PlatformReason::Claim("sub"),
        PlatformReason::Subject,
        PlatformReason::Contradiction,
        PlatformReason::Audience,
        PlatformReason::Legacy,
        PlatformReason::Person,
        PlatformReason::PullRequest,
        PlatformReason::Tag,
        PlatformReason::Fork,
        PlatformReason::Tenant,
        PlatformReason::IdToken,
    ];
    for sentence in reasons.map(|reason| reason.to_string()) {
        assert!(sentence.is_ascii() && !sentence.contains(['"', '\\']) && !sentence.ends_with('.'), "{sentence}");
        assert!(sentence.starts_with(|first: char| first.is_ascii_lowercase()), "{sentence}");
    }
}
