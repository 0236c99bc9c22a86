use crate::harness::Environment;
use crate::person::Person;

#[tokio::test]
async fn kubectl_finds_the_plugin() {
    let env = Environment::new("version").await;
    let person = Person::admin(&env);
    let listed = person.kubectl(&["plugin", "list"]).await;
    assert!(listed.out.contains("kubectl-rescind"), "{listed:?}");
    let printed = person.rescind(&["version"]).await;
    assert_eq!(
        (printed.code, printed.out.lines().next()),
        (0, Some(concat!("kubectl-rescind ", env!("CARGO_PKG_VERSION"))))
    );
}

#[tokio::test]
async fn each_version_that_cannot_be_read_says_so() {
    let env = Environment::new("versions").await;
    let person = Person::admin(&env);
    let printed = person.rescind(&["version"]).await;
    assert!(
        printed.out.contains("\nkubernetes v1.") && printed.out.contains("\ncrds v1alpha1 (6 of 6 kinds)"),
        "{printed:?}"
    );
    assert!(printed.out.contains("\noperator not known: no Deployment"), "{printed:?}");
    let json = person.rescind(&["version", "-o", "json", "--as", "nobody"]).await;
    let json: serde_json::Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!((json["schemaVersion"].as_u64(), &json["crds"]), (Some(1), &serde_json::Value::Null));
    assert!(json["unread"]["crds"].as_str().unwrap().contains("you may not get the CRD"), "{json:#}");
    let client = person.rescind(&["version", "--client"]).await;
    assert_eq!((client.code, client.out.lines().count()), (0, 1));
    assert_eq!(env.calls(), Vec::<String>::new());
}
