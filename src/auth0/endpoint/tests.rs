use super::*;
use crate::auth0::Read;
use proptest::prelude::*;

proptest! {
    /// Whatever an id contains, it stays one path segment and decodes to itself.
    #[test]
    fn an_id_stays_one_segment(user in "\\PC{1,40}", organization in "\\PC{1,40}") {
        for endpoint in Endpoint::all(&user, &organization) {
            let path = endpoint.path();
            let inner: Vec<_> = path.strip_prefix("/api/v2/").unwrap().split('/').collect();
            let template: Vec<_> = endpoint.template().split('/').collect();
            prop_assert_eq!(inner.len(), template.len());
            let mut ids = endpoint.ids().into_iter();
            for (part, name) in inner.into_iter().zip(template) {
                if name.starts_with('{') {
                    prop_assert!(!part.contains(['?', '#', '|', ' ']));
                    let id = percent_encoding::percent_decode_str(part).decode_utf8().unwrap();
                    prop_assert_eq!(&*id, &**ids.next().unwrap().1);
                } else {
                    prop_assert_eq!(part, name);
                }
            }
            prop_assert!(ids.next().is_none());
        }
    }
}

#[test]
fn paths_and_bodies_are_as_documented() {
    let written: Vec<_> = Endpoint::all("auth0|a/b", "org_9ybsU1dN2dKfDkBi")
        .into_iter()
        .map(|endpoint| (endpoint.path(), endpoint.body(&[Item::Id("x|y".into())]).to_string()))
        .collect();
    let expected = [
        ("/api/v2/users/auth0%7Ca%2Fb/permissions", r#"{"permissions":["x|y"]}"#),
        ("/api/v2/users/auth0%7Ca%2Fb/roles", r#"{"roles":["x|y"]}"#),
        ("/api/v2/organizations/org_9ybsU1dN2dKfDkBi/members", r#"{"members":["x|y"]}"#),
        ("/api/v2/organizations/org_9ybsU1dN2dKfDkBi/members/auth0%7Ca%2Fb/roles", r#"{"roles":["x|y"]}"#),
        ("/api/v2/groups/auth0%7Ca%2Fb/roles", r#"{"roles":["x|y"]}"#),
    ];
    assert_eq!(written, expected.map(|(path, body)| (path.to_owned(), body.to_owned())));
    let organizations = Read::UserOrganizations { user: "auth0|a".into() };
    assert_eq!(organizations.path(), "/api/v2/users/auth0%7Ca/organizations");
    let item = Item::Permission { resource_server: "https://api/".into(), name: "read:x".into() };
    assert_eq!(
        Endpoint::UserPermissions { user: "auth0|a".into() }.body(&[item]),
        json!({"permissions": [{"resource_server_identifier": "https://api/", "permission_name": "read:x"}]})
    );
}
