//! Scenarios of a team that keeps its manifests in Git.

use fake_auth0::{Fault, Kind, Relation};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::ResourceExt as _;
use rescind::api::{RemovalStatus, UserRoleRevocation};

use crate::application::{Application, resource};
use crate::harness::{Environment, OTHER_USER, ROLE, USER};
use crate::processes::argocd;
use crate::repository::Repository;

/// Two waves and a hook, with a rate limit in the first wave: the wave waits, and nothing ever becomes Degraded.
#[tokio::test(flavor = "multi_thread")]
async fn a_wave_waits_for_a_rate_limit_and_goes_on() {
    let argocd = argocd().await;
    let env = Environment::new("waves").await;
    env.fake.fault(Fault::status(429).header("Retry-After", "15").on(Kind::DeleteUserRoles).once());
    let _operator = env.operator().await;
    let repository = Repository::new();
    repository.revocation("first", 1, USER, ROLE);
    repository.revocation("second", 2, OTHER_USER, ROLE);
    repository.post_sync("finished");
    repository.commit();
    let application = Application::new(argocd, &env.client, &repository, &env.namespace).await;

    env.reason::<UserRoleRevocation>("first", "RateLimited").await;
    let waits = |status: &serde_json::Value| {
        let message = status["operationState"]["message"].as_str().unwrap_or_default();
        message.contains("waiting for healthy state of rescind.dev/UserRoleRevocation/first")
    };
    let waiting = application.wait("waiting for wave one", waits).await;
    assert_eq!(waiting["operationState"]["phase"], "Running");
    // The Application is Missing until the second wave is applied.
    let progresses = |status: &serde_json::Value| {
        let mut resources = status["resources"].as_array().into_iter().flatten();
        resources.any(|resource| resource["name"] == "first" && resource["health"]["status"] == "Progressing")
    };
    application.wait("wave one to be Progressing", progresses).await;
    application.settled("Healthy").await;

    let (first, second) = (get(&env, "first").await, get(&env, "second").await);
    let hook: ConfigMap = env.api().get("finished").await.unwrap();
    let made = |object: &UserRoleRevocation| object.creation_timestamp().unwrap();
    assert!(made(&second) >= status(&first).verified_time.unwrap(), "wave two came too early");
    assert!(hook.creation_timestamp().unwrap() >= status(&second).verified_time.unwrap(), "the hook came too early");
    let healths = application.healths();
    assert!(!healths.iter().any(|health| health == "Degraded"), "{healths:?}");
    assert_eq!(deletes(&env), 3, "one was refused");
}

/// A manifest that names an unknown user fails the sync with the operator's message. Without it the sync goes on, and
/// pruning it costs no call.
#[tokio::test(flavor = "multi_thread")]
async fn a_bad_manifest_is_degraded_and_can_be_pruned() {
    let argocd = argocd().await;
    let env = Environment::new("bad").await;
    let operator = env.operator().await;
    let repository = Repository::new();
    repository.revocation("good", 1, USER, ROLE);
    repository.revocation("bad", 2, "auth0|nobody", ROLE);
    repository.revocation("last", 3, OTHER_USER, ROLE);
    repository.commit();
    let application = Application::new(argocd, &env.client, &repository, &env.namespace).await;
    let failed = application.wait("Failed", |status| status["operationState"]["phase"] == "Failed").await;
    let results = failed["operationState"]["syncResult"]["resources"].as_array().unwrap();
    let bad = results.iter().find(|result| result["name"] == "bad").unwrap();
    assert!(bad["message"].as_str().unwrap().contains("Auth0 does not know this user"), "{bad}");
    assert!(env.api::<UserRoleRevocation>().get_opt("last").await.unwrap().is_none(), "the sync went on");
    let degraded = application.wait("Degraded", |status| status["health"]["status"] == "Degraded").await;
    assert_eq!(resource(&degraded, "bad")["health"]["message"], bad["message"]);

    let (calls, before) = (deletes(&env), env.fake.state());
    repository.remove("bad");
    repository.remove("good");
    repository.commit();
    application.refresh().await;
    application.settled("Healthy").await;
    for name in ["good", "bad"] {
        assert!(env.api::<UserRoleRevocation>().get_opt(name).await.unwrap().is_none(), "{name} was pruned");
    }
    assert_eq!(deletes(&env), calls + 1, "deleting an object costs no call");
    env.fake.assert_removed_exactly(&before, [Relation::user_role(OTHER_USER, ROLE)]);
    operator.stop().await;
}

/// Somebody deletes an object by hand: Argo CD creates it again, and the removal is carried out again, once. Then the
/// buttons: what they set survives a sync, because Git does not mention it.
#[tokio::test(flavor = "multi_thread")]
async fn self_heal_removes_again_and_buttons_survive_a_sync() {
    let argocd = argocd().await;
    let env = Environment::new("heal").await;
    let _operator = env.operator().await;
    let repository = Repository::new();
    repository.revocation("jane", 0, USER, ROLE);
    repository.commit();
    let application = Application::new(argocd, &env.client, &repository, &env.namespace).await;
    application.settled("Healthy").await;
    let before = get(&env, "jane").await.uid();
    let calls = env.fake.total();
    env.delete::<UserRoleRevocation>("jane").await;
    let again =
        env.wait::<UserRoleRevocation>("jane", |jane| jane.uid() != before && status(jane).verified_time.is_some());
    let again = again.await;
    application.settled("Healthy").await;
    assert_eq!(get(&env, "jane").await.uid(), again.uid(), "made once");
    assert_eq!(deletes(&env), 2);
    assert!(env.fake.total() <= calls + 2, "one DELETE, one read: {:?}", env.calls());

    argocd.press(&application.name, &env.namespace, "jane", "suspend").await;
    application.wait("Suspended", |status| status["health"]["status"] == "Suspended").await;
    application.refresh().await;
    application.settled("Suspended").await;
    assert!(get(&env, "jane").await.spec.options.suspend, "self-heal left it alone");
    argocd.press(&application.name, &env.namespace, "jane", "resume").await;
    application.settled("Healthy").await;

    let calls = env.fake.total();
    argocd.press(&application.name, &env.namespace, "jane", "reconcile").await;
    let answered = |jane: &UserRoleRevocation| status(jane).last_handled_reconcile_at.is_some();
    env.wait::<UserRoleRevocation>("jane", answered).await;
    application.settled("Healthy").await;
    assert_eq!(env.fake.total(), calls, "finished stays finished");
}

async fn get(env: &Environment, name: &str) -> UserRoleRevocation {
    env.api().get(name).await.unwrap()
}

fn status(object: &UserRoleRevocation) -> RemovalStatus {
    object.status.clone().unwrap_or_default()
}

fn deletes(env: &Environment) -> usize {
    env.fake.calls().iter().filter(|call| call.kind == Kind::DeleteUserRoles).count()
}
