//! Values for a field, made from its schema: what the schema allows, with its limits, and what it refuses.

use serde_json::{Value, json};

/// A value that the API server must refuse, and the place that the refusal names, below the field.
pub struct Bad {
    pub at: String,
    pub value: Value,
}

/// Good and bad texts of the formats that rules check. A format is known by words of the rule's message.
struct Format {
    says: &'static str,
    good: &'static [&'static str],
    bad: &'static str,
    /// Whether a good text stays good with letters after it, up to the greatest length.
    grows: bool,
}

const fn format(says: &'static str, good: &'static [&'static str], bad: &'static str) -> Format {
    Format { says, good, bad, grows: false }
}

const fn growing(says: &'static str, good: &'static [&'static str], bad: &'static str) -> Format {
    Format { says, good, bad, grows: true }
}

static FORMATS: [Format; 16] = [
    format("an instant in RFC 3339", &["2999-12-31T23:59:59Z", "2000-01-01T00:00:00+01:00"], "tomorrow"),
    format("a duration from 5m to 8760h", &["5m", "8760h"], "4m59s"),
    format("a duration from 1m to 24h", &["1m", "24h"], "24h1s"),
    format("give the reason in one line", &["audit", "a\u{a0}b, ü 🦀"], " audit"),
    growing("the name of an Auth0Tenant", &["default", "a"], "Default"),
    growing("the name of a Secret", &["auth0-management", "a"], "../a"),
    growing("a key of the Secret's data", &["token", ".t"], "..t"),
    growing("an Auth0 user id", &["auth0|a", "google-oauth2|1/2+3"], "jane@example.com"),
    format("an Auth0 role id", &["rol_bN1a2b3c4d5e6f7g"], "admin"),
    format("an Auth0 organization id", &["org_9ybsU1dN2dKfDkBi"], "acme"),
    growing("the permission's name", &["read:x"], "read:x "),
    growing("the identifier (audience) of the API", &["https://api.example.com/"], " https://x/"),
    format("must look like https://acme.eu.auth0.com/api/v2/", &["https://acme.eu.auth0.com/api/v2/"], "acme"),
    format("PEM certificates in base64", &["LS0tLS1C"], "-----BEGIN"),
    format("a bare lower-case host name", &["acme.eu.auth0.com", "localhost:8443"], "https://acme"),
    format("the value of a label", &["people", ""], "*"),
];

/// Values of objects whose fields depend on each other.
fn together(name: &str) -> Option<(Vec<Value>, Vec<Value>)> {
    let (token, client) = (json!({"name": "auth0-management"}), json!({"name": "a"}));
    match name {
        "credentials" => Some((
            vec![
                json!({"tokenSecretRef": token}),
                json!({"tokenSecretRef": {"name": "auth0-management", "key": "other"}}),
                json!({ "clientCredentialsSecretRef": client }),
            ],
            vec![json!({}), json!({"tokenSecretRef": token, "clientCredentialsSecretRef": client})],
        )),
        "allowedNamespaces" => {
            let expression = |operator, values: &[&str]| json!({"matchExpressions": [{"key": "rescind.dev/team", "operator": operator, "values": values}]});
            Some((
                vec![
                    json!({"matchLabels": {"team": "people"}}),
                    json!({"matchLabels": {"team": ""}, "matchExpressions": [{"key": "a", "operator": "Exists"}]}),
                    expression("In", &["a", "b"]),
                    expression("NotIn", &["a"]),
                ],
                vec![json!({}), expression("Exists", &["a"]), expression("In", &[]), expression("Is", &["a"])],
            ))
        }
        _ => None,
    }
}

fn format_of(schema: &Value) -> Option<&'static Format> {
    let rules = schema["x-kubernetes-validations"].as_array()?;
    let says = |rule: &Value, format: &Format| rule["message"].as_str().is_some_and(|text| text.contains(format.says));
    FORMATS.iter().find(|format| rules.iter().any(|rule| says(rule, format)))
}

/// The field `name` with its schema.
pub struct Field<'a> {
    pub name: &'a str,
    pub schema: &'a Value,
}

