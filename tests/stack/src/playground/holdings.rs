//! Prints who holds what in the fake tenant.

use std::collections::BTreeMap;

use serde_json::Value;

/// What each person holds, one line each, sorted.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Holdings(BTreeMap<String, Vec<String>>);

impl Holdings {
    /// Reads a state in the form of the control API.
    pub(crate) fn read(state: &Value) -> Self {
        let people = entries(&state["users"]).map(|(id, user)| {
            let email = user["email"].as_str().unwrap_or("(no e-mail address)");
            (format!("{email}  {id}"), held(state, id, user))
        });
        Self(people.collect())
    }

    /// A table of all holdings.
    pub(crate) fn table(&self) -> String {
        self.lines(|_, thing| format!("    {thing}\n"))
    }

    /// A table of the holdings `before`, with a mark at those that are gone now.
    pub(crate) fn table_since(&self, before: &Self) -> String {
        before.lines(|person, thing| {
            let mark = if self.holds(person, thing) { "" } else { "removed" };
            format!("    {mark:<9}{thing}\n")
        })
    }

    /// How many of the holdings `before` are gone.
    pub(crate) fn removed_since(&self, before: &Self) -> usize {
        let things = before.0.iter().flat_map(|(person, things)| things.iter().map(move |thing| (person, thing)));
        things.filter(|(person, thing)| !self.holds(person, thing)).count()
    }

    fn holds(&self, person: &str, thing: &str) -> bool {
        self.0.get(person).is_some_and(|things| things.iter().any(|held| held == thing))
    }

    fn lines(&self, line: impl Fn(&str, &str) -> String) -> String {
        let person = |(person, things): (&String, &Vec<String>)| {
            let things: String = things.iter().map(|thing| line(person, thing)).collect();
            format!("  {person}\n{things}")
        };
        self.0.iter().map(person).collect()
    }
}

fn held(state: &Value, id: &str, user: &Value) -> Vec<String> {
    let role = |role: &str| format!("role {} ({role})", state["roles"][role]["name"].as_str().unwrap_or("?"));
    let mut held: Vec<String> = texts(&user["roles"]).map(role).collect();
    for (api, permissions) in entries(&user["permissions"]) {
        for (permission, sources) in entries(permissions) {
            held.extend(texts(sources).map(|source| match source {
                "DIRECT" => format!("permission {permission} of {api}"),
                through => format!("permission {permission} of {api}, through {}", role(through)),
            }));
        }
    }
    for (organization, what) in entries(&state["organizations"]) {
        let Some(roles) = what["members"].get(id) else { continue };
        let name = what["name"].as_str().unwrap_or("?");
        held.push(format!("member of {name} ({organization})"));
        held.extend(texts(roles).map(|id| format!("in {name}: {}", role(id))));
    }
    held
}

fn entries(object: &Value) -> impl Iterator<Item = (&str, &Value)> {
    object.as_object().into_iter().flatten().map(|(name, value)| (name.as_str(), value))
}

fn texts(list: &Value) -> impl Iterator<Item = &str> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_gone_is_marked_and_counted() {
        let state = |roles: Value| {
            let permissions = json!({"api": {"read": ["DIRECT", "rol_1"]}});
            json!({
                "users": {"auth0|a": {"email": "a@x", "roles": roles, "permissions": permissions}},
                "roles": {"rol_1": {"name": "admin"}},
                "organizations": {"org_1": {"name": "acme", "members": {"auth0|a": ["rol_1"]}}},
            })
        };
        let (before, after) = (Holdings::read(&state(json!(["rol_1"]))), Holdings::read(&state(json!([]))));
        assert_eq!(
            before.table(),
            "  a@x  auth0|a\n    role admin (rol_1)\n    permission read of api\n    permission read of api, \
             through role admin (rol_1)\n    member of acme (org_1)\n    in acme: role admin (rol_1)\n"
        );
        assert_eq!(after.removed_since(&before), 1);
        assert!(after.table_since(&before).contains("\n    removed  role admin (rol_1)\n             permission"));
    }
}
