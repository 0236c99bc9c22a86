//! Bodies as `application/x-www-form-urlencoded`: the usual form of token requests, which the documents offer for the
//! four removals beside JSON.
//!
//! Nested keys are parsed like the JavaScript library `qs` does: `roles[]=a`, `roles[0]=a`,
//! `permissions[0][permission_name]=a`; a repeated key makes a list.

use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};

/// A form as a JSON object; `None` when it is not UTF-8.
pub(crate) fn parse(body: &[u8]) -> Option<Value> {
    let text = std::str::from_utf8(body).ok()?;
    let decode = |text: &str| {
        let spaced = text.replace('+', " ");
        percent_decode_str(&spaced).decode_utf8().map(|text| text.into_owned()).ok()
    };
    let mut form = Value::Object(Map::new());
    for pair in text.split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let key = decode(key)?;
        let (name, rest) = key.split_at(key.find('[').unwrap_or(key.len()));
        let steps = rest.split_terminator(']').map(|step| step.trim_start_matches('['));
        put(&mut form, &[name].into_iter().chain(steps).collect::<Vec<_>>(), decode(value)?);
    }
    Some(form)
}

/// Puts a text at the path `steps`; an empty step or a number is a place in a list.
fn put(into: &mut Value, steps: &[&str], text: String) {
    let Some((step, rest)) = steps.split_first() else {
        *into = match into.take() {
            Value::Null => text.into(),
            Value::Array(mut list) => {
                list.push(text.into());
                list.into()
            }
            first => vec![first, text.into()].into(),
        };
        return;
    };
    if step.is_empty() || step.parse::<usize>().is_ok() {
        if !into.is_array() {
            *into = Value::Array(if into.is_null() { Vec::new() } else { vec![into.take()] });
        }
        let Some(list) = into.as_array_mut() else { return };
        let index = step.parse().unwrap_or(list.len());
        // A number beyond the end means the next place, so that a short text cannot ask for a long list.
        if index >= list.len() {
            list.push(Value::Null);
        }
        let last = list.len() - 1;
        if let Some(place) = list.get_mut(index.min(last)) {
            put(place, rest, text);
        }
    } else {
        if !into.is_object() {
            *into = Value::Object(Map::new());
        }
        if let Some(object) = into.as_object_mut() {
            put(object.entry(*step).or_insert(Value::Null), rest, text);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::parse;

    #[test]
    fn keys_may_nest_and_repeat() {
        for (form, expected) in [
            ("a=1&b=x+y%7C", json!({"a": "1", "b": "x y|"})),
            ("roles=a&roles=b&roles=c", json!({"roles": ["a", "b", "c"]})),
            ("roles[]=a", json!({"roles": ["a"]})),
            ("roles%5B0%5D=a&roles%5B1%5D=b", json!({"roles": ["a", "b"]})),
            ("roles[999999999]=a", json!({"roles": ["a"]})),
            ("p[0][k]=1&p[0][l]=2&p[1][k]=3", json!({"p": [{"k": "1", "l": "2"}, {"k": "3"}]})),
            ("", json!({})),
        ] {
            assert_eq!(parse(form.as_bytes()).unwrap(), expected, "{form}");
        }
    }
}
