//! The rules of docs/tasks.md about a task's authority, purpose, classes of data, deadline, budget and holder, row by row.

use std::sync::Arc;

use super::*;
use crate::client::ProvenKeys;
use crate::crypto::Digest;
use crate::lifecycle::{AdmittedTask, Task, TaskTerms};
use crate::oauth::{GenerationKey, TaskId, TaskSpec};
use crate::token::TaskMembership;

const OPEN: &str = r#"@id("open") permit (principal, action == Action::"open_task", resource);"#;
const MAIL: &str = "https://mail.example";
const HOUR: u64 = 3600;

/// Who opens a task with what, under which policy.
struct Case {
    policy: String,
    client: &'static str,
    agents: Vec<Agent>,
    apis: Vec<Api>,
    origin: Origin,
    proven: ProvenKeys,
    /// The exchanges the parent has left, where a task token is presented.
    left: Option<u64>,
}

/// The orchestrator, for a user, where any task is permitted.
fn root() -> Case {
    let (policy, proven) = (OPEN.to_owned(), ProvenKeys::default());
    Case { policy, client: "orchestrator", agents: agents(), apis: apis(), origin: user(), proven, left: None }
}

/// The orchestrator with the token of a task that may read and write contacts for an hour, and has ten exchanges left.
fn child() -> Case {
    Case { origin: task_token(parent()), left: Some(10), ..root() }
}

fn parent() -> TaskMembership {
    TaskMembership {
        id: TaskId::from_bytes([7; 16]),
        level: 1,
        authority: held(&[(CRM, "contacts.read contacts.write")]),
        purpose: "account-review".into(),
        data_classes: vec!["pii".into()],
        deadline: NOW.plus(Duration::from_secs(HOUR)),
        under: None,
        requires_proof: false,
    }
}

fn task_token(task: TaskMembership) -> Origin {
    match own(task.authority.clone(), vec![]) {
        Origin::Own(own) => Origin::Task(IssuedClaims { task: Some(task), ..own }, None),
        other => other,
    }
}

/// The parent as the state knows it; only what is left of it is asked for.
fn known(left: u64) -> Task {
    let (task, agent) = (parent(), ClientId::parse("orchestrator").unwrap());
    let terms = TaskTerms {
        id: task.id,
        key: GenerationKey([7; 16]),
        txn: Txn::parse("01939b5e-0000-7000-8000-000000000002").unwrap(),
        parent: None,
        opener: agent.clone(),
        holder: agent,
        opened: NOW,
        deadline: task.deadline,
        heartbeat: None,
        budget: 1000,
        authority: task.authority,
        purpose: task.purpose,
        data_classes: task.data_classes,
        generations: vec![],
    };
    Task { terms: Arc::new(terms), left, suspended_by: None }
}

/// A task that may read contacts.
fn wanted() -> TaskSpec {
    asking(&[(CRM, "contacts.read")])
}

fn asking(pairs: &[(&str, &str)]) -> TaskSpec {
    let authority = held(pairs);
    let (purpose, data_classes, expires_in, exchanges, heartbeat, holder) = (None, None, None, None, None, None);
    TaskSpec { authority, purpose, data_classes, expires_in, exchanges, heartbeat, holder }
}

fn seconds(count: u64) -> Option<Duration> {
    Some(Duration::from_secs(count))
}

fn held_by(agent: &str) -> TaskSpec {
    TaskSpec { holder: Some(ClientId::parse(agent).unwrap()), ..wanted() }
}

fn opened(case: Case, wanted: &TaskSpec) -> Result<TaskGrant, Refused> {
    let catalog = Catalog::new(case.agents, case.apis, &[]).unwrap();
    let agent = catalog.agent(&ClientId::parse(case.client).unwrap()).unwrap().clone();
    let client = AuthenticatedClient::for_tests(agent.clone()).proving(case.proven);
    let admitted = AdmittedExchange::for_tests(
        client,
        subject(case.origin),
        CurrentActor { agent, instance: None },
        ExchangeMode::Delegation,
    );
    let task = AdmittedTask::for_tests(admitted, case.left.map(known));
    let constraint = bind_task(&task).map_err(Refused::Binding)?;
    outcome(open(&policies(&case.policy), &catalog, &task, constraint, wanted, &limits(), NOW))
}

