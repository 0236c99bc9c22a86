//! Every check with its code, in one place: what it is about, what it means, and what to do. The codes are API, and
//! docs/checks.md is made from this table.

/// A check.
#[derive(Debug, PartialEq, Eq)]
pub struct Code {
    /// `RSC` and three digits. A code is never given to another check.
    pub id: &'static str,
    /// What is checked.
    pub title: &'static str,
    /// What it means if the check is not fine, for the documentation.
    pub meaning: &'static str,
    /// What to do, for the documentation.
    pub remedy: &'static str,
}

macro_rules! codes {
    ($($name:ident = $id:literal $title:literal { $meaning:literal $remedy:literal })+) => {
        $(pub const $name: &Code = &Code { id: $id, title: $title, meaning: $meaning, remedy: $remedy };)+

        /// Every check, by its code.
        pub const CHECKS: &[&Code] = &[$($name),+];
    };
}

codes! {
    KUBERNETES = "RSC101" "The version of Kubernetes" {
        "The API server is older than the oldest version that Rescind supports. The CRDs use rules and selectable \
         fields that it does not know. Or it cannot be reached, or does not accept your credentials: then nothing else \
         is checked."
        "Update the cluster. If it does not answer, choose another context of the kubeconfig, or log in again."
    }
    CRDS = "RSC102" "The CRDs are installed" {
        "A kind of Rescind is missing, so objects of it cannot be created and the operator does not become ready."
        "Install the chart with its CRDs, or run `rescind crds | kubectl apply --server-side -f -`."
    }
    SCHEMA = "RSC103" "The CRDs are those of this version" {
        "The schema in the cluster is another one than this program's. An older schema drops fields that it does \
         not know, and the operator holds every object whose fields were dropped. A newer one has fields on which \
         this program does not act."
        "Update the CRDs to the version of the operator, and use the `kubectl-rescind` of that version."
    }
    DRY_RUN = "RSC104" "A removal passes a dry run" {
        "The API server refuses a correct removal, although nothing would have been stored. The message says who \
         refuses it: often a policy or a webhook of the cluster."
        "Change the policy or webhook that the message names, or repair the CRDs."
    }
    MAY_INSTALL = "RSC105" "You may install" {
        "You may not create what the chart creates for the whole cluster: CRDs, ClusterRoles and their bindings."
        "Have somebody install the chart who may, or install it for single namespaces."
    }
    DEPLOYMENT = "RSC201" "The operator is installed" {
        "No Deployment with a container named rescind is in the operator's namespace. Nothing is removed without it."
        "Install the chart, or name its namespace with `--operator-namespace`."
    }
    PODS = "RSC202" "The operator's pods are ready" {
        "Fewer pods are ready than are wanted. With one that is ready, removals go on; without any, nothing happens."
        "Look at the pods: `kubectl describe pods -n rescind-system` and their logs say what is missing."
    }
    VERSION = "RSC203" "The operator has the version of this program" {
        "What this program says of plans and reasons is what its own version does; the operator may act differently."
        "Use the `kubectl-rescind` of the operator's version, or update the operator."
    }
    SECRETS = "RSC204" "The operator can see the tenant's Secret" {
        "The operator may not list Secrets in the namespace of the tenant, or was told not to. The tenant stays \
         `SecretNotFound`, however good its Secret is."
        "Add the namespace to `secretNamespaces` of the chart, and run `helm upgrade`."
    }
    LEADER = "RSC205" "A replica of the operator leads" {
        "No replica holds the Lease, or it was not renewed in time. Only the leader removes anything."
        "Look at the operator's logs. After a crash another replica leads within seconds."
    }
    REQUESTER = "RSC206" "The policy on who asks is in force" {
        "The operator was told that an admission policy proves who asked, but the policy or its binding is missing \
         or was changed. The audit log calls every requester claimed, not proved."
        "Run `helm upgrade` with `requester.enforce=true`, and change neither of the two by hand."
    }
    WATCHED = "RSC207" "The operator watches the namespace" {
        "The operator watches single namespaces, and this one is not among them. It never looks at this tenant and \
         its removals."
        "Add the namespace to `watchNamespaces` of the chart, and run `helm upgrade`."
    }
    TENANT = "RSC301" "The tenant can be used" {
        "The operator says that it cannot use the tenant, or has not looked at it yet. The reason is explained in \
         [troubleshooting.md](troubleshooting.md)."
        "Do what the message says."
    }
    DOMAIN = "RSC302" "The domain and the CA bundle are good" {
        "The operator may not send credentials to this domain, or the domain or the CA bundle cannot be used."
        "Correct `spec.domain` or `spec.caBundle`, or add the domain to `allowedDomains` of the chart."
    }
    SECRET = "RSC303" "The Secret is there and labelled" {
        "The tenant names a Secret that does not exist, or that lacks the label by which its owner lets the \
         operator read it."
        "Create it, and label it: `kubectl label secret NAME rescind.dev/credentials=true`."
    }
    CREDENTIAL = "RSC304" "The credential can be read and is for this API" {
        "The Secret holds no token or no application that can be used: a key is missing, the token has ended, or it \
         was issued for another API."
        "Do what the message says."
    }
    TOKEN = "RSC310" "The token does not end soon" {
        "The tenant uses a static token, and that ends within three days or has ended. Then every removal waits \
         until somebody replaces it."
        "Replace the token, or better use the credentials of an application \
         (`spec.credentials.clientCredentialsSecretRef`), for which the operator gets tokens itself."
    }
    REMOVE = "RSC312" "The token may remove" {
        "The token lacks a scope, so every removal of this kind ends as `InsufficientScope`."
        "Grant the scope to the application in Auth0, then get a new token. The operator does that itself for the \
         credentials of an application."
    }
    VERIFY = "RSC313" "The token may verify" {
        "The token lacks a scope to read, so removals of this kind are carried out but not proved: they end as \
         `RemovedUnverified`."
        "Grant the scope, then get a new token; or accept it with `verification: Never`."
    }
    POWERFUL = "RSC315" "The token may not do more than it needs" {
        "The token has powerful scopes that Rescind never uses. Who gets hold of it can do more harm than necessary."
        "Take these scopes away from the application in Auth0."
    }
    PROTECTED = "RSC320" "Break-glass accounts are protected" {
        "`spec.protected` is empty, so a wrong list can remove the last administrators of your Auth0 tenant."
        "Name the accounts, roles and organizations from which nothing is ever removed."
    }
    BRAKE = "RSC321" "The brake is not engaged" {
        "More would be removed than the brake lets through, so nothing is."
        "Look at what is waiting with `kubectl rescind status` and `kubectl rescind plan --all`. If all of that is \
         meant, release the brake as [guards.md](guards.md) says; if not, delete the objects that are wrong."
    }
    RELEASED = "RSC322" "No release of the brake is left over" {
        "A release of the brake has not been used up: so many more items can be removed before it engages."
        "Nothing, if they are meant. Taking the annotation `rescind.dev/release-brake` away ends the release."
    }
    STOPPED = "RSC323" "The tenant is not stopped" {
        "The tenant is suspended or on hold, so nothing is removed. Somebody may have forgotten it."
        "Let it go on with `kubectl rescind resume --tenant NAME`."
    }
    OBSERVE = "RSC324" "The tenant removes" {
        "`spec.mode` is `Observe`: removals only say what they would remove."
        "Set `mode: Remove` once you have looked at what the objects say."
    }
    LOOSE = "RSC325" "The brake can stop a mistake" {
        "The limits of `spec.brake` are so high that they stop nothing: 100,000 removals and more, or the whole of \
         an organization."
        "Set `maxRemovals` and `maxShareOfOrganization` a little above what a normal day needs."
    }
    HEALTH = "RSC401" "Argo CD knows the health of the kinds" {
        "argocd-cm has no health script for a kind. Argo CD then takes its objects for healthy at once, and a sync \
         wave does not wait for them."
        "Merge the ConfigMap that the chart makes with `argocd.enabled=true` into argocd-cm, as \
         [argocd.md](argocd.md) says."
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_in_order_and_differ() {
        assert!(CHECKS.windows(2).all(|pair| pair[0].id < pair[1].id));
        assert!(CHECKS.iter().all(|code| code.id.len() == 6 && code.id.starts_with("RSC")));
    }
}
