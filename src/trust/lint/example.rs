//! A token that passes a rule: the platform's example claims, changed to what the rule requires, and made consistent.

use serde_json::{Map, Value, json};

use crate::trust::{Literal, Matcher, Requirement, TrustKind, TrustRule, claims_of, tenant};

/// When the examples were issued: the first second of 2026.
const ISSUED: i64 = 1_767_225_600;

/// Optional claims that would change what the others mean.
const ABSENT: [&str; 20] = [
    "environment",
    "environment_protected",
    "deployment_tier",
    "enterprise",
    "enterprise_id",
    "build_tag",
    "source_project_id",
    "source_namespace_id",
    "source_project_path",
    "source_namespace_path",
    "user_identities",
    "target_audience",
    "/kubernetes.io/secret/name",
    "/kubernetes.io/secret/uid",
    "/https:~1~1sts.amazonaws.com~1/lambda_source_function_arn",
    "/https:~1~1sts.amazonaws.com~1/glue_credential_issuing_service",
    "/https:~1~1sts.amazonaws.com~1/federated_provider",
    "/https:~1~1sts.amazonaws.com~1/source_identity",
    "/https:~1~1sts.amazonaws.com~1/identity_store_user_id",
    "/https:~1~1sts.amazonaws.com~1/identity_store_arn",
];

pub(super) struct Example {
    kind: TrustKind,
    issuer: String,
    claims: Value,
    /// The paths that must stay as they are.
    set: Vec<String>,
}

impl Example {
    pub(super) fn of(rule: &TrustRule) -> Self {
        let mut example = Self { kind: rule.kind(), issuer: rule.issuer().to_owned(), claims: json!({}), set: Vec::new() };
        for fact in claims_of(rule.kind()).iter().filter(|fact| !ABSENT.contains(&fact.path)) {
            example.put(fact.path, serde_json::from_str(fact.example).unwrap_or_default());
        }
        example.begin(rule);
        let marks = rule.access_tokens().into_iter().flat_map(|form| &form.marks);
        marks.chain(rule.require()).for_each(|requirement| example.meet(requirement));
        example
    }

    fn meet(&mut self, requirement: &Requirement) {
        let value = match requirement.matcher() {
            Matcher::Is(literal) => Some(value(literal)),
            Matcher::OneOf(literals) => literals.first().map(value),
            Matcher::Prefix(prefix) => Some(format!("{prefix}anything").into()),
            Matcher::Contains(literals) => literals.first().map(|literal| json!([value(literal)])),
            Matcher::Present => None,
        };
        let absent = || self.claims.pointer(&pointer(requirement.claim())).is_none();
        if let Some(value) = value.or_else(|| absent().then(|| "anything".into())) {
            self.put(requirement.claim(), value);
            self.set.push(requirement.claim().to_owned());
        }
    }

    pub(super) fn change(&mut self, path: &str, value: &str) {
        let listed = matches!(self.claims.pointer(&pointer(path)), Some(Value::Array(_))) && path == "aud";
        self.put(path, if listed { json!([value]) } else { value.into() });
        self.set.push(path.to_owned());
    }

    pub(super) fn json(mut self) -> String {
        self.agree();
        self.claims.to_string()
    }

    fn begin(&mut self, rule: &TrustRule) {
        let audience = rule.audiences().first().cloned().unwrap_or_default();
        let listed = matches!(self.kind, TrustKind::Kubernetes | TrustKind::Spiffe);
        let mut members = vec![
            ("aud", if listed { json!([audience]) } else { audience.into() }),
            ("iat", ISSUED.into()),
            ("exp", (ISSUED + 300).into()),
        ];
        match self.kind {
            TrustKind::Spiffe => members.push(("sub", format!("{}/ns/prod/sa/web", self.issuer).into())),
            TrustKind::ClientAttester => {
                let key = json!({
                    "kty": "EC", "crv": "P-256", "x": "l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs",
                    "y": "9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA",
                });
                members.retain(|(name, _)| *name != "aud");
                members.extend([("sub", "client-id".into()), ("cnf", json!({ "jwk": key }))]);
            }
            TrustKind::X509 => members = vec![("sub", "CN=web,O=Acme".into()), ("dns", "web.acme.example".into())],
            TrustKind::IdJag => {
                let claims = [("sub", "anybody"), ("client_id", "any-agent"), ("jti", "once")];
                members.extend(claims.map(|(name, text)| (name, text.into())));
                members.push(("iss", self.issuer.clone().into()));
            }
            TrustKind::Oidc | TrustKind::Oauth => {
                members.extend([("iss", self.issuer.clone().into()), ("sub", "anybody".into())]);
            }
            _ => members.push(("iss", self.issuer.clone().into())),
        }
        if let Some(form) = rule.access_tokens() {
            let scopes: Vec<&str> = rule.scopes().iter().map(|map| map.from.as_str()).collect();
            members.push((form.scope.as_str(), scopes.join(" ").into()));
            members.extend(form.client.first().map(|claim| (claim.as_str(), "any-client".into())));
        }
        members.into_iter().for_each(|(name, value)| self.put(name, value));
    }

