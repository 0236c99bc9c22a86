//! The tenants as they are now. They are looked up in the caches at every use, so that a changed object or a rotated
//! Secret counts from the next call on.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, RwLock};
use std::time::Duration;

use kube::runtime::reflector::{ObjectRef, Store};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::api::{Admission, Auth0Tenant, Reason, TenantObject, Verification};
use crate::auth0::{AllowedDomains, CallError, Client, Domain, Timeouts};
use crate::clock;
use crate::dispatch::{Connection, ConnectionKey};
use crate::sync::{lock, read, write};

use super::admission::{Applicant, refusal};
use super::brake::{Brakes, GroupRefusal, GroupRules, ItemId};
use super::cluster::{Cluster, ClusterCaches, NamespaceMeta, Problem};
use super::connection::TenantError;
use super::connection_cache::{Connect, ConnectionCache, Rules};
use super::guards::{braked, braked_share, group_rules, kept_role, protected_target, questions};
use super::health::{Health, Unreachable};
use super::key::TenantKey;
use super::rejected_credentials::RejectedCredentials;
use super::secrets::{SecretLookup, Secrets};
use super::state::{TenantState, Usable};
use super::token_source::{TokenNews, TokenSource, no_token};
use super::token_state::Availability;

/// What the existing tenant objects use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alive {
    /// The connections of the tenants that can be used.
    pub connections: HashSet<ConnectionKey>,
    /// The domains that tenants name, whether they can be used or not.
    pub domains: HashSet<Domain>,
}

/// Every tenant object of either kind, every labelled Secret, and what calls found out about their connections.
pub struct Tenants {
    rules: Rules,
    /// By the namespace that is watched; the one without a namespace holds all.
    caches: RwLock<BTreeMap<Option<String>, Arc<Caches>>>,
    cluster: RwLock<Cluster>,
    connections: Mutex<ConnectionCache>,
    rejected: Mutex<RejectedCredentials>,
    health: Mutex<Health>,
    news: Mutex<Option<UnboundedReceiver<TokenNews>>>,
    brakes: Brakes,
}

struct Caches {
    tenants: Store<Auth0Tenant>,
    secrets: Secrets,
}

impl Tenants {
    /// Without caches, so without tenants. Calls will be made over HTTPS with these timeouts.
    pub fn new(allowed: AllowedDomains, timeouts: Timeouts) -> Arc<Self> {
        Self::connecting(
            allowed,
            Arc::new(move |domain, ca_bundle| Ok(Arc::new(Client::new(domain, ca_bundle, timeouts)?))),
        )
    }

    /// The same, with clients that `connect` makes.
    pub fn connecting(allowed: AllowedDomains, connect: Arc<Connect>) -> Arc<Self> {
        let (news, receiver) = unbounded_channel();
        Arc::new(Self {
            rules: Rules { allowed, connect, news },
            caches: RwLock::default(),
            cluster: RwLock::default(),
            connections: Mutex::default(),
            rejected: Mutex::default(),
            health: Mutex::default(),
            news: Mutex::new(Some(receiver)),
            brakes: Brakes::default(),
        })
    }

    /// Yields how each request for an access token has ended. There is one receiver.
    pub fn token_news(&self) -> Option<UnboundedReceiver<TokenNews>> {
        lock(&self.news).take()
    }

    /// Adds the caches that hold the tenants of `namespace` (all if none) and their Secrets.
    pub fn add(&self, namespace: Option<&str>, tenants: Store<Auth0Tenant>, secrets: Secrets) {
        let mut all = write(&self.caches);
        all.insert(namespace.map(str::to_owned), Arc::new(Caches { tenants, secrets }));
    }

    /// Has `ClusterAuth0Tenant` served from these caches. The cache of its Secrets is among those of [`Tenants::add`].
    pub fn serve_cluster(&self, caches: ClusterCaches) {
        *write(&self.cluster) = Cluster::Served(caches);
    }

    /// Sets why `ClusterAuth0Tenant` is not served.
    pub fn not_serving_cluster(&self, why: &str) {
        *write(&self.cluster) = Cluster::NotServed(why.to_owned());
    }

    /// The tenant object, from the cache.
    pub fn get(&self, key: &TenantKey) -> Option<Arc<dyn TenantObject>> {
        let object: Arc<dyn TenantObject> = match key.namespace.as_deref() {
            Some(namespace) => self.caches(namespace)?.tenants.get(&ObjectRef::new(&key.name).within(namespace))?,
            None => read(&self.cluster).caches()?.tenants.get(&ObjectRef::new(&key.name))?,
        };
        Some(object)
    }

