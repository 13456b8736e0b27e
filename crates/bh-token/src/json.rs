//! JSON as it was written, repeated keys included, and a reader that collects every fault instead of the first.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use crate::fault::{Fault, Faults, Problem};

/// A JSON value that forgets nothing.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Node {
    Null,
    Bool,
    Whole(u64),
    /// A number that is negative, fractional or too large.
    Float(f64),
    Text(String),
    List(Vec<Node>),
    Object(Vec<(String, Node)>),
}

/// Reads one object: its members by name, with faults told apart by path.
pub(crate) struct Reader<'a, 'f> {
    at: String,
    members: &'a [(String, Node)],
    pub(crate) faults: &'f mut Vec<Fault>,
}

/// Parses a whole text.
pub(crate) fn parse(text: &str) -> Result<Node, Faults> {
    serde_json::from_str(text)
        .map_err(|e| Faults(vec![Fault::new("", Problem::Syntax { line: e.line(), column: e.column() })]))
}

impl<'a, 'f> Reader<'a, 'f> {
    /// Opens an object, reporting at once members that are not `known`, identity that is `inherited`, and repeats.
    pub(crate) fn open(
        node: &'a Node,
        at: &str,
        known: &[&str],
        inherited: &[&str],
        faults: &'f mut Vec<Fault>,
    ) -> Option<Self> {
        let Node::Object(members) = node else {
            faults.push(Fault::new(at, Problem::Expected("an object")));
            return None;
        };
        for (i, (name, _)) in members.iter().enumerate() {
            let place = join(at, name);
            if inherited.contains(&name.as_str()) {
                faults.push(Fault::new(place, Problem::Inherited));
            } else if !known.contains(&name.as_str()) {
                faults.push(Fault::new(place, Problem::Unknown));
            } else if members[..i].iter().any(|(earlier, _)| earlier == name) {
                faults.push(Fault::new(place, Problem::Repeated));
            }
        }
        Some(Reader { at: at.to_owned(), members, faults })
    }

    /// The path of a member.
    pub(crate) fn place(&self, name: &str) -> String {
        join(&self.at, name)
    }

    /// Reports a fault of a member.
    pub(crate) fn fault(&mut self, name: &str, problem: impl Into<Problem>) {
        let place = self.place(name);
        self.faults.push(Fault::new(place, problem));
    }

    /// A member, if it is there.
    pub(crate) fn get(&self, name: &str) -> Option<&'a Node> {
        self.members.iter().find(|(member, _)| member == name).map(|(_, node)| node)
    }

    /// A text, if the member is there.
    pub(crate) fn text(&mut self, name: &str) -> Option<&'a str> {
        let node = self.get(name)?;
        let text = node.text();
        if text.is_none() {
            self.fault(name, Problem::Expected("a text"));
        }
        text
    }

    /// A whole number of zero or more, if the member is there.
    pub(crate) fn whole(&mut self, name: &str) -> Option<u64> {
        let node = self.get(name)?;
        if let Node::Whole(number) = node {
            return Some(*number);
        }
        self.fault(name, Problem::Expected("a whole number"));
        None
    }

    /// A list, if the member is there.
    pub(crate) fn list(&mut self, name: &str) -> Option<&'a [Node]> {
        let node = self.get(name)?;
        if let Node::List(list) = node {
            return Some(list);
        }
        self.fault(name, Problem::Expected("a list"));
        None
    }

    /// A list of texts, if the member is there.
    pub(crate) fn texts(&mut self, name: &str) -> Option<Vec<String>> {
        let list = self.list(name)?;
        let mut texts = Vec::with_capacity(list.len());
        for (i, node) in list.iter().enumerate() {
            match node.text() {
                Some(text) => texts.push(text.to_owned()),
                None => self.fault(&format!("{name}[{i}]"), Problem::Expected("a text")),
            }
        }
        Some(texts)
    }

    /// A value that must be there, or its default and a fault.
    pub(crate) fn required<T: Default>(&mut self, name: &str, value: Option<T>) -> T {
        if self.get(name).is_none() {
            self.fault(name, Problem::Missing);
        }
        value.unwrap_or_default()
    }
}

impl Node {
    /// The text, if it is one.
    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Node::Text(text) => Some(text),
            Node::Null | Node::Bool | Node::Whole(_) | Node::Float(_) | Node::List(_) | Node::Object(_) => None,
        }
    }
}

fn join(at: &str, name: &str) -> String {
    if at.is_empty() { name.to_owned() } else { format!("{at}.{name}") }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Node, E> {
        Ok(Node::Bool)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Node, E> {
        Ok(Node::Whole(number))
    }

    #[expect(clippy::cast_precision_loss, reason = "a negative number is refused wherever it stands")]
    fn visit_i64<E: Error>(self, number: i64) -> Result<Node, E> {
        Ok(Node::Float(number as f64))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Node, E> {
        Ok(Node::Float(number))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Node, E> {
        Ok(Node::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Node, A::Error> {
        let mut list = Vec::new();
        while let Some(node) = seq.next_element()? {
            list.push(node);
        }
        Ok(Node::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = map.next_entry()? {
            members.push(member);
        }
        Ok(Node::Object(members))
    }
}
