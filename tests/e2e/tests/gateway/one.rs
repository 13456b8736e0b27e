//! The smallest setting: a gateway, a provider of each dialect, a token.

use anyhow::Result;
use bh_testkit::ScriptedProvider;
use bh_testkit::answers::Tokens;
use e2e::{Config, Folder, Gateway, Issuer, Wire};

/// What every answer says it used.
pub(crate) const TOKENS: Tokens = Tokens { input: 9, output: 3 };
/// A model that the provider of this dialect serves.
pub(crate) const fn model(wire: Wire) -> &'static str {
    match wire {
        Wire::OpenAi => "gpt-4o-mini",
        Wire::Anthropic => "claude-3-5-haiku-20241022",
    }
}

/// A running gateway and what belongs to it.
pub(crate) struct One {
    /// The gateway.
    pub(crate) gateway: Gateway,
    /// Who mints.
    pub(crate) issuer: Issuer,
    /// A token without limits.
    pub(crate) token: String,
    /// `openai` and `anthropic`.
    pub(crate) providers: [ScriptedProvider; 2],
    /// Where it lives.
    pub(crate) folder: Folder,
}

impl One {
    /// Starts it with what a test changes about the configuration.
    ///
    /// # Errors
    /// Something does not start.
    pub(crate) async fn start(change: impl FnOnce(Config, &Folder) -> Result<Config>) -> Result<Self> {
        let (issuer, folder) = (Issuer::new(8), Folder::new()?);
        let providers = [ScriptedProvider::start().await?, ScriptedProvider::start().await?];
        let mut config = Config::new(&issuer);
        for (provider, wire) in providers.iter().zip(Wire::BOTH) {
            provider.on(move |seen| Some(wire.reply_to(seen, "hello there", TOKENS)));
            let models = if wire == Wire::OpenAi { "gpt-*" } else { "claude-*" };
            config = config.provider(wire.kind(), wire, provider, models);
        }
        let gateway = Gateway::start(&change(config, &folder)?, &folder)?;
        Ok(One { gateway, token: issuer.plain()?, issuer, providers, folder })
    }

    /// The provider that speaks this dialect.
    pub(crate) fn provider(&self, wire: Wire) -> &ScriptedProvider {
        &self.providers[usize::from(wire == Wire::Anthropic)]
    }

    /// Calls answered so far, by both.
    pub(crate) fn calls(&self) -> usize {
        self.providers.iter().map(|provider| provider.served().requests).sum()
    }

    /// Sends a request in a dialect to the provider of the same.
    ///
    /// # Errors
    /// The gateway cannot be reached.
    pub(crate) async fn ask(&self, wire: Wire, stream: bool) -> Result<bh_testkit::client::Answer> {
        wire.send(&self.gateway.client, &self.gateway.url(), &self.token, &wire.ask(model(wire), stream)).await
    }
}