fn denied(case: Case, wanted: &TaskSpec) -> TaskDenial {
    match opened(case, wanted).unwrap_err().denial().reason() {
        DenialReason::Task(reason) => reason.clone(),
        other => unreachable!("{wanted:?}: {other:?}"),
    }
}

fn authority(grant: &TaskGrant) -> Vec<String> {
    grant.authority().iter().map(|held| format!("{} {}", held.api, held.scopes)).collect()
}

fn crm(scopes: &str) -> (Resource, Scopes) {
    (Resource::parse(CRM).unwrap(), scopes_of(scopes))
}

fn beyond(scopes: &str) -> TaskDenial {
    let (api, scopes) = crm(scopes);
    TaskDenial::Beyond(api, scopes)
}

fn refused(scopes: &str) -> TaskDenial {
    let (api, scopes) = crm(scopes);
    TaskDenial::Refused(api, scopes)
}

#[test]
fn the_authority_is_exactly_what_was_asked_for() {
    let both = asking(&[(CRM, "contacts.read contacts.delete"), (MAIL, "mail.read")]);
    let grant = opened(root(), &both).unwrap();
    assert_eq!(authority(&grant), ["https://crm.example contacts.delete contacts.read", "https://mail.example mail.read"]);
    assert_eq!((grant.policies(), grant.policy_set()), (&["open".to_owned()][..], policies(OPEN).digest()));
    assert_eq!((grant.level(), grant.holder().as_str(), grant.requires_proof()), (1, "orchestrator", false));
    assert_eq!((grant.purpose(), grant.heartbeat()), ("", None));
}

#[test]
fn every_api_must_be_registered_by_its_id_and_declare_every_scope() {
    assert_eq!(denied(root(), &asking(&[(CRM, "contacts.read"), ("https://else.example", "a")])), TaskDenial::UnknownApi);
    assert_eq!(denied(root(), &asking(&[("https://crm.example/", "contacts.read")])), TaskDenial::UnknownApi);
    let undeclared = asking(&[(CRM, "contacts.read mail.read contacts.none")]);
    let told = denied(root(), &undeclared);
    assert!(matches!(&told, TaskDenial::Undeclared(unknown) if unknown.count() == 2), "{told:?}");
    assert!(format!("{told:#}").ends_with(": https://crm.example does not know contacts.none mail.read; ask for declared ones"));
}

#[test]
fn every_pair_must_be_one_that_the_subject_token_could_give() {
    let of = |origin| Case { origin, ..root() };
    let read = || own(held(&[(CRM, "contacts.read")]), vec![]);
    let both = asking(&[(CRM, "contacts.read contacts.write")]);
    assert_eq!(denied(of(read()), &both), beyond("contacts.write"));
    assert_eq!(authority(&opened(of(read()), &wanted()).unwrap()), ["https://crm.example contacts.read"]);
    let lookup = || own(held(&[(ASSISTANT, "customers.lookup")]), vec![]);
    assert!(opened(of(lookup()), &wanted()).is_ok(), "one declared step");
    assert_eq!(denied(of(lookup()), &both), beyond("contacts.write"));
    let narrowed = || own(held(&[(CRM, "contacts.read contacts.write")]), held(&[(CRM, "contacts.write")]));
    assert_eq!(denied(of(narrowed()), &wanted()), beyond("contacts.read"), "never more than was held on it in the chain");
}

