//! The decision on a token in use: would policy still grant one of its scopes, for a call that touches these data?

use std::borrow::Cow;
use std::sync::Arc;

use super::context::{Attribute, PolicyValue, ScopeContext, texts};
use super::decide::action;
use super::evaluation::Evaluation;
use super::input::PolicyInput;
use super::intent::within_task;
use super::policies::Policies;
use super::request_context::{age, kind_name, named_chain};
use crate::catalog::Agent;
use crate::lifecycle::CallableToken;
use crate::oauth::{Intent, Issuer, Scope, Scopes, Time};

/// The decision on a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallDecision {
    /// True where policy permits it.
    pub permitted: bool,
    /// The attributes that policies read and that the token or its request left empty, where it is not permitted.
    pub missing: Vec<&'static str>,
}

/// Decides at `now` on a call by which `scope` of the token's API is used and `data` are touched, beside the classes that the
/// API declares for the scope: those are never talked down.
pub fn recheck(
    policies: &Policies,
    call: &CallableToken,
    (scope, data): (&Scope, &[String]),
    issuer: &Issuer,
    now: Time,
) -> CallDecision {
    // What does not read as an intent any more is none of this version's.
    let stated = call.token().details().map(|details| Intent::parse(details.get()));
    let Some(intent) = stated.transpose().map(Option::flatten).ok() else { return CallDecision::refused() };
    if !within_task(call.token().own().task.as_ref(), data) {
        return CallDecision::refused();
    }
    let context = CallContext { call, intent: intent.as_ref(), data, issuer, now, approved: false };
    let mut evaluation = Evaluation::new(policies, context, action(call.basis()));
    let one: Scopes = std::iter::once(scope.clone()).collect();
    let permitted = !evaluation.permitted(call.api(), &one).is_empty();
    let missing = if permitted { Vec::new() } else { evaluation.missing(call.api(), scope) };
    CallDecision { permitted, missing }
}

/// A call as policy reads it: as the request that issued the token, at another time and with the data of the call.
#[derive(Clone, Copy)]
struct CallContext<'a> {
    call: &'a CallableToken,
    /// The intent that was granted with the token.
    intent: Option<&'a Intent>,
    data: &'a [String],
    issuer: &'a Issuer,
    now: Time,
    approved: bool,
}

impl CallDecision {
    fn refused() -> Self {
        Self { permitted: false, missing: Vec::new() }
    }
}

impl PolicyInput for CallContext<'_> {
    fn client(&self) -> &Arc<Agent> {
        self.call.client()
    }

    fn acting(&self) -> &Arc<Agent> {
        self.call.actor()
    }

    fn now(&self) -> Time {
        self.now
    }

    fn is_bound(&self) -> bool {
        self.call.token().confirmation().is_some()
    }

    fn intent(&self) -> Option<&Intent> {
        self.intent
    }

    fn is_approved(&self) -> bool {
        self.approved
    }

    fn approved(&self) -> Self {
        Self { approved: true, ..*self }
    }

    fn value<'b>(&'b self, attribute: Attribute, on: ScopeContext<'b>) -> PolicyValue<'b> {
        let token = self.call.token();
        let (own, authentication) = (token.own(), token.authentication());
        match attribute {
            Attribute::Subject => PolicyValue::Subject(self.subject_id()),
            Attribute::Client => PolicyValue::Text(self.client().id.as_str()),
            Attribute::Actor => PolicyValue::Text(self.acting().id.as_str()),
            Attribute::Chain => named_chain(token.chain(), self.issuer),
            Attribute::Depth => PolicyValue::Number(i64::from(own.depth)),
            Attribute::Instance => PolicyValue::Name(token.chain().instance().unwrap_or_default()),
            Attribute::Task => own.task.as_ref().map_or(PolicyValue::Text(""), |task| PolicyValue::Name(task.id.to_string())),
            Attribute::Purpose => PolicyValue::Text(own.task.as_ref().map_or(own.purpose.as_str(), |task| task.purpose.as_str())),
            Attribute::Touched => texts(&own.touched),
            Attribute::Data => {
                let stated = self.intent.map(Intent::data_classes).unwrap_or_default();
                let all = on.info.data.iter().chain(stated).chain(self.data);
                PolicyValue::Set(all.map(|class| Cow::Borrowed(class.as_str())).collect())
            }
            Attribute::Destination | Attribute::Effect => on.value(attribute, self.intent),
            Attribute::Time => PolicyValue::Instant(self.now),
            Attribute::Acr => PolicyValue::Text(authentication.acr.as_deref().unwrap_or_default()),
            Attribute::Amr => texts(&authentication.amr),
            Attribute::AuthAge => PolicyValue::Number(age(authentication, self.now)),
            Attribute::Binding => PolicyValue::Text(token.confirmation().map_or("none", |bound| bound.kind().as_str())),
            Attribute::Approved => PolicyValue::Flag(self.approved),
            Attribute::Basis => PolicyValue::Text(self.call.basis().as_str()),
            Attribute::Trust => PolicyValue::Text(own.trust.as_ref().map_or("", |rule| rule.as_str())),
            Attribute::Intent => PolicyValue::Intent,
        }
    }

    fn subject_id(&self) -> &str {
        self.call.token().subject().as_str()
    }

    fn subject(&self) -> [(&'static str, &str); 3] {
        let token = self.call.token();
        let subject = token.subject();
        let kind = kind_name(token.own().kind, subject);
        [("kind", kind), ("rule", subject.rule().map_or("", |rule| rule.as_str())), ("id", subject.id())]
    }

    fn attributes(&self) -> &[(String, String)] {
        self.call.token().attributes()
    }
}