    /// Claims that repeat others follow them.
    fn agree(&mut self) {
        match self.kind {
            TrustKind::Github => self.agree_on_github(),
            TrustKind::Gitlab => self.agree_on_gitlab(),
            TrustKind::Buildkite => self.agree_on_buildkite(),
            TrustKind::Kubernetes => self.agree_on_kubernetes(),
            TrustKind::Gcp => {
                let (from, to) = if self.is_set("azp") { ("azp", "sub") } else { ("sub", "azp") };
                let account = self.text(from);
                self.follow(to, account);
            }
            TrustKind::Aws => self.agree_on_aws(),
            TrustKind::Azure => self.agree_on_azure(),
            TrustKind::Oidc | TrustKind::Oauth | TrustKind::IdJag => {}
            TrustKind::Spiffe | TrustKind::X509 | TrustKind::ClientAttester => {}
        }
    }

    fn agree_on_github(&mut self) {
        if self.is_set("sub") {
            self.read_github_subject();
        }
        let owner = self.text("repository_owner");
        if self.is_set("repository_owner") && !self.is_set("repository") {
            self.follow("repository", format!("{owner}/app"));
        }
        let repository = self.text("repository");
        self.follow("repository_owner", repository.split('/').next().unwrap_or_default().to_owned());
        if self.text("event_name").starts_with("pull_request") {
            self.follow("ref", "refs/pull/7/merge".to_owned());
        }
        let name = self.text("ref");
        self.follow("ref_type", if name.starts_with("refs/tags/") { "tag" } else { "branch" }.to_owned());
        let context = match (self.claims.get("environment"), self.text("event_name").as_str()) {
            (Some(Value::String(name)), _) => format!("environment:{}", name.replace(':', "%3A")),
            (_, "pull_request") => "pull_request".to_owned(),
            _ => format!("ref:{name}"),
        };
        self.follow("sub", format!("repo:{repository}:{context}"));
        self.follow("job_workflow_ref", format!("{repository}/.github/workflows/deploy.yml@{name}"));
        self.follow("workflow_ref", format!("{repository}/.github/workflows/deploy.yml@{name}"));
    }

    fn read_github_subject(&mut self) {
        let sub = self.text("sub");
        let Some((named, context)) = sub.strip_prefix("repo:").and_then(|rest| rest.split_once(':')) else { return };
        let parts: Vec<&str> = named.split(['/', '@']).collect();
        match parts.as_slice() {
            [owner, repository] => self.follow("repository", format!("{owner}/{repository}")),
            [owner, owner_id, repository, id] => {
                self.follow("repository", format!("{owner}/{repository}"));
                self.follow("repository_owner_id", (*owner_id).to_owned());
                self.follow("repository_id", (*id).to_owned());
            }
            _ => {}
        }
        match context.split_once(':') {
            Some(("ref", name)) => self.follow("ref", name.replace("%3A", ":")),
            Some(("environment", name)) => self.follow("environment", name.replace("%3A", ":")),
            None if context == "pull_request" => self.follow("event_name", "pull_request".to_owned()),
            _ => {}
        }
    }

    fn agree_on_gitlab(&mut self) {
        let sub = self.text("sub");
        let mut parts = sub.split(':');
        while let (true, Some(name), Some(value)) = (self.is_set("sub"), parts.next(), parts.next()) {
            self.follow(name, value.to_owned());
        }
        if self.is_set("namespace_path") && !self.is_set("project_path") {
            let group = self.text("namespace_path");
            self.follow("project_path", format!("{group}/app"));
        }
        let path = self.text("project_path");
        self.follow("namespace_path", path.rsplit_once('/').map_or(path.clone(), |(group, _)| group.to_owned()));
        let whole = self.text("ref_path");
        for (folder, kind) in [("refs/heads/", "branch"), ("refs/tags/", "tag")] {
            if let Some(name) = whole.strip_prefix(folder).filter(|_| self.is_set("ref_path")) {
                self.follow("ref_type", kind.to_owned());
                self.follow("ref", name.to_owned());
            }
        }
        let (name, kind) = (self.text("ref"), self.text("ref_type"));
        self.follow("ref_path", format!("refs/{}/{name}", if kind == "tag" { "tags" } else { "heads" }));
        self.follow("sub", format!("project_path:{path}:ref_type:{kind}:ref:{name}"));
        for (job, own) in [("job_project_id", "project_id"), ("job_project_path", "project_path")] {
            let value = self.text(own);
            self.follow(job, value);
        }
    }

