//! Reads the text a scraper reads.

use std::collections::BTreeMap;

/// One scrape.
#[derive(Debug, Clone)]
pub struct Metrics {
    text: String,
    samples: Vec<(String, BTreeMap<String, String>, f64)>,
}

impl Metrics {
    /// Reads Prometheus or OpenMetrics text; lines that are no samples are passed over.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        Metrics { text: text.to_owned(), samples: text.lines().filter_map(sample).collect() }
    }

    /// The sum of every sample of this name whose labels include these; nothing when there is none.
    #[must_use]
    pub fn get(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let fits = |own: &BTreeMap<String, String>| {
            labels.iter().all(|(label, value)| own.get(*label).is_some_and(|own| own == value))
        };
        let values: Vec<f64> =
            self.samples.iter().filter(|(own, with, _)| own == name && fits(with)).map(|(.., value)| *value).collect();
        (!values.is_empty()).then(|| values.iter().sum())
    }

    /// The same, with zero where there is none.
    #[must_use]
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.get(name, labels).unwrap_or_default()
    }

    /// The text as it came.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }
}

fn sample(line: &str) -> Option<(String, BTreeMap<String, String>, f64)> {
    if line.starts_with('#') {
        return None;
    }
    let (series, value) = line.rsplit_once(' ')?;
    let value = value.parse().ok()?;
    let Some((name, rest)) = series.split_once('{') else { return Some((series.to_owned(), BTreeMap::new(), value)) };
    let labels = rest.trim_end_matches('}').split("\",").filter_map(|pair| {
        let (label, value) = pair.split_once("=\"")?;
        Some((label.to_owned(), value.trim_end_matches('"').to_owned()))
    });
    Some((name.to_owned(), labels.collect(), value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_found_by_name_and_labels() {
        let metrics = Metrics::parse(
            "# TYPE a counter\na_total{x=\"1\",y=\"p/q\"} 2\na_total{x=\"2\",y=\"r\"} 3.5\nb 7\n# EOF\n",
        );
        assert_eq!(metrics.get("a_total", &[]), Some(5.5));
        assert_eq!(metrics.get("a_total", &[("x", "1"), ("y", "p/q")]), Some(2.0));
        assert_eq!(metrics.get("a_total", &[("x", "3")]), None);
        assert_eq!(metrics.sum("b", &[]), 7.0);
    }
}
