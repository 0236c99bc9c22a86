//! A tenant with users, and a client for it.

use std::sync::Once;

use fake_auth0::{FakeAuth0, State};
use reqwest::{Client, Method, Response};
use serde_json::Value;

pub const JANE: &str = "auth0|jane";
pub const JOHN: &str = "samlp|corp|john/doe@example.com";
pub const ADMIN: &str = "rol_Admin00000000000";
pub const EDITOR: &str = "rol_Editor0000000000";
pub const ACME: &str = "org_Acme000000000000";
pub const OTHER: &str = "org_Other00000000000";
pub const API: &str = "https://api.example.com/";

pub struct World {
    pub fake: FakeAuth0,
    pub client: Client,
    pub token: String,
}

/// Jane and John with relations of every kind. Tests encode the paths of calls themselves.
pub fn people() -> State {
    State::build(|s| {
        s.user(JANE)
            .email("jane@example.com")
            .roles([ADMIN, EDITOR])
            .permission(API, "read:x")
            .permission_via(API, "write:x", EDITOR);
        s.user(JOHN).role(EDITOR);
        s.organization(ACME).member_role(JANE, ADMIN).member_role(JANE, EDITOR).member(JOHN);
        s.organization(OTHER).member(JANE);
    })
}

pub fn client(fake: &FakeAuth0) -> Client {
    builder(fake).build().unwrap()
}

pub fn builder(fake: &FakeAuth0) -> reqwest::ClientBuilder {
    trusting(reqwest::Certificate::from_pem(fake.ca_pem().as_bytes()).unwrap())
}

pub fn client_trusting(ca: reqwest::Certificate) -> Client {
    trusting(ca).build().unwrap()
}

fn trusting(ca: reqwest::Certificate) -> reqwest::ClientBuilder {
    static PROVIDER: Once = Once::new();
    PROVIDER.call_once(|| {
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
    Client::builder().tls_certs_only([ca]).redirect(reqwest::redirect::Policy::none()).no_proxy()
}

impl World {
    pub async fn new() -> Self {
        let fake = FakeAuth0::start().await;
        fake.edit(|s| s.replace(people()));
        let client = client(&fake);
        let token = fake.token(&fake.all_scopes());
        Self { fake, client, token }
    }

    pub fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.client.request(method, self.fake.url(path)).bearer_auth(&self.token)
    }

    pub async fn get(&self, path: &str) -> (u16, Value) {
        taken(self.request(Method::GET, path).send().await.unwrap()).await
    }

    pub async fn delete(&self, path: &str, body: Value) -> (u16, Value) {
        taken(self.request(Method::DELETE, path).json(&body).send().await.unwrap()).await
    }

    pub async fn ids(&self, path: &str, key: &str) -> Vec<String> {
        let (status, body) = self.get(path).await;
        assert_eq!(status, 200, "{body}");
        body.as_array().unwrap().iter().map(|item| item[key].as_str().unwrap().to_owned()).collect()
    }
}

/// Status and JSON body; an empty body is `null`.
pub async fn taken(response: Response) -> (u16, Value) {
    let status = response.status().as_u16();
    let text = response.text().await.unwrap();
    (status, if text.is_empty() { Value::Null } else { serde_json::from_str(&text).unwrap() })
}

/// The status and `errorCode` of an error.
pub fn code((status, body): &(u16, Value)) -> (u16, &str) {
    assert_eq!(body["statusCode"], *status, "{body}");
    assert!(body["error"].is_string() && body["message"].is_string(), "{body}");
    (*status, body["errorCode"].as_str().unwrap_or(""))
}

pub fn encoded(id: &str) -> String {
    percent_encoding::utf8_percent_encode(id, percent_encoding::NON_ALPHANUMERIC).to_string()
}

pub fn user(id: &str, rest: &str) -> String {
    format!("/api/v2/users/{}{rest}", encoded(id))
}

pub fn members(organization: &str) -> String {
    format!("/api/v2/organizations/{organization}/members")
}

pub fn member_roles(organization: &str, id: &str) -> String {
    format!("/api/v2/organizations/{organization}/members/{}/roles", encoded(id))
}