    fn agree_on_buildkite(&mut self) {
        let sub = self.text("sub");
        let parts: Vec<&str> = sub.split(':').collect();
        if let (true, [_, organization, _, pipeline, _, name, _, commit, _, step]) = (self.is_set("sub"), parts.as_slice()) {
            self.follow("organization_slug", (*organization).to_owned());
            self.follow("pipeline_slug", (*pipeline).to_owned());
            self.follow("build_branch", name.trim_start_matches("refs/heads/").to_owned());
            self.follow("build_commit", (*commit).to_owned());
            self.follow("step_key", (*step).to_owned());
        }
        let (organization, pipeline) = (self.text("organization_slug"), self.text("pipeline_slug"));
        let (branch, commit, step) = (self.text("build_branch"), self.text("build_commit"), self.text("step_key"));
        let reference = match self.is_set("build_tag") {
            true => format!("refs/tags/{}", self.text("build_tag")),
            false => format!("refs/heads/{branch}"),
        };
        let named = format!("organization:{organization}:pipeline:{pipeline}:ref:{reference}");
        self.follow("sub", format!("{named}:commit:{commit}:step:{step}"));
        if self.is_set("sub") && !sub.contains(':') {
            self.follow("pipeline_id", sub);
        }
    }

    fn agree_on_kubernetes(&mut self) {
        let (namespace, name) = ("/kubernetes.io/namespace", "/kubernetes.io/serviceaccount/name");
        let sub = self.text("sub");
        if let (true, [_, _, first, second]) = (self.is_set("sub"), sub.split(':').collect::<Vec<_>>().as_slice()) {
            self.follow(namespace, (*first).to_owned());
            self.follow(name, (*second).to_owned());
        }
        let sub = format!("system:serviceaccount:{}:{}", self.text(namespace), self.text(name));
        self.follow("sub", sub);
    }

    fn agree_on_aws(&mut self) {
        let account = "/https:~1~1sts.amazonaws.com~1/aws_account";
        if self.is_set("sub") {
            let owner = self.text("sub").split(':').nth(4).unwrap_or_default().to_owned();
            self.follow(account, owner);
        }
        let sub = format!("arn:aws:iam::{}:role/DataProcessingRole", self.text(account));
        self.follow("sub", sub);
    }

    fn agree_on_azure(&mut self) {
        let (from, to) = if self.is_set("sub") { ("sub", "oid") } else { ("oid", "sub") };
        let object = self.text(from);
        self.follow(to, object);
        self.follow("tid", tenant(&self.issuer).unwrap_or_default().to_owned());
        self.follow("ver", if self.issuer.ends_with("/v2.0") { "2.0" } else { "1.0" }.to_owned());
    }

    fn text(&self, path: &str) -> String {
        self.claims.pointer(&pointer(path)).and_then(Value::as_str).unwrap_or_default().to_owned()
    }

    fn is_set(&self, path: &str) -> bool {
        self.set.iter().any(|set| set == path)
    }

    /// Puts what follows from another claim, unless the rule or the finding says otherwise.
    fn follow(&mut self, path: &str, value: String) {
        if !self.is_set(path) {
            self.put(path, value.into());
        }
    }

    fn put(&mut self, path: &str, value: Value) {
        let steps: Vec<String> =
            pointer(path).split('/').skip(1).map(|step| step.replace("~1", "/").replace("~0", "~")).collect();
        let Some((last, above)) = steps.split_last() else { return };
        let mut place = &mut self.claims;
        for step in above {
            if !place.is_object() {
                *place = json!({});
            }
            let Some(members) = place.as_object_mut() else { return };
            place = members.entry(step.clone()).or_insert_with(|| Value::Object(Map::new()));
        }
        if !place.is_object() {
            *place = json!({});
        }
        if let Some(members) = place.as_object_mut() {
            members.insert(last.clone(), value);
        }
    }
}

fn pointer(path: &str) -> String {
    match path.starts_with('/') {
        true => path.to_owned(),
        false => format!("/{}", path.replace('~', "~0").replace('/', "~1")),
    }
}

fn value(literal: &Literal) -> Value {
    match literal {
        Literal::Text(text) => text.as_str().into(),
        Literal::Bool(truth) => (*truth).into(),
        Literal::Number(number) => (*number).into(),
    }
}
