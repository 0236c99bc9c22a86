//! What the checks have found, as data and as text.

use serde_json::{Value, json};

use crate::api::printable;
use crate::cli::screen::{Screen, Tone};

use super::codes::Code;

/// What a check has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// It is as it should be.
    Fine,
    /// Somebody should look at it.
    Look,
    /// It is wrong.
    Wrong,
    /// It could not be found out.
    Unknown,
}

impl Sign {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Fine => "√",
            Self::Look => "‼",
            Self::Wrong => "×",
            Self::Unknown => "?",
        }
    }

    /// The word in JSON.
    const fn word(self) -> &'static str {
        match self {
            Self::Fine => "success",
            Self::Look => "warning",
            Self::Wrong => "error",
            Self::Unknown => "unknown",
        }
    }

    const fn tone(self) -> Tone {
        match self {
            Self::Fine => Tone::Good,
            Self::Look | Self::Unknown => Tone::Unsure,
            Self::Wrong => Tone::Bad,
        }
    }
}

/// One line.
#[derive(Debug)]
pub struct Line {
    code: &'static Code,
    pub sign: Sign,
    text: String,
    /// What to do, in this case.
    remedy: Option<String>,
}

/// Checks that belong together.
#[derive(Debug, Default)]
pub struct Category {
    title: String,
    pub lines: Vec<Line>,
}

impl Category {
    /// No checks yet.
    pub fn new(title: impl Into<String>) -> Self {
        Self { title: title.into(), lines: Vec::new() }
    }

    /// It is as it should be.
    pub fn fine(&mut self, code: &'static Code, text: impl Into<String>) {
        self.lines.push(Line { code, sign: Sign::Fine, text: text.into(), remedy: None });
    }

    /// Somebody should look at it.
    pub fn look(&mut self, code: &'static Code, text: impl Into<String>, remedy: impl Into<String>) {
        self.lines.push(Line { code, sign: Sign::Look, text: text.into(), remedy: Some(remedy.into()) });
    }

    /// It is wrong.
    pub fn wrong(&mut self, code: &'static Code, text: impl Into<String>, remedy: impl Into<String>) {
        self.lines.push(Line { code, sign: Sign::Wrong, text: text.into(), remedy: Some(remedy.into()) });
    }

    /// It could not be found out.
    pub fn unknown(&mut self, code: &'static Code, text: impl Into<String>) {
        self.lines.push(Line { code, sign: Sign::Unknown, text: text.into(), remedy: None });
    }
}

/// Everything that was checked.
#[derive(Debug)]
pub struct Report(pub Vec<Category>);

impl Report {
    fn count(&self, sign: Sign) -> usize {
        self.0.iter().flat_map(|category| &category.lines).filter(|line| line.sign == sign).count()
    }

    /// Whether nothing is wrong.
    pub fn is_good(&self) -> bool {
        self.count(Sign::Wrong) == 0
    }

    /// As text. `short`: only what is not fine.
    pub fn text(&self, screen: &Screen, short: bool) -> String {
        let mut out = String::new();
        for category in &self.0 {
            let lines: Vec<&Line> = category.lines.iter().filter(|line| !short || line.sign != Sign::Fine).collect();
            if lines.is_empty() {
                continue;
            }
            out += &format!("{}\n", screen.paint(Tone::Strong, printable(&category.title)));
            for line in lines {
                let sign = screen.paint(line.sign.tone(), line.sign.as_str());
                let code = if line.sign == Sign::Fine { String::new() } else { format!("  {}", line.code.id) };
                out += &format!("  {sign} {}{}\n", printable(&line.text), screen.paint(Tone::Faint, code));
                if let Some(remedy) = &line.remedy {
                    out += &format!("      {}\n", printable(remedy));
                }
            }
        }
        let (fine, look, wrong) = (self.count(Sign::Fine), self.count(Sign::Look), self.count(Sign::Wrong));
        let unknown = match self.count(Sign::Unknown) {
            0 => String::new(),
            many => format!(", {many} not known"),
        };
        out + &format!("{fine} fine, {look} to look at, {wrong} wrong{unknown}. Each code: docs/checks.md\n")
    }

    /// As JSON.
    pub fn json(&self) -> Value {
        let line = |line: &Line| {
            json!({
                "code": line.code.id,
                "title": line.code.title,
                "result": line.sign.word(),
                "description": line.text,
                "remedy": line.remedy,
                "hint": format!("docs/checks.md#{}", line.code.id.to_ascii_lowercase()),
            })
        };
        let category = |category: &Category| {
            let lines: Vec<Value> = category.lines.iter().map(line).collect();
            json!({"categoryName": category.title, "checks": lines})
        };
        let categories: Vec<Value> = self.0.iter().map(category).collect();
        json!({"schemaVersion": 1, "success": self.is_good(), "categories": categories})
    }
}