    /// The metadata of a namespace, from the cache. Without cluster-scoped tenants no namespace is known.
    pub fn namespace(&self, name: &str) -> Option<Arc<NamespaceMeta>> {
        read(&self.cluster).caches()?.namespace_meta(name)
    }

    /// What a removal needs to know of its tenant.
    pub fn state(&self, key: &TenantKey, applicant: &Applicant<'_>) -> TenantState {
        if let Some(problem) = self.cluster_problem(key) {
            return TenantState::NotReady(problem.error);
        }
        let Some(tenant) = self.get(key) else { return TenantState::Missing };
        if let Some(refused) = tenant.admission().and_then(|admission| self.refusal(admission, &key.name, applicant)) {
            return refused;
        }
        let spec = tenant.tenant_spec();
        if spec.suspend {
            return TenantState::Suspended;
        }
        if let Some((hold, until)) = spec.hold.as_ref().and_then(|hold| Some((hold, hold.in_force(clock::wall())?))) {
            return TenantState::OnHold { until, why: hold.reason.clone() };
        }
        match self.usable(key, &*tenant) {
            Usable::Yes(connection, verification) => {
                let scopes = connection.credential.token().and_then(|token| token.scopes().cloned());
                let (protected, brake) = self.guarded(key, &*tenant, applicant);
                let questions = questions(&*tenant, applicant.removal);
                TenantState::Ready { connection, verification, mode: spec.mode, protected, brake, questions, scopes }
            }
            Usable::No(error) => TenantState::NotReady(error),
            Usable::NotKnown => {
                let namespace = self.secrets_namespace(key);
                let message = format!("the operator has not read the Secrets of namespace {namespace} yet");
                TenantState::NotReady(TenantError::new(Reason::SecretNotFound, message))
            }
        }
    }

    /// What of the removal the tenant protects, and why its brake keeps the removal from being sent.
    fn guarded(
        &self,
        key: &TenantKey,
        tenant: &dyn TenantObject,
        applicant: &Applicant<'_>,
    ) -> (Option<String>, Option<String>) {
        let Applicant { namespace, removal, .. } = applicant;
        let protected = &tenant.tenant_spec().protected;
        let (is_braked, group) = self.brakes.refuses(key, namespace, || ItemId::of(removal));
        let kept = || group.as_ref().and_then(|refusal| kept_role(protected, removal, refusal));
        let share = match group {
            Some(GroupRefusal::Share { is_known }) => Some(braked_share(key, tenant, removal, is_known)),
            Some(GroupRefusal::Holders { .. }) | None => None,
        };
        let brake = share.or_else(|| is_braked.then(|| braked(key, tenant)));
        (protected_target(protected, removal).or_else(kept), brake)
    }

    /// What the guards of groups of this tenant allow.
    pub fn group_rules(&self, tenant: &dyn TenantObject) -> GroupRules {
        group_rules(tenant)
    }

    /// The brakes of all tenants.
    pub const fn brakes(&self) -> &Brakes {
        &self.brakes
    }

    /// Whether a guard other than the brake keeps the removal from being sent: whom the tenant admits, and what it
    /// protects.
    pub fn bars(&self, name: &str, tenant: &dyn TenantObject, applicant: &Applicant<'_>) -> bool {
        let refused = tenant.admission().and_then(|admission| self.refusal(admission, name, applicant));
        refused.is_some() || protected_target(&tenant.tenant_spec().protected, applicant.removal).is_some()
    }

    /// Why a cluster-scoped tenant does not let the removal use it, if it does not.
    fn refusal(&self, admission: &Admission, name: &str, applicant: &Applicant<'_>) -> Option<TenantState> {
        let Some(namespace) = self.namespace(applicant.namespace) else {
            // It is new, and the watch on namespaces has not delivered it yet.
            let message = format!("the operator has not heard of namespace {} yet", applicant.namespace);
            return Some(TenantState::NotReady(TenantError::new(Reason::TenantNotReady, message)));
        };
        let no_labels = BTreeMap::new();
        let labels = namespace.metadata.labels.as_ref().unwrap_or(&no_labels);
        refusal(admission, name, applicant, labels).map(TenantState::NotAllowed)
    }

    /// Why no tenant of this kind can be used now, if none can.
    fn cluster_problem(&self, key: &TenantKey) -> Option<Problem> {
        key.namespace.is_none().then(|| read(&self.cluster).problem()).flatten()
    }

