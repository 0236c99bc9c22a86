//! Reads the documentation in `values.yaml`: the comment right above a key describes it, `# ## …` begins a section.

use serde_json::{Map, Value};

/// A documented value.
#[derive(Debug)]
pub struct Documented {
    pub section: String,
    /// `log.level`.
    pub path: String,
    pub text: String,
    pub default: Value,
}

/// The documentation of each value; a value that is neither documented nor above documented ones is an error.
pub fn documented(values: &str) -> Vec<Documented> {
    let defaults: Value = serde_saphyr::from_str(values).unwrap();
    let (mut found, mut section, mut comment) = (Vec::new(), String::new(), String::new());
    // The keys that enclose the current line, with their indentation, and the indentation of the documented value
    // around it.
    let (mut above, mut inside): (Vec<(usize, String)>, Option<usize>) = (Vec::new(), None);
    for line in values.lines() {
        let (indent, text) = (line.len() - line.trim_start().len(), line.trim());
        if let Some(title) = text.strip_prefix("# ## ") {
            section = title.to_owned();
            comment.clear();
        } else if let Some(words) = text.strip_prefix("# ") {
            let space = if comment.is_empty() { "" } else { " " };
            comment = format!("{comment}{space}{words}");
        } else if text.is_empty() {
            comment.clear();
        } else if inside.is_none_or(|documented| indent <= documented) {
            let key = text.split_once(':').unwrap_or_else(|| panic!("no key: {line}")).0.to_owned();
            above.retain(|(other, _)| *other < indent);
            above.push((indent, key));
            let path: Vec<&str> = above.iter().map(|(_, key)| key.as_str()).collect();
            let path = path.join(".");
            inside = None;
            if comment.is_empty() {
                assert!(text.ends_with(':'), "{path} has no comment in values.yaml");
            } else {
                inside = Some(indent);
                let default = defaults.pointer(&format!("/{}", path.replace('.', "/"))).unwrap().clone();
                found.push(Documented { section: section.clone(), path, text: std::mem::take(&mut comment), default });
            }
        }
    }
    found
}

/// The tables of values, one for each section.
pub fn tables(documented: &[Documented]) -> String {
    let mut text = String::new();
    let mut section = "";
    for value in documented {
        if value.section != section {
            section = &value.section;
            text += &format!("\n### {section}\n\n| Value | Default | What it is |\n|---|---|---|\n");
        }
        let default = serde_json::to_string(&value.default).unwrap();
        text += &format!("| `{}` | `{}` | {} |\n", value.path, default, value.text.replace('|', "\\|"));
    }
    text
}

/// `text` with `content` between the two marks.
pub fn between_marks(text: &str, content: &str) -> String {
    const MARKS: [&str; 2] = ["<!-- values: written by `make chart` -->\n", "<!-- end of values -->"];
    let [(before, rest), (_, after)] = [text.split_once(MARKS[0]).unwrap(), text.split_once(MARKS[1]).unwrap()];
    assert!(rest.contains(MARKS[1]), "the marks are in order");
    format!("{before}{}{content}\n{}{after}", MARKS[0], MARKS[1])
}

/// The schema with each description taken from `values.yaml`.
pub fn described(mut schema: Value, documented: &[Documented]) -> Value {
    for value in documented {
        let pointer = schema_pointer(&value.path);
        let property = schema.pointer_mut(&pointer).unwrap_or_else(|| panic!("{} is not in the schema", value.path));
        let property: &mut Map<String, Value> = property.as_object_mut().unwrap();
        if let Some(reference) = property.remove("$ref") {
            // Draft 7 ignores what stands beside a $ref.
            property.insert("allOf".to_owned(), serde_json::json!([{"$ref": reference}]));
        }
        property.insert("description".to_owned(), Value::String(value.text.clone()));
    }
    schema
}

/// The JSON pointer to the schema of a value.
pub fn schema_pointer(path: &str) -> String {
    path.split('.').map(|key| format!("/properties/{key}")).collect()
}