impl Field<'_> {
    fn number(&self, key: &str) -> Option<i64> {
        self.schema.get(key)?.as_f64().map(|number| number as i64)
    }

    fn kind(&self) -> &str {
        self.schema["type"].as_str().unwrap_or_else(|| panic!("{} has no type", self.name))
    }

    fn format(&self) -> &'static Format {
        format_of(self.schema).unwrap_or_else(|| panic!("no samples for {}: {}", self.name, self.schema))
    }

    fn fields(&self) -> impl Iterator<Item = Field<'_>> {
        let fields = self.schema.get("properties").and_then(Value::as_object).into_iter().flatten();
        fields.map(|(name, schema)| Field { name, schema })
    }

    fn items(&self) -> Field<'_> {
        Field { name: self.name, schema: &self.schema["items"] }
    }

    fn required(&self) -> Vec<&str> {
        self.schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect()
    }

    /// A good value with nothing that can be left out, except for this field.
    fn with(&self, name: &str, value: Value) -> Value {
        let (mut whole, required) = (json!({}), self.required());
        for field in self.fields().filter(|field| required.contains(&field.name)) {
            whole[field.name] = field.good().swap_remove(0);
        }
        whole[name] = value;
        whole
    }

    /// Values that the schema allows, the limits among them.
    pub fn good(&self) -> Vec<Value> {
        if let Some((good, _)) = together(self.name) {
            return good;
        }
        if let Some(words) = self.schema["enum"].as_array() {
            let rules = self.schema.get("x-kubernetes-validations").map(Value::to_string).unwrap_or_default();
            return words
                .iter()
                .filter(|word| !rules.contains(&format!("'{}'", word.as_str().unwrap())))
                .cloned()
                .collect();
        }
        match self.kind() {
            "boolean" => vec![json!(true), json!(false)],
            "integer" => ["minimum", "maximum"].map(|key| json!(self.number(key).unwrap())).to_vec(),
            "string" => {
                let mut good: Vec<_> = self.format().good.iter().map(|text| json!(text)).collect();
                if self.format().grows {
                    good.push(json!(self.grown(0)));
                }
                good
            }
            "array" => {
                let least = if self.number("minItems").is_some() { vec![] } else { vec![json!([])] };
                least.into_iter().chain(self.items().good().into_iter().map(|item| json!([item]))).collect()
            }
            "object" => {
                let values =
                    |field: Field<'_>| field.good().into_iter().map(|value| self.with(field.name, value)).collect();
                self.fields().flat_map(|field| -> Vec<Value> { values(field) }).collect()
            }
            other => panic!("no values for {other}"),
        }
    }

    /// The longest text that is allowed, and so many letters.
    fn grown(&self, more: usize) -> String {
        let text = self.format().good[0];
        format!("{text}{}", "a".repeat(usize::try_from(self.number("maxLength").unwrap()).unwrap() - text.len() + more))
    }

    /// Values that the schema refuses: of another type, beyond the limits, without what is required, with a field that
    /// does not exist.
    pub fn bad(&self) -> Vec<Bad> {
        let here = |value: Value| Bad { at: String::new(), value };
        if let Some((_, bad)) = together(self.name) {
            return bad.into_iter().map(here).chain([here(json!(7))]).collect();
        }
        if let Some(words) = self.schema["enum"].as_array() {
            let (word, good) = (words[0].as_str().unwrap(), self.good());
            let excluded = words.iter().filter(|word| !good.contains(word)).cloned();
            let others = [json!(word.to_lowercase()), json!(""), json!("Perhaps"), json!(true)];
            return excluded.chain(others).map(here).collect();
        }
        match self.kind() {
            "boolean" => [json!("true"), json!(1), json!([])].map(here).into(),
            "integer" => {
                let beyond = [self.number("minimum").unwrap() - 1, self.number("maximum").unwrap() + 1];
                beyond.map(Value::from).into_iter().chain([json!("1"), json!(1.5)]).map(here).collect()
            }
            "string" => {
                let most = usize::try_from(self.number("maxLength").unwrap()).unwrap();
                let long = if self.format().grows { self.grown(1) } else { "1".repeat(most + 1) };
                let texts = [self.format().bad, &long].map(Value::from);
                texts.into_iter().chain([json!(7), json!({}), json!([])]).map(here).collect()
            }
            "array" => self.bad_lists(),
            "object" => self.bad_objects(),
            other => panic!("no values for {other}"),
        }
    }

    fn bad_lists(&self) -> Vec<Bad> {
        let item = self.items().good().swap_remove(0);
        let mut bad = vec![Bad { at: String::new(), value: json!("x") }];
        if self.number("minItems").is_some() {
            bad.push(Bad { at: String::new(), value: json!([]) });
        }
        bad.push(Bad { at: String::new(), value: json!([item, item]) });
        bad.extend(self.items().bad().into_iter().map(|inside| Bad { at: inside.at, value: json!([inside.value]) }));
        bad
    }

    fn bad_objects(&self) -> Vec<Bad> {
        let at = |name: &str, value| Bad { at: format!(".{name}"), value };
        let mut bad = vec![Bad { at: String::new(), value: json!("x") }];
        let whole = self.with("fromTheFuture", json!("x"));
        bad.push(at("fromTheFuture", whole.clone()));
        for name in self.required() {
            let mut without = whole.clone();
            without.as_object_mut().unwrap().retain(|field, _| field != name && field != "fromTheFuture");
            bad.push(at(name, without));
        }
        for field in self.fields() {
            let inside = field.bad().into_iter();
            bad.extend(
                inside.map(|bad| Bad {
                    at: format!(".{}{}", field.name, bad.at),
                    value: self.with(field.name, bad.value),
                }),
            );
        }
        bad
    }
}