    /// The namespace of the tenant's Secret: its own, or the operator's if it has none.
    fn secrets_namespace(&self, key: &TenantKey) -> String {
        let of_operator = || read(&self.cluster).caches().map(|caches| caches.namespace.clone());
        key.namespace.clone().or_else(of_operator).unwrap_or_default()
    }

    /// Whether `tenant` could be used if it were not suspended.
    pub fn usable(&self, key: &TenantKey, tenant: &dyn TenantObject) -> Usable {
        if let Some(problem) = self.cluster_problem(key) {
            return if problem.is_brief { Usable::NotKnown } else { Usable::No(problem.error) };
        }
        let namespace = &*self.secrets_namespace(key);
        let name = tenant.tenant_spec().credentials.secret().unwrap_or_default();
        let found = self
            .caches(namespace)
            .map_or(SecretLookup::NamespaceNotRead, |caches| caches.secrets.find(namespace, name));
        let (secret, unreadable) = match found {
            SecretLookup::Found(secret) => (Some(secret), None),
            SecretLookup::Missing => (None, None),
            SecretLookup::NotListed => return Usable::NotKnown,
            SecretLookup::NamespaceNotRead => {
                let message = format!(
                    "the operator is not configured to read Secrets in namespace {namespace}; ask the operator's \
                     administrator to add the namespace to --secret-namespaces"
                );
                (None, Some(TenantError::new(Reason::NamespaceNotAllowed, message)))
            }
            SecretLookup::Unreadable(why) => {
                let message = format!(
                    "the Secrets of namespace {namespace} cannot be read ({why}), so the operator cannot find {name}"
                );
                (None, Some(TenantError::new(Reason::SecretNotFound, message)))
            }
        };
        let secret = (namespace, secret.as_deref());
        let resolved = lock(&self.connections).resolve(key, tenant, secret, &self.rules, clock::wall()).clone();
        match (resolved, unreadable) {
            (Ok((connection, verification)), None) => self.unless_rejected(connection, verification),
            // It may exist all the same, so the cause is that it cannot be read.
            (Err(error), Some(unreadable)) if error.reason == Reason::SecretNotFound => Usable::No(unreadable),
            (Err(error), _) => Usable::No(error),
            (Ok(_), Some(unreadable)) => Usable::No(unreadable),
        }
    }

    fn unless_rejected(&self, connection: Connection, verification: Verification) -> Usable {
        match lock(&self.rejected).in_force(connection.key, clock::steady()) {
            Some(why) => Usable::No(TenantError::new(Reason::Unauthorized, why)),
            None => self.unless_without_token(connection, verification),
        }
    }

    fn unless_without_token(&self, connection: Connection, verification: Verification) -> Usable {
        let source = lock(&self.connections).source_of(connection.key);
        match source.map(|source| source.availability()) {
            Some(Availability::Failed(error)) => Usable::No(no_token(&connection.domain, &error)),
            // A call that needs a token has it asked for.
            Some(Availability::Available | Availability::Pending) | None => Usable::Yes(connection, verification),
        }
    }

    /// Waits until calls for this tenant have a token. Returns false if there is none to be had for now.
    pub async fn wait_for_token(&self, key: &TenantKey) -> bool {
        match self.source(key) {
            Some(source) => source.wait().await,
            None => true,
        }
    }

    /// Whether the answer to a request for the first token of this tenant is still to come.
    pub fn awaits_token(&self, key: &TenantKey) -> bool {
        self.source(key).is_some_and(|source| source.availability() == Availability::Pending)
    }

    /// Has a token asked for if this tenant has none and gets tokens from Auth0.
    pub fn want_token(&self, key: &TenantKey) {
        if self.awaits_token(key) {
            self.source(key).iter().for_each(|source| source.want());
        }
    }

    /// Has a fresh token asked for if this tenant gets tokens from Auth0.
    pub fn refresh_token(&self, key: &TenantKey) {
        self.source(key).iter().for_each(|source| source.refresh());
    }

    /// Why the token of this tenant, which is still valid, could not be renewed.
    pub fn renewal_failure(&self, key: &TenantKey) -> Option<CallError> {
        self.source(key)?.renewal_failure()
    }

    fn source(&self, key: &TenantKey) -> Option<Arc<TokenSource>> {
        lock(&self.connections).source(key)
    }

    /// Records that Auth0 rejected the credential of this connection. Returns whether no such rejection was in force
    /// before.
    pub fn credential_rejected(&self, key: ConnectionKey, why: String) -> bool {
        lock(&self.rejected).record(key, why, clock::steady())
    }

