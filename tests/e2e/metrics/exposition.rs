//! Parses OpenMetrics text as far as the tests need it.

use std::collections::{BTreeMap, BTreeSet};

/// A scrape.
#[derive(Debug)]
pub struct Scrape {
    pub text: String,
    pub families: Vec<Family>,
}

/// The samples under one `# TYPE`.
#[derive(Debug, Default)]
pub struct Family {
    pub name: String,
    pub kind: String,
    pub unit: Option<String>,
    pub help: String,
    pub samples: Vec<Sample>,
}

#[derive(Debug)]
pub struct Sample {
    pub name: String,
    pub labels: BTreeMap<String, String>,
    pub value: f64,
}

impl Scrape {
    pub fn read(text: &str) -> Self {
        let mut families: Vec<Family> = Vec::new();
        assert_eq!(text.lines().last(), Some("# EOF"));
        for line in text.lines().filter(|line| *line != "# EOF") {
            let mut words = line.splitn(4, ' ');
            match (words.next().unwrap(), words.next().unwrap(), words.next(), words.next()) {
                ("#", "HELP", Some(name), Some(help)) => {
                    families.push(Family { name: name.to_owned(), help: help.to_owned(), ..Family::default() });
                }
                ("#", "TYPE", Some(name), Some(kind)) => {
                    let family = families.last_mut().unwrap();
                    assert_eq!(family.name, name);
                    kind.clone_into(&mut family.kind);
                }
                ("#", "UNIT", _, Some(unit)) => families.last_mut().unwrap().unit = Some(unit.to_owned()),
                _ => families.last_mut().unwrap().samples.push(sample(line)),
            }
        }
        Self { text: text.to_owned(), families }
    }

    /// The sum of all samples of this name that carry these labels.
    pub fn value(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let all = self.families.iter().flat_map(|family| &family.samples).filter(|sample| sample.name == name);
        let carries =
            |sample: &&Sample| labels.iter().all(|(key, value)| sample.labels.get(*key) == Some(&(*value).into()));
        all.filter(carries).map(|sample| sample.value).sum()
    }

    /// The labels of all samples of this name; `None` if there are none.
    pub fn labels(&self, name: &str) -> Option<BTreeSet<&str>> {
        let samples: Vec<_> = self.families.iter().flat_map(|f| &f.samples).filter(|s| s.name == name).collect();
        (!samples.is_empty()).then(|| samples.iter().flat_map(|s| s.labels.keys().map(String::as_str)).collect())
    }
}

impl Family {
    /// The name as queries use it; for a histogram, the part that its series share.
    pub fn written(&self) -> String {
        match self.kind.as_str() {
            "counter" => format!("{}_total", self.name),
            "info" => format!("{}_info", self.name),
            _ => self.name.clone(),
        }
    }

    /// The labels, without the `le` of a histogram's buckets.
    pub fn labels(&self) -> BTreeSet<&str> {
        self.samples.iter().flat_map(|s| s.labels.keys().map(String::as_str)).filter(|label| *label != "le").collect()
    }
}

fn sample(line: &str) -> Sample {
    let (series, value) = line.rsplit_once(' ').unwrap();
    let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
    let mut rest = labels.strip_suffix('}').unwrap();
    let mut labels = BTreeMap::new();
    // None of our label values contains a quote.
    while let Some((key, more)) = rest.split_once("=\"") {
        let (value, more) = more.split_once('"').unwrap();
        labels.insert(key.trim_start_matches(',').to_owned(), value.to_owned());
        rest = more;
    }
    Sample { name: name.to_owned(), labels, value: value.parse().unwrap() }
}
