//! A random configuration: agents, APIs, policies. Written as the files that an operator would write, and kept as plain data for
//! the model.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use countersign::crypto::Digest;

use super::rng::Rng;

pub const ISSUER: &str = "https://sts.example";
pub const IDP: &str = "https://login.example";
pub const LIFETIME: i64 = 300;
pub const LIFETIME_MAX: i64 = 600;
const AGENTS: usize = 4;
const APIS: usize = 4;
const SCOPES: usize = 4;

/// Everything that decides.
pub struct Universe {
    pub agents: Vec<AgentPlan>,
    pub apis: Vec<ApiPlan>,
    pub policies: Vec<PolicyPlan>,
    pub depth_max: usize,
}

/// An agent.
pub struct AgentPlan {
    pub id: String,
    pub team: String,
    pub active: bool,
}

/// An API.
pub struct ApiPlan {
    pub id: String,
    pub agent: Option<String>,
    pub scopes: BTreeSet<String>,
    pub defaults: BTreeSet<String>,
    pub lifetime: Option<i64>,
    pub current_only: bool,
    pub group: bool,
    /// From which scope of which API which scope of this one may be derived.
    pub derive: Vec<(String, String, String)>,
}

/// A policy; what is absent is unconstrained.
pub struct PolicyPlan {
    pub permit: bool,
    pub action: Option<&'static str>,
    pub agent: Option<String>,
    pub team: Option<String>,
    pub api: Option<String>,
    pub scope: Option<String>,
    pub depth_most: Option<usize>,
    pub lifetime: Option<i64>,
}

impl AgentPlan {
    /// As which client it is known to the identity provider.
    pub fn foreign(&self) -> String {
        format!("client-of-{}", self.id)
    }

    /// Its secret.
    pub fn secret(&self) -> String {
        format!("secret-of-{}-0123456789abcdef0123456789abcdef", self.id)
    }
}

impl PolicyPlan {
    fn everything() -> Self {
        let (agent, team, api, scope) = (None, None, None, None);
        Self { permit: true, action: Some("exchange"), agent, team, api, scope, depth_most: None, lifetime: None }
    }
}

impl Universe {
    /// The universe of this number.
    pub fn new(rng: &mut Rng) -> Self {
        let agents: Vec<AgentPlan> = (0..AGENTS).map(|number| agent(rng, number)).collect();
        let mut apis: Vec<ApiPlan> = (0..APIS).map(|number| api(rng, number, &agents)).collect();
        let shape: Vec<(String, Vec<String>)> =
            apis.iter().map(|api| (api.id.clone(), api.scopes.iter().cloned().collect())).collect();
        for (number, api) in apis.iter_mut().enumerate() {
            api.derive = derive(rng, number, &shape);
        }
        let mut policies: Vec<PolicyPlan> = (0..6 + rng.below(12)).map(|_| policy(rng, &agents, &shape)).collect();
        // Half of the universes permit everything that is not forbidden: there authority and history alone are the limits.
        policies.extend(rng.chance(50).then(PolicyPlan::everything));
        Self { agents, apis, policies, depth_max: 2 + rng.below(9) }
    }

    pub fn api(&self, id: &str) -> &ApiPlan {
        self.apis.iter().find(|api| api.id == id).unwrap()
    }

    pub fn agent(&self, id: &str) -> &AgentPlan {
        self.agents.iter().find(|agent| agent.id == id).unwrap()
    }

    /// Writes the files; `jwks` is the identity provider's key set.
    pub fn write(&self, folder: &Path, jwks: &str) {
        for name in ["trust", "agents", "apis", "policies"] {
            fs::create_dir_all(folder.join(name)).unwrap();
        }
        let put = |name: &str, text: String| fs::write(folder.join(name), text).unwrap();
        put("idp.jwks.json", jwks.to_owned());
        put("countersign.toml", self.settings());
        put("trust/idp.toml", trust());
        for agent in &self.agents {
            put(&format!("agents/{}.toml", agent.id), agent_file(agent));
        }
        for (number, api) in self.apis.iter().enumerate() {
            put(&format!("apis/api-{number}.toml"), api_file(api));
        }
        put("policies/all.cedar", self.policies.iter().map(policy_text).collect());
    }

    fn settings(&self) -> String {
        format!(
            "issuer = \"{ISSUER}\"\n[tokens]\nlifetime = \"{LIFETIME}s\"\nlifetime_max = \"{LIFETIME_MAX}s\"\n\
             chain_depth_max = {}\n\
             [keys]\ndir = \"../keys\"\nalgorithms = [\"ES256\"]\n\
             [files]\ntrust = \"trust\"\nagents = \"agents\"\napis = \"apis\"\npolicies = \"policies\"\n",
            self.depth_max
        )
    }
}

fn agent(rng: &mut Rng, number: usize) -> AgentPlan {
    AgentPlan { id: format!("agent-{number}"), team: format!("team-{}", rng.below(2)), active: rng.chance(95) }
}

