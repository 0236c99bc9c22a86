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
