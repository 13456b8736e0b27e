//! A changed configuration: read, checked, put in force; or its faults told and the old one kept.

use std::sync::Arc;

use serde_json::Value;

use super::certificate::LiveCertificate;
use super::watch::{Change, Watched};
use crate::ask::chain;
use crate::config::{Environment, Faults, Loaded, Source, load};
use crate::node::Node;

/// Keeps a node at what its configuration file says.
pub(super) struct Reloader {
    source: Source,
    environment: Environment,
    file: Watched,
    /// What a running node cannot change, by key.
    fixed: Vec<(&'static str, String)>,
    certificate: Option<Arc<LiveCertificate>>,
}

impl Reloader {
    /// Follows the configuration a node is about to start with; makes its certificate replaceable.
    pub(super) fn new(source: Source, environment: Environment, loaded: &mut Loaded) -> Self {
        let fixed = fixed(loaded);
        let certificate = loaded.node.tls.as_mut().map(LiveCertificate::within);
        let mut file = Watched::new(&source.path);
        // It may have changed since it was read for the start.
        if !Source::read(&source.path).is_ok_and(|now| now.text == source.text) {
            file.doubt();
        }
        Reloader { source, environment, file, fixed, certificate }
    }

    /// Whether the file is another one than was read.
    pub(super) fn has_changed(&mut self) -> bool {
        match self.file.look() {
            Change::Nothing => false,
            Change::Changed => true,
            Change::Gone => {
                let file = self.source.path.display();
                tracing::error!(%file, "the configuration file is gone; what is in force stays");
                false
            }
        }
    }

    /// Reads the file and puts it in force, or tells why not.
    pub(super) fn reload(&mut self, node: &Node) {
        self.file.reading();
        let source = match Source::read(&self.source.path) {
            Ok(source) => source,
            Err(error) => {
                return tracing::error!(
                    error = chain(&error),
                    "the configuration cannot be read; the old one stays in force"
                );
            }
        };
        match load(&source, &self.environment) {
            Ok(loaded) => self.put_in_force(node, loaded),
            Err(faults) => {
                tell(&faults);
                tracing::error!(
                    file = %source.path.display(),
                    faults = faults.list().len(),
                    "the configuration is faulty; the old one stays in force"
                );
            }
        }
    }

    fn put_in_force(&self, node: &Node, loaded: Loaded) {
        for ((key, running), (_, wanted)) in self.fixed.iter().zip(fixed(&loaded)) {
            if *running != wanted {
                tracing::warn!(key, running, wanted, "this key needs a restart; it stays as it was");
            }
        }
        let tls = loaded.node.tls;
        if let Err(error) = node.reload(loaded.node.live) {
            return tracing::error!(
                error = chain(&error),
                "the configuration cannot be put in force; the old one stays"
            );
        }
        if let (Some(live), Some(tls)) = (&self.certificate, &tls) {
            live.replace(tls);
            tracing::info!("new connections get the configuration's certificate");
        }
    }
}

/// The keys a running node cannot change, as text to compare and to show.
fn fixed(loaded: &Loaded) -> Vec<(&'static str, String)> {
    let node = &loaded.node;
    vec![
        ("server.listen", node.listen.to_string()),
        ("server.admin_listen", node.admin_listen.to_string()),
        ("server.tls", if node.tls.is_some() { "on" } else { "off" }.to_owned()),
        ("server.drain_s", node.drain.as_secs().to_string()),
        ("data_dir", node.data_dir.display().to_string()),
        ("audit.durability", node.audit.durability.as_str().to_owned()),
        (
            "audit.retain_h",
            node.audit.retain.map_or("everything".to_owned(), |kept| (kept.as_secs() / 3600).to_string()),
        ),
        ("telemetry.otlp", node.otlp.clone().unwrap_or_default()),
        ("telemetry.log", format!("{:?}", loaded.log).to_lowercase()),
    ]
}

/// One event a fault, each with its place.
fn tell(faults: &Faults) {
    let list = faults.to_json();
    for fault in list.as_array().into_iter().flatten() {
        let text = |name: &str| fault[name].as_str().unwrap_or_default();
        let number = |name: &str| fault[name].as_u64();
        let place = match (number("line"), number("column"), &fault["variable"]) {
            (_, _, Value::String(variable)) => format!("environment variable {variable}"),
            (Some(line), Some(column), _) => format!("{}:{line}:{column}", text("file")),
            (Some(_) | None, _, _) => text("file").to_owned(),
        };
        tracing::error!(
            place,
            key = text("path"),
            help = text("help"),
            problem = text("message"),
            "a fault in the configuration"
        );
    }
}