fn api(rng: &mut Rng, number: usize, agents: &[AgentPlan]) -> ApiPlan {
    let group = number >= 2;
    // Names are shared between APIs on purpose, except in a group, where they would collide.
    let name = |scope: usize| if group { format!("g{number}.s{scope}") } else { format!("s{scope}") };
    let names: Vec<String> = (0..SCOPES).map(name).collect();
    let mut scopes: BTreeSet<String> = rng.some(&names, 75).into_iter().collect();
    scopes.insert(names[0].clone());
    let all: Vec<String> = scopes.iter().cloned().collect();
    ApiPlan {
        id: format!("https://api-{number}.example"),
        agent: rng.chance(75).then(|| rng.pick(agents).id.clone()),
        defaults: rng.some(&all, 50).into_iter().collect(),
        scopes,
        lifetime: rng.chance(40).then(|| i64::try_from(20 + rng.below(500)).unwrap()),
        current_only: !group && rng.chance(30),
        group,
        derive: Vec::new(),
    }
}

fn derive(rng: &mut Rng, number: usize, shape: &[(String, Vec<String>)]) -> Vec<(String, String, String)> {
    let mut edges = BTreeSet::new();
    for (api, scopes) in shape.iter().filter(|(api, _)| *api != shape[number].0) {
        for _ in 0..rng.below(5) {
            edges.insert((api.clone(), rng.pick(scopes).clone(), rng.pick(&shape[number].1).clone()));
        }
    }
    edges.into_iter().collect()
}

fn policy(rng: &mut Rng, agents: &[AgentPlan], shape: &[(String, Vec<String>)]) -> PolicyPlan {
    let permit = rng.chance(88);
    // What forbids is narrow, or nothing would ever be permitted.
    let narrow = if permit { 35 } else { 90 };
    let (api, scopes) = rng.pick(shape).clone();
    let of_scope = rng.chance(if permit { 30 } else { 80 });
    let of_agent = rng.chance(narrow);
    PolicyPlan {
        permit,
        action: Some(if rng.chance(80) { "exchange" } else { "impersonate" }),
        agent: of_agent.then(|| rng.pick(agents).id.clone()),
        team: (!of_agent && rng.chance(narrow)).then(|| rng.pick(agents).team.clone()),
        scope: of_scope.then(|| rng.pick(&scopes).clone()),
        api: (of_scope || rng.chance(50)).then_some(api),
        depth_most: rng.chance(25).then(|| 1 + rng.below(5)),
        lifetime: (permit && rng.chance(40)).then(|| i64::try_from(10 + rng.below(400)).unwrap()),
    }
}

fn trust() -> String {
    format!(
        "name = \"idp\"\nkind = \"oidc\"\nissuer = \"{IDP}\"\naudiences = [\"{ISSUER}\"]\nalgorithms = [\"ES256\"]\n\
         lifetime_max = \"1h\"\nsubject = {{ kind = \"user\", id = \"{{sub}}\" }}\n[keys]\njwks_file = \"../idp.jwks.json\"\n"
    )
}

fn agent_file(agent: &AgentPlan) -> String {
    let hash = URL_SAFE_NO_PAD.encode(Digest::of(agent.secret().as_bytes()).0);
    format!(
        "id = \"{}\"\nowner = \"dana@acme.example\"\nteam = \"{}\"\nkind = \"ai_agent\"\nstatus = \"{}\"\n\
         [[foreign_clients]]\ntrust = \"idp\"\nclient = \"{}\"\n\
         [[login]]\nmethod = \"client_secret_post\"\nsecret_hash = \"sha256:{hash}\"\n",
        agent.id,
        agent.team,
        if agent.active { "active" } else { "suspended" },
        agent.foreign()
    )
}

fn api_file(api: &ApiPlan) -> String {
    let quoted = |names: &BTreeSet<String>| names.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(", ");
    let mut text = format!("id = \"{}\"\ndestination = \"internal\"\ndefault_scopes = [{}]\n", api.id, quoted(&api.defaults));
    text += &format!("chain = \"{}\"\n", if api.current_only { "current" } else { "full" });
    text += &api.agent.iter().map(|agent| format!("agent = \"{agent}\"\n")).collect::<String>();
    text += &api.lifetime.iter().map(|seconds| format!("lifetime = \"{seconds}s\"\n")).collect::<String>();
    text += if api.group { "group = \"suite\"\n" } else { "" };
    text += "[scopes]\n";
    text += &api.scopes.iter().map(|scope| format!("\"{scope}\" = {{ data = [], effect = \"read\" }}\n")).collect::<String>();
    for (from, scope, to) in &api.derive {
        text += &format!("[[derive]]\nfrom = {{ api = \"{from}\", scope = \"{scope}\" }}\nto = \"{to}\"\n");
    }
    text
}

fn policy_text(policy: &PolicyPlan) -> String {
    let principal = match (&policy.agent, &policy.team) {
        (Some(agent), _) => format!("principal == Agent::\"{agent}\""),
        (None, Some(team)) => format!("principal in Team::\"{team}\""),
        (None, None) => "principal".to_owned(),
    };
    let action = policy.action.map_or("action".to_owned(), |action| format!("action == Action::\"{action}\""));
    let resource = match (&policy.api, &policy.scope) {
        (Some(api), Some(scope)) => format!("resource == Scope::\"{api} {scope}\""),
        (Some(api), None) => format!("resource in Api::\"{api}\""),
        (None, _) => "resource".to_owned(),
    };
    let effect = if policy.permit { "permit" } else { "forbid" };
    let lifetime = policy.lifetime.map_or(String::new(), |seconds| format!("@lifetime(\"{seconds}s\")\n"));
    let when = policy.depth_most.map_or(String::new(), |most| format!("\nwhen {{ context.depth <= {most} }}"));
    format!("{lifetime}{effect} ({principal}, {action}, {resource}){when};\n")
}
