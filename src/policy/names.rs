//! The names in policies that no file declares. Cedar compares ids and validates none: a slip in one makes a policy that never
//! applies, which of a `forbid` nobody notices.

use std::collections::BTreeSet;

use super::Policies;
use crate::catalog::Catalog;
use crate::diagnostic::Diagnostic;

impl Policies {
    /// A warning for each agent, team, API and scope that a policy names and `catalog` does not have.
    pub fn unknown_names(&self, catalog: &Catalog) -> Vec<Diagnostic> {
        let scopes = catalog.apis().flat_map(|api| api.scopes.keys().map(|scope| format!("{} {scope}", api.id)));
        let known: [(&str, &str, BTreeSet<String>); 4] = [
            ("Agent", "agent", catalog.agents().map(|agent| agent.id.to_string()).collect()),
            ("Team", "team of an agent", catalog.agents().map(|agent| agent.team.clone()).collect()),
            ("Api", "API", catalog.apis().map(|api| api.id.to_string()).collect()),
            ("Scope", "scope of an API", scopes.collect()),
        ];
        let unknown = self.entities.iter().filter_map(|(entity, location)| {
            let (_, what, known) = known.iter().find(|(kind, ..)| *kind == entity.kind)?;
            let sentence = format!("there is no {what} {:?}, so what the policy says of it never applies", entity.id);
            let warning = Diagnostic::new(location.clone(), sentence).near(&entity.id, known.iter().map(String::as_str));
            (!known.contains(&entity.id)).then_some(warning)
        });
        unknown.collect()
    }
}
