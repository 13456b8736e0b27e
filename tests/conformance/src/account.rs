//! What the gateway must say afterwards that an exchange used and cost.

use std::collections::HashMap;
use std::time::Duration;

use bh_testkit::Client;
use serde_json::Value;

use crate::ask::short;
use crate::read::Spent;

/// What was recorded of it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Account {
    /// An answer, with its usage where the provider said any.
    Answered {
        /// The recorded usage.
        spent: Option<Spent>,
        /// Whether the call was made under a hard budget, so that what was held must cover what it cost.
        bound: bool,
    },
    /// A refusal: nothing was used and nothing is charged.
    Nothing,
}

/// The account of one request.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    id: String,
    account: Account,
}

impl Wanted {
    /// What must be said of a request.
    #[must_use]
    pub(crate) const fn new(id: String, account: Account) -> Self {
        Wanted { id, account }
    }

    /// Asks the gateway (`GET /v1/requests/{id}`), and says what is wrong with its answer.
    pub(crate) async fn meet(&self, client: &Client, url: &str, token: &str) -> Vec<String> {
        match self.fetch(client, url, token).await {
            Ok(meta) => self.compare("GET /v1/requests", &meta["usage"], meta["estimated"] == true),
            Err(fault) => vec![fault],
        }
    }

    /// A request is settled just after its last byte has left, so the first look can come too early.
    async fn fetch(&self, client: &Client, url: &str, token: &str) -> Result<Value, String> {
        const LOOKS: u32 = 250;
        const BETWEEN_LOOKS: Duration = Duration::from_millis(20);
        for _ in 0..LOOKS {
            let answer = client.get(format!("{url}/v1/requests/{}", self.id)).bearer(token).send().await;
            let answer = answer.map_err(|error| format!("GET /v1/requests: {error:#}"))?;
            if answer.status != 404 {
                return answer.json().await.map_err(|error| format!("GET /v1/requests: {error:#}"));
            }
            tokio::time::sleep(BETWEEN_LOOKS).await;
        }
        Err(format!("GET /v1/requests/{} knows nothing of it", self.id))
    }

    /// Says what is wrong with the audit record, given all records that settle a request.
    #[must_use]
    pub(crate) fn settled(&self, records: &HashMap<String, Value>) -> Vec<String> {
        let Some(record) = records.get(&self.id) else { return vec!["no audit record settles it".to_owned()] };
        let mut faults = self.compare("the audit record", &record["usage"], record["usage_estimated"] == true);
        let (held, cost) = (record["est_nano_usd"].as_u64().unwrap_or(0), record["cost_nano_usd"].as_u64());
        let cost = cost.unwrap_or(u64::MAX);
        match self.account {
            Account::Nothing if cost != 0 => faults.push(format!("a refusal is charged {cost} nano-dollars")),
            Account::Answered { bound: true, .. } if held < cost => {
                faults.push(format!("{held} nano-dollars were held and it cost {cost}"));
            }
            Account::Answered { .. } | Account::Nothing => {}
        }
        faults
    }

    fn compare(&self, whose: &str, usage: &Value, estimated: bool) -> Vec<String> {
        let found = Spent::of_account(usage);
        let expected = match self.account {
            Account::Answered { spent: Some(spent), .. } if estimated => {
                return vec![format!("{whose} estimates what the provider said: {spent:?}")];
            }
            Account::Answered { spent: Some(spent), .. } => spent,
            Account::Answered { spent: None, .. } if !estimated => {
                return vec![format!("{whose} does not say that its usage is an estimate")];
            }
            Account::Answered { spent: None, .. } => return Vec::new(),
            Account::Nothing => Spent::default(),
        };
        if found == expected {
            return Vec::new();
        }
        vec![format!("{whose}: usage {} became {}", short(&format!("{expected:?}")), short(&format!("{found:?}")))]
    }
}
