//! Which users a search finds: by e-mail address, or by the few forms of `q` that this crate knows.

use crate::{answers::Problem, paging::value, state::User, switches::EmailCase};

/// Whether a user has this address, for `GET users-by-email`.
pub(crate) fn has_email(user: &User, email: &str, case: EmailCase) -> bool {
    user.email.as_deref().is_some_and(|own| match case {
        EmailCase::Exact => own == email,
        EmailCase::Folded => own.to_lowercase() == email.to_lowercase(),
    })
}

/// What `GET users` looks for, in lower case.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Search {
    Everybody,
    Name(String),
    Email(String),
    Id(String),
}

impl Search {
    pub(crate) fn parse(query: &[(String, String)]) -> Result<Self, Problem> {
        if let Some(engine) = value(query, "search_engine").filter(|engine| *engine != "v3") {
            return Err(Problem::query(format!("'No enum match for: {engine}' on property search_engine.")));
        }
        let Some(text) = value(query, "q").filter(|text| !text.is_empty()) else { return Ok(Self::Everybody) };
        let unknown = || Problem::bad_request("invalid_query_string", format!("Invalid query: {text}"));
        let (field, quoted) = text.split_once(':').ok_or_else(unknown)?;
        let sought = unquoted(quoted).ok_or_else(unknown)?.to_lowercase();
        match field {
            "name" => Ok(Self::Name(sought)),
            "email" => Ok(Self::Email(sought)),
            "user_id" => Ok(Self::Id(sought)),
            _ => Err(unknown()),
        }
    }

    pub(crate) fn finds(&self, id: &str, user: &User) -> bool {
        match self {
            Self::Everybody => true,
            Self::Name(name) => user.name.as_deref().unwrap_or(id).to_lowercase() == *name,
            Self::Email(email) => user.email.as_deref().is_some_and(|own| own.to_lowercase() == *email),
            Self::Id(sought) => id.to_lowercase() == *sought,
        }
    }
}

/// The text between two quotation marks; a backslash escapes the next character.
fn unquoted(text: &str) -> Option<String> {
    let mut rest = text.strip_prefix('"')?.chars();
    let mut found = String::new();
    loop {
        match rest.next()? {
            '"' => return rest.next().is_none().then_some(found),
            '\\' => found.push(rest.next()?),
            other => found.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(q: &str) -> Result<Search, Option<&'static str>> {
        Search::parse(&[("q".to_owned(), q.to_owned())]).map_err(|problem| problem.code)
    }

    #[test]
    fn only_quoted_texts_of_three_fields_are_understood() {
        assert_eq!(parse(r#"name:"Jane \"J\" Doe""#), Ok(Search::Name(r#"jane "j" doe"#.into())));
        assert_eq!(parse(r#"user_id:"auth0|Jane""#), Ok(Search::Id("auth0|jane".into())));
        assert_eq!(parse(""), Ok(Search::Everybody));
        for other in ["jane", "name:jane", r#"name:"jane"#, r#"nickname:"jane""#, r#"name:"a" OR name:"b""#] {
            assert_eq!(parse(other), Err(Some("invalid_query_string")), "{other}");
        }
    }
}