#[test]
fn a_child_gets_a_part_of_its_parents_authority_and_no_derived_step() {
    assert!(opened(child(), &asking(&[(CRM, "contacts.read contacts.write")])).is_ok());
    assert_eq!(denied(child(), &asking(&[(CRM, "contacts.read contacts.delete")])), beyond("contacts.delete"));
    let lookup = TaskMembership { authority: held(&[(ASSISTANT, "customers.lookup")]), ..parent() };
    assert_eq!(denied(Case { origin: task_token(lookup), ..child() }, &wanted()), beyond("contacts.read"));
}

#[test]
fn policy_must_permit_every_pair_and_nothing_is_narrowed() {
    let under = |policy: &str| Case { policy: policy.into(), ..root() };
    assert_eq!(denied(under(""), &wanted()), refused("contacts.read"));
    let exchange = r#"permit (principal, action == Action::"exchange", resource);"#;
    assert_eq!(denied(under(exchange), &wanted()), refused("contacts.read"), "open_task is a permission of its own");
    let reading = r#"permit (principal, action == Action::"open_task", resource) when { resource.effect == "read" };"#;
    assert!(opened(under(reading), &wanted()).is_ok());
    assert_eq!(denied(under(reading), &asking(&[(CRM, "contacts.read contacts.write")])), refused("contacts.write"));
    let not_mail = format!(r#"{OPEN}@id("no") forbid (principal, action == Action::"open_task", resource in Api::"{MAIL}");"#);
    let mail = asking(&[(CRM, "contacts.read"), (MAIL, "mail.read")]);
    let denial = opened(under(&not_mail), &mail).unwrap_err().denial();
    let refused = TaskDenial::Refused(Resource::parse(MAIL).unwrap(), scopes_of("mail.read"));
    assert_eq!(denial.reason(), &DenialReason::Task(refused));
    assert_eq!(denial.explanation.forbade, ["no"]);
    assert_eq!(denial.policy_set(), Some(policies(&not_mail).digest()));
    let early = opened(root(), &held_by("researcher")).unwrap_err().denial();
    assert_eq!(early.policy_set(), None, "policy was not asked");
}

#[test]
fn policy_is_told_of_the_holder_the_purpose_and_the_parent() {
    let when =
        |condition: &str| format!(r#"permit (principal, action == Action::"open_task", resource) when {{ {condition} }};"#);
    let told = [
        r#"principal == Agent::"orchestrator" && context.client == "orchestrator""#.to_owned(),
        r#"context.actor == "researcher""#.to_owned(),
        r#"context.purpose == "account-review""#.to_owned(),
        format!(r#"context.task == "{}""#, parent().id),
    ];
    for condition in told {
        assert!(opened(Case { policy: when(&condition), ..child() }, &held_by("researcher")).is_ok(), "{condition}");
    }
    let purposeful = TaskSpec { purpose: Some("payroll".into()), ..wanted() };
    let root_told = when(r#"context.purpose == "payroll" && context.task == "" && context.actor == "orchestrator""#);
    assert_eq!(opened(Case { policy: root_told.clone(), ..root() }, &purposeful).unwrap().purpose(), "payroll");
    assert_eq!(denied(Case { policy: root_told, ..root() }, &wanted()), refused("contacts.read"));
}

#[test]
fn a_childs_purpose_is_its_parents() {
    let purpose = |text: &str| TaskSpec { purpose: Some(text.into()), ..wanted() };
    assert_eq!(opened(child(), &wanted()).unwrap().purpose(), "account-review");
    assert_eq!(opened(child(), &purpose("account-review")).unwrap().purpose(), "account-review");
    assert_eq!(denied(child(), &purpose("payroll")), TaskDenial::Purpose);
    assert_eq!(denied(child(), &purpose("")), TaskDenial::Purpose);
}

#[test]
fn classes_of_data_cover_the_authority_and_stay_within_the_parents() {
    let classes = |names: &[&str]| TaskSpec { data_classes: Some(names.iter().map(|&name| name.into()).collect()), ..wanted() };
    assert_eq!(opened(root(), &wanted()).unwrap().data_classes(), ["pii"]);
    let unclassed = opened(root(), &asking(&[(ASSISTANT, "customers.lookup")])).unwrap();
    assert_eq!(unclassed.data_classes(), Vec::<String>::new());
    let wider = opened(root(), &classes(&["notes", "pii"])).unwrap();
    assert_eq!(wider.data_classes(), ["notes", "pii"]);
    assert_eq!(denied(root(), &classes(&["notes"])), TaskDenial::DataClasses);
    assert_eq!(opened(child(), &classes(&["pii"])).unwrap().data_classes(), ["pii"]);
    assert_eq!(denied(child(), &classes(&["notes", "pii"])), TaskDenial::DataClasses);
}

#[test]
fn a_scope_that_by_now_touches_other_data_is_out_of_the_childs_reach() {
    let mut apis = apis();
    apis[0].scopes.get_mut(&Scope::parse("contacts.read").unwrap()).unwrap().data = vec!["pii".into(), "special".into()];
    assert_eq!(denied(Case { apis, ..child() }, &wanted()), beyond("contacts.read"));
}

#[test]
fn the_deadline_is_at_most_what_server_policy_and_parent_allow() {
    let within = |span| TaskSpec { expires_in: seconds(span), ..wanted() };
    let deadline = |case, wanted: &TaskSpec| opened(case, wanted).unwrap().deadline().seconds() - NOW.seconds();
    assert_eq!(deadline(root(), &wanted()), 3600, "the server's usual");
    let month: i64 = 30 * 86_400;
    assert_eq!(deadline(root(), &within(30 * 86_400)), month, "longer than the subject token lives");
    assert_eq!(denied(root(), &within(30 * 86_400 + 1)), TaskDenial::Deadline(month));
    let short = || Case { policy: format!(r#"@lifetime("10m") {OPEN}"#), ..root() };
    assert_eq!((deadline(short(), &wanted()), deadline(short(), &within(600))), (600, 600));
    assert_eq!(denied(short(), &within(601)), TaskDenial::Deadline(600));
    let nearly =
        || Case { origin: task_token(TaskMembership { deadline: NOW.plus(Duration::from_secs(90)), ..parent() }), ..child() };
    assert_eq!((deadline(nearly(), &wanted()), deadline(nearly(), &within(90))), (90, 90));
    assert_eq!(denied(nearly(), &within(91)), TaskDenial::Deadline(90));
    let over = || Case { origin: task_token(TaskMembership { deadline: NOW, ..parent() }), ..child() };
    assert_eq!(denied(over(), &wanted()), TaskDenial::Deadline(0));
}

#[test]
fn a_budget_is_at_most_the_servers_and_a_childs_comes_out_of_its_parents() {
    let exchanges = |count| TaskSpec { exchanges: Some(count), ..wanted() };
    let having = |left| Case { left: Some(left), ..child() };
    let budget = |case, wanted: &TaskSpec| opened(case, wanted).unwrap().budget();
    assert_eq!((budget(root(), &wanted()), budget(root(), &exchanges(1000)), budget(root(), &exchanges(1))), (100, 1000, 1));
    assert_eq!(denied(root(), &exchanges(1001)), TaskDenial::Budget(1000));
    assert_eq!(denied(root(), &exchanges(0)), TaskDenial::Budget(1000));
    assert_eq!((budget(having(10), &wanted()), budget(having(10), &exchanges(10))), (5, 10), "at most half where nobody says");
    assert_eq!((budget(having(1), &wanted()), budget(having(900), &wanted())), (1, 100));
    assert_eq!(denied(having(10), &exchanges(11)), TaskDenial::Budget(10));
    assert_eq!(denied(having(0), &wanted()), TaskDenial::Budget(0));
}

#[test]
fn a_heartbeat_is_kept_as_it_was_asked_for() {
    let beating = TaskSpec { heartbeat: seconds(60), ..wanted() };
    assert_eq!(opened(root(), &beating).unwrap().heartbeat(), seconds(60));
}

#[test]
fn only_a_child_has_another_holder_who_is_registered_and_active() {
    assert_eq!(denied(root(), &held_by("researcher")), TaskDenial::HolderOfRoot);
    assert_eq!(opened(root(), &held_by("orchestrator")).unwrap().holder().as_str(), "orchestrator");
    assert_eq!(opened(child(), &held_by("researcher")).unwrap().holder().as_str(), "researcher");
    assert_eq!(opened(child(), &wanted()).unwrap().holder().as_str(), "orchestrator");
    assert_eq!(denied(child(), &held_by("nobody")), TaskDenial::Holder);
    for status in [Status::Suspended, Status::Retired] {
        let mut agents = agents();
        agents[1].status = status;
        assert_eq!(denied(Case { agents, ..child() }, &held_by("researcher")), TaskDenial::Holder, "{status:?}");
    }
}

#[test]
fn tasks_lie_no_deeper_than_the_limit() {
    let at = |level| Case { origin: task_token(TaskMembership { level, ..parent() }), ..child() };
    assert_eq!(opened(at(2), &wanted()).unwrap().level(), 3);
    assert_eq!(denied(at(3), &wanted()), TaskDenial::Level);
    assert_eq!(denied(at(u32::MAX), &wanted()), TaskDenial::Level);
}

#[test]
fn a_bound_task_stays_bound_and_is_not_opened_without_a_key() {
    let proven = || ProvenKeys::for_tests(Some(Digest::of(b"key")), None);
    assert!(opened(Case { proven: proven(), ..root() }, &wanted()).unwrap().requires_proof());
    let bound = || task_token(TaskMembership { requires_proof: true, ..parent() });
    assert!(opened(Case { origin: bound(), proven: proven(), ..child() }, &wanted()).unwrap().requires_proof());
    let refused = opened(Case { origin: bound(), ..child() }, &wanted()).unwrap_err();
    assert_eq!(refused, Refused::Binding(BindingReason::NextKey));
    let mut agents = agents();
    agents[0].bound.dpop = true;
    let refused = opened(Case { agents, ..root() }, &wanted()).unwrap_err();
    assert!(matches!(refused, Refused::Binding(BindingReason::Agent(_))), "{refused:?}");
}

#[test]
fn approval_is_needed_where_it_alone_would_open_the_task() {
    let approved = r#"permit (principal, action == Action::"open_task", resource) when { context.approved };"#;
    let under = || Case { policy: approved.into(), ..root() };
    assert!(matches!(opened(under(), &wanted()), Err(Refused::ApprovalNeeded(_))));
    let budget = TaskSpec { exchanges: Some(1001), ..wanted() };
    assert!(matches!(opened(under(), &budget), Err(Refused::Denial(_))), "what no approval makes good");
}

#[test]
fn a_denial_names_what_would_help_and_nothing_of_the_callers_words() {
    let undeclared = asking(&[(CRM, "contacts.read my.secret.scope")]);
    for (denial, part) in [
        (denied(root(), &undeclared), "https://crm.example does not know 1 of the scopes; ask for declared ones"),
        (denied(root(), &TaskSpec { exchanges: Some(9999), ..wanted() }), "at most 1000 exchanges"),
        (denied(Case { left: Some(0), ..child() }, &wanted()), "the parent task has none left"),
        (denied(Case { policy: String::new(), ..root() }, &wanted()), "policy does not permit"),
        (denied(root(), &held_by("researcher")), "is opened as a child"),
    ] {
        let sentence = denial.to_string();
        assert!(sentence.starts_with("authorization_details: ") && sentence.contains(part), "{sentence}");
        assert!(!sentence.contains("secret") && !sentence.contains("researcher"), "{sentence}");
    }
}
