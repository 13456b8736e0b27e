//! The flags of what a link allows and caps, the same for `mint` and `narrow`.

use bh_seal::PublicKey;
use bh_token::{Grants, TokenBudget};

use super::values::{budget, list};

/// What the token allows and caps.
#[derive(Debug, clap::Args)]
pub(super) struct GrantFlags {
    /// Models it may call, globs allowed, separated by commas; all without, none for an empty text.
    #[arg(long, value_name = "GLOBS")]
    models: Option<String>,
    /// A budget, such as 5usd/day:hard; windows are hour, day, month and total, each once.
    #[arg(long = "budget", value_name = "BUDGET", value_parser = budget)]
    budgets: Vec<TokenBudget>,
    /// Tokens with one id share their budgets' counters; their limits must be equal.
    #[arg(long, value_name = "ID", requires = "budgets")]
    budget_id: Option<String>,
    /// Requests a minute.
    #[arg(long, value_name = "N")]
    rpm: Option<u64>,
    /// Tokens a minute.
    #[arg(long, value_name = "N")]
    tpm: Option<u64>,
    /// Requests at once.
    #[arg(long, value_name = "N")]
    concurrency: Option<u64>,
    /// A role; an empty text for none at all.
    #[arg(long = "role", value_name = "ROLE")]
    roles: Vec<String>,
    /// The public key of who may narrow this token. It makes a certificate of it: of no use until it is narrowed.
    #[arg(long, value_name = "PUBLIC_KEY", value_parser = PublicKey::from_base64url)]
    holder: Option<PublicKey>,
}

impl GrantFlags {
    /// The claims; whether they are allowed is for the token's rules to say.
    pub(super) fn grants(self) -> Grants {
        let roles: Vec<String> = self.roles.iter().filter(|role| !role.is_empty()).cloned().collect();
        Grants {
            models: self.models.as_deref().map(list),
            budgets: self.budgets,
            budget_id: self.budget_id,
            rpm: self.rpm,
            tpm: self.tpm,
            concurrency: self.concurrency,
            roles: (!self.roles.is_empty()).then_some(roles),
            holder: self.holder,
        }
    }
}
