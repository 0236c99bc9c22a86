//! A client that cannot remove anything, for the commands for people.

use super::client::{Answer, Client, ClientError, Page, Timeouts};
use super::token_endpoint::TokenRequest;
use super::{Domain, Query, Read, Token};

/// Sends reads to one tenant, and nothing else but the request for a token.
#[derive(Clone, Debug)]
pub struct Reader(Client);

impl Reader {
    /// See [`Client::new`].
    pub fn new(domain: &Domain, ca_bundle: Option<&[u8]>, timeouts: Timeouts) -> Result<Self, ClientError> {
        Client::new(domain, ca_bundle, timeouts).map(Self)
    }

    /// See [`Client::page`].
    pub async fn page(&self, token: &Token, read: &Read, query: &Query) -> Answer<Page> {
        self.0.page(token, read, query).await
    }

    /// See [`Client::token`].
    pub async fn token(&self, request: &TokenRequest<'_>) -> Answer<Token> {
        self.0.token(request).await
    }
}
