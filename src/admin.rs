//! Administration: operators revoke, suspend, resume and retire, and look at agents, tasks and trust rules; by the
//! socket of a server that runs, and in the same way on the data folder where none does.

mod agents;
mod clock;
mod compromise;
mod find;
mod found;
mod grants;
mod outcome;
mod policy;
mod reason;
mod recognise;
mod retention;
mod revoke;
mod tasks;
mod trial;

pub use agents::{
    AGENT_PAGE_MAX, AgentPage, AgentQuery, AgentReport, ChangedStatus, ExpiryReport, InstanceReport, LoginReport, StatusReport,
    UnusedScopes, VelocityReport, catch_up, change_status, inventory,
};
pub use clock::{CorrectedClock, correct_clock};
pub use compromise::{CompromisedAgent, CompromisedLogin, compromise};
pub use find::{FIND_PAGE, FIND_PAGE_MAX, FindQuery, FoundRecords, SubjectFinder, find, index_records};
pub use found::{FoundPage, FoundRecord};
pub use grants::{GRANT_PAGE_MAX, GrantPage, GrantReport, ReachedApi, RuleGrants, grants};
pub use policy::explain_policy;
pub use reason::AdminReason;
pub use recognise::{Recognised, recognised};
pub use retention::{ArchivedRecords, HeldTransaction, archived, hold, holds, release};
pub use revoke::{RevokeTarget, RevokedTarget, revoke, revoke_key};
pub use tasks::{TASK_PAGE_MAX, TaskPage, TaskReport, task_page};
pub use trial::{CheckReport, RuleTrial, TokenMeaning, TokenTrial, TrialGround, try_token};