    /// Records how a call with this connection ended; no error: it succeeded. Returns whether the status of its tenants
    /// may change.
    pub fn call_ended(&self, key: ConnectionKey, error: Option<&CallError>) -> bool {
        lock(&self.health).record(key, error)
    }

    /// Whether a call with this connection succeeded since the operator started. It is known once
    /// [`Tenants::call_ended`] returned, which is a moment before the dispatcher knows.
    pub fn has_succeeded(&self, key: ConnectionKey) -> bool {
        lock(&self.health).has_succeeded(key)
    }

    /// Why the last call with this connection could not be sent, if it could not.
    pub fn unreachable(&self, key: ConnectionKey) -> Option<Unreachable> {
        lock(&self.health).unreachable(key)
    }

    /// Forgets what belongs to tenants and connections that do not exist any more; returns what does.
    pub fn retain(&self) -> Alive {
        let mut cache = lock(&self.connections);
        cache.retain(|key| self.get(key).is_some());
        let connections = cache.connections();
        drop(cache);
        lock(&self.rejected).retain(&connections);
        let window_of = |tenant: &dyn TenantObject| tenant.brake().0.window.duration().unwrap_or(Duration::MAX);
        self.brakes.retain(|key| self.get(key).map(|tenant| window_of(&*tenant)));
        lock(&self.health).retain(&connections);
        let domains = self.objects().into_iter().filter_map(|tenant| tenant.tenant_spec().domain.parse().ok());
        Alive { connections, domains: domains.collect() }
    }

    /// The tenants with this connection.
    pub fn with_connection(&self, key: ConnectionKey) -> Vec<TenantKey> {
        lock(&self.connections).tenants_with(|connection| connection.key == key)
    }

    /// The tenants with the same connection as this one, itself included.
    pub fn sharing(&self, key: &TenantKey) -> Vec<TenantKey> {
        let cache = lock(&self.connections);
        let connection = cache.connection(key);
        connection.map(|own| cache.tenants_with(|connection| connection.key == own)).unwrap_or_default()
    }

    /// The tenants of this domain that can be used.
    pub fn with_domain(&self, domain: &Domain) -> Vec<TenantKey> {
        lock(&self.connections).tenants_with(|connection| connection.domain == *domain)
    }

    /// The tenants that can be used, with their connections.
    pub fn usable_now(&self) -> Vec<(TenantKey, Connection)> {
        let mut usable = lock(&self.connections).usable();
        usable.retain(|(key, _)| self.get(key).is_some());
        usable
    }

    /// The tenants that use this Secret.
    pub fn using_secret(&self, namespace: &str, secret: &str) -> Vec<TenantKey> {
        self.keys(|tenant, of_secret| {
            of_secret == namespace && tenant.tenant_spec().credentials.secret() == Some(secret)
        })
    }

    /// The tenants whose Secrets are in `namespace` (in any if none).
    pub fn with_secrets_in(&self, namespace: Option<&str>) -> Vec<TenantKey> {
        self.keys(|_, of_secret| namespace.is_none_or(|namespace| of_secret == namespace))
    }

    /// The cluster-scoped tenants.
    pub fn cluster_scoped(&self) -> Vec<TenantKey> {
        self.keys(|tenant, _| tenant.admission().is_some())
    }

    /// The tenants that are `wanted`, which is asked with the namespace of their Secret.
    fn keys(&self, wanted: impl Fn(&dyn TenantObject, &str) -> bool) -> Vec<TenantKey> {
        let keyed = self.objects().into_iter().map(|tenant| (TenantKey::of_object(tenant.metadata()), tenant));
        let wanted = keyed.filter(|(key, tenant)| wanted(&**tenant, &self.secrets_namespace(key)));
        wanted.map(|(key, _)| key).collect()
    }

    /// The tenant objects of both kinds.
    fn objects(&self) -> Vec<Arc<dyn TenantObject>> {
        let mut objects: Vec<Arc<dyn TenantObject>> = Vec::new();
        for caches in read(&self.caches).values() {
            objects.extend(caches.tenants.state().into_iter().map(|tenant| tenant as Arc<dyn TenantObject>));
        }
        let cluster = read(&self.cluster).caches().map(|caches| caches.tenants.state()).unwrap_or_default();
        objects.extend(cluster.into_iter().map(|tenant| tenant as Arc<dyn TenantObject>));
        objects
    }

    fn caches(&self, namespace: &str) -> Option<Arc<Caches>> {
        let caches = read(&self.caches);
        caches.get(&None).or_else(|| caches.get(&Some(namespace.to_owned()))).cloned()
    }
}

#[cfg(test)]
mod tests;
