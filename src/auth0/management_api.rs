//! The Management API as a trait, so that tests can replace [`Client`].

use std::fmt::Debug;

use futures::FutureExt;
use futures::future::BoxFuture;

use super::client::{Answer, Client, Page};
use super::endpoint::Endpoint;
use super::item::Item;
use super::read::Read;
use super::token::Token;
use super::token_endpoint::TokenRequest;
use super::walk::Query;

/// The calls that the operator makes.
pub trait ManagementApi: Debug + Send + Sync + 'static {
    /// See [`Client::remove`].
    fn remove<'a>(
        &'a self,
        token: &'a Token,
        endpoint: &'a Endpoint,
        items: &'a [Item],
        correlation_id: &'a str,
    ) -> BoxFuture<'a, Answer<()>>;

    /// See [`Client::page`].
    fn page<'a>(&'a self, token: &'a Token, read: &'a Read, query: &'a Query) -> BoxFuture<'a, Answer<Page>>;

    /// See [`Client::token`].
    fn token<'a>(&'a self, request: &'a TokenRequest<'a>) -> BoxFuture<'a, Answer<Token>>;
}

impl ManagementApi for Client {
    fn remove<'a>(
        &'a self,
        token: &'a Token,
        endpoint: &'a Endpoint,
        items: &'a [Item],
        correlation_id: &'a str,
    ) -> BoxFuture<'a, Answer<()>> {
        Self::remove(self, token, endpoint, items, correlation_id).boxed()
    }

    fn page<'a>(&'a self, token: &'a Token, read: &'a Read, query: &'a Query) -> BoxFuture<'a, Answer<Page>> {
        Self::page(self, token, read, query).boxed()
    }
    fn token<'a>(&'a self, request: &'a TokenRequest<'a>) -> BoxFuture<'a, Answer<Token>> {
        Self::token(self, request).boxed()
    }
}
