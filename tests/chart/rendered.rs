//! What the chart renders for many sets of values: the API server accepts it, and it is as documented.

use serde_json::{Value, json};

use crate::cluster::{namespace, shared};
use crate::helm::{NAMESPACE, chart, helm, id, objects, of_kind, only, refusal, render, said, stream};

#[test]
fn helm_finds_nothing_to_complain_of() {
    let said = said(helm(&["lint", "--strict", chart().to_str().unwrap()]).output().unwrap()).unwrap();
    assert!(said.contains("0 chart(s) failed"), "{said}");
}

#[test]
fn versions_follow_the_program() {
    let text = std::fs::read_to_string(chart().join("Chart.yaml")).unwrap();
    let chart: Value = serde_saphyr::from_str(&text).unwrap();
    assert_eq!(chart["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(chart["appVersion"], env!("CARGO_PKG_VERSION"));
}

#[test]
fn the_crds_are_those_of_the_repository() {
    let rendered = objects(&["crds.annotations.team=identity"]);
    let rendered = of_kind(&rendered, "CustomResourceDefinition");
    let crds = crate::generated::crds();
    assert_eq!(rendered.len(), crds.len());
    for crd in crds {
        let own = rendered.iter().find(|own| own["metadata"]["name"] == crd["metadata"]["name"]).unwrap();
        assert_eq!(plain(&own["spec"]), plain(&crd["spec"]));
        let annotations = json!({"helm.sh/resource-policy": "keep", "team": "identity"});
        assert_eq!(own["metadata"]["annotations"], annotations);
    }
    let unkept = objects(&["crds.keep=false"]);
    let unkept = of_kind(&unkept, "CustomResourceDefinition");
    assert!(unkept.len() > 4 && unkept.iter().all(|crd| crd["metadata"]["annotations"].is_null()));
    assert!(of_kind(&objects(&["crds.enabled=false"]), "CustomResourceDefinition").is_empty());
}

/// A value with whole numbers as integers: YAML's 1.0 is Helm's 1.
pub fn plain(value: &Value) -> Value {
    match value {
        Value::Number(number) => json!(number.as_f64()),
        Value::Array(items) => items.iter().map(plain).collect(),
        Value::Object(map) => map.iter().map(|(key, value)| (key.clone(), plain(value))).collect(),
        other => other.clone(),
    }
}

/// Sets of values, one for each rendering.
const MATRIX: &[&[&str]] = &[
    &[],
    &["watchNamespaces={matrix-a,matrix-b}"],
    &["watchNamespaces={matrix-a,matrix-b}", "secretNamespaces={matrix-b}"],
    &["secretNamespaces={matrix-a,matrix-b}"],
    &["secretNamespaces={*}"],
    &["crds.enabled=false", "rbac.userRoles.create=false", "watchNamespaces={matrix-a}"],
    &["rbac.create=false", "rbac.userRoles.aggregate=false"],
    &["leaderElection.enabled=false", "replicas=1", "strategy.type=Recreate"],
    &["serviceAccount.create=false", "serviceAccount.name=mine"],
    &["serviceAccount.annotations.a=b", "serviceAccount.labels.c=d"],
    &[
        "image.repository=registry.example:5000/tools/rescind",
        "image.digest=sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
        "imagePullSecrets[0].name=pull",
        "image.pullPolicy=Always",
    ],
    &["podDisruptionBudget.maxUnavailable=null", "podDisruptionBudget.minAvailable=50%"],
    &["podDisruptionBudget.enabled=false", "hostUsers=false"],
    &["networkPolicy.enabled=true"],
    &[
        "networkPolicy.enabled=true",
        r#"@networkPolicy.metricsFrom=[{"namespaceSelector":{"matchLabels":{"name":"monitoring"}}}]"#,
        r#"@networkPolicy.extraEgress=[{"to":[{"ipBlock":{"cidr":"10.0.0.0/8"}}],"ports":[{"port":3128}]}]"#,
        "networkPolicy.egressPorts={443}",
    ],
    &["metrics.enabled=false", "networkPolicy.enabled=true", "networkPolicy.dnsPorts={53}", "openshift=true"],
    &["metrics.bindAddress=0.0.0.0:9090", "probes.bindAddress=[::]:9091", "leaderElection.leaseName=mine"],
    &[
        "metrics.service.annotations.a=b",
        "metrics.service.labels.c=d",
        "metrics.service.ipFamilyPolicy=SingleStack",
        "metrics.service.ipFamilies={IPv4}",
    ],
    &[
        "priorityClassName=system-cluster-critical",
        "nodeSelector.kubernetes\\.io/os=linux",
        r#"@tolerations=[{"key":"dedicated","operator":"Exists"}]"#,
        r#"@affinity={"podAntiAffinity":{"preferredDuringSchedulingIgnoredDuringExecution":[{"weight":1,"podAffinityTerm":{"topologyKey":"kubernetes.io/hostname"}}]}}"#,
        r#"@topologySpreadConstraints=[{"maxSkew":1,"topologyKey":"a","whenUnsatisfiable":"DoNotSchedule","labelSelector":{}}]"#,
        "dnsPolicy=None",
        r#"@dnsConfig={"nameservers":["10.0.0.10"],"options":[{"name":"ndots","value":"1"}]}"#,
        r#"@hostAliases=[{"ip":"10.1.1.1","hostnames":["acme.eu.auth0.com"]}]"#,
    ],
    &[
        "deploymentAnnotations.a=b",
        "podAnnotations.c=d",
        "podLabels.e=f",
        "commonLabels.team=identity",
        r#"@extraEnv=[{"name":"HTTPS_PROXY","value":"http://proxy:3128"}]"#,
        r#"@extraArgs=["--help"]"#,
        r#"@extraVolumes=[{"name":"ca","configMap":{"name":"ca"}}]"#,
        r#"@extraVolumeMounts=[{"name":"ca","mountPath":"/etc/ssl/certs","readOnly":true}]"#,
        r#"@extraContainers=[{"name":"proxy","image":"proxy:1"}]"#,
        r#"@extraInitContainers=[{"name":"wait","image":"wait:1"}]"#,
        r#"@extraObjects=[{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"{{ .Release.Name }}-more"}}]"#,
    ],
    &["nameOverride=taker", "fullnameOverride=a-very-long-name-for-an-operator-that-is-cut-somewhere"],
    &["requester.enforce=true", "nameOverride=a-name-that-is-as-long-as-it-may-be-here-and-cut"],
    &["requester.enforce=true", "watchNamespaces={matrix-a}", "rbac.create=false"],
    &["log.level=debug", "log.format=text", "maxConcurrentReconciles=256", "replicas=0"],
    &[
        "metrics.serviceMonitor.enabled=true",
        "metrics.serviceMonitor.labels.release=prometheus",
        r#"@metrics.serviceMonitor.relabelings=[{"targetLabel":"cluster","replacement":"one"}]"#,
        r#"@metrics.serviceMonitor.metricRelabelings=[{"action":"drop","regex":"go_.*","sourceLabels":["__name__"]}]"#,
        "metrics.prometheusRule.enabled=true",
        "metrics.prometheusRule.labels.release=prometheus",
        "metrics.prometheusRule.runbookUrl=https://wiki.example/rescind",
        "metrics.dashboard.enabled=true",
    ],
    &[
        "metrics.podMonitor.enabled=true",
        "metrics.podMonitor.labels.release=prometheus",
        r#"@metrics.podMonitor.relabelings=[{"targetLabel":"cluster","replacement":"one"}]"#,
        r#"@metrics.podMonitor.metricRelabelings=[{"action":"drop","regex":"go_.*","sourceLabels":["__name__"]}]"#,
    ],
];

/// With strict validation: an unknown field is an error.
#[test]
fn the_api_server_takes_what_is_rendered() {
    for name in [NAMESPACE, "matrix-a", "matrix-b"] {
        namespace(shared(), name);
    }
    for (row, sets) in MATRIX.iter().enumerate() {
        let objects = objects(sets);
        let ids: std::collections::BTreeSet<_> = objects.iter().map(id).collect();
        assert_eq!(ids.len(), objects.len(), "{sets:?}: two objects of one name");
        let file = shared().dir().join(format!("matrix-{row}.yaml"));
        std::fs::write(&file, stream(&objects)).unwrap();
        let path = file.to_str().unwrap();
        let args = ["apply", "--server-side", "--force-conflicts", "--dry-run=server", "--validate=strict", "-f", path];
        if let Err(refusal) = shared().run(&args) {
            panic!("{sets:?}: {refusal}");
        }
    }
}

/// A namespace that enforces the restricted standard admits the Pod of the Deployment and refuses others.
#[test]
fn pods_satisfy_the_restricted_standard() {
    let plane = shared();
    namespace(plane, "restricted");
    plane.run(&["label", "namespace", "restricted", "pod-security.kubernetes.io/enforce=restricted"]).unwrap();
    let admitted = |sets: &[&str]| {
        let objects = objects(sets);
        let template = &only(&objects, "Deployment")["spec"]["template"];
        let mut pod = json!({"apiVersion": "v1", "kind": "Pod", "spec": template["spec"]});
        pod["metadata"] = json!({"name": "pod", "namespace": "restricted", "labels": template["metadata"]["labels"]});
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), pod.to_string()).unwrap();
        plane.run(&["create", "--dry-run=server", "-f", file.path().to_str().unwrap()]).map_err(|e| e.to_string())
    };
    admitted(&[]).unwrap();
    for set in ["securityContext.allowPrivilegeEscalation=true", "podSecurityContext.runAsUser=0"] {
        let refusal = admitted(&[set]).unwrap_err();
        assert!(refusal.contains("violates PodSecurity"), "{set}: {refusal}");
    }
    let objects = objects(&[]);
    let container = &only(&objects, "Deployment")["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(container["securityContext"]["readOnlyRootFilesystem"], true);
}

#[test]
fn combinations_that_cannot_work_are_refused_with_a_reason() {
    for (sets, reason) in [
        (&["leaderElection.enabled=false"][..], "needs replicas=1 and strategy.type=Recreate"),
        (&["leaderElection.enabled=false", "replicas=1"], "needs replicas=1 and strategy.type=Recreate"),
        (&["podDisruptionBudget.minAvailable=1"], "exclude each other"),
        (&["metrics.enabled=false", "metrics.podMonitor.enabled=true"], "needs metrics.enabled=true"),
        (&["metrics.serviceMonitor.enabled=true", "metrics.podMonitor.enabled=true"], "enable one"),
        (&["metrics.serviceMonitor.enabled=true", "metrics.service.create=false"], "metrics.service.create=true"),
        (&["watchNamespaces={a}", "secretNamespaces={b}"], "which watchNamespaces does not"),
        (&["watchNamespaces={a}", "secretNamespaces={*}"], "which watchNamespaces does not"),
    ] {
        let words = refusal(sets);
        assert!(words.contains(reason), "{sets:?}: {words}");
    }
}

/// The notes that Helm prints say where Secrets are read and, if that is nowhere useful yet, how to change it.
#[test]
fn notes_tell_what_it_may_do() {
    let notes = |set: &str| {
        let path = chart();
        let args = ["install", "rescind", path.to_str().unwrap(), "-n", NAMESPACE, "--dry-run=client", "--set", set];
        let said = said(helm(&args).output().unwrap()).unwrap();
        said.split_once("NOTES:").unwrap().1.to_owned()
    };
    let default = notes("log.level=info");
    assert!(default.contains("in rescind-system (only with the label"), "{default}");
    assert!(default.contains("--reset-then-reuse-values --set secretNamespaces={identity}"), "{default}");
    for (set, read, target) in [
        ("secretNamespaces={a,b}", "in a, b", "-n a"),
        ("secretNamespaces={*}", "in all namespaces", "-n identity"),
        ("watchNamespaces={c}", "in c", "-n c"),
    ] {
        let notes = notes(set);
        assert!(notes.contains(&format!("It reads Secrets:  {read} (only")), "{notes}");
        assert!(notes.contains(&format!("kubectl create secret generic auth0-management {target} ")), "{notes}");
        assert!(!notes.contains("--set secretNamespaces"), "{notes}");
    }
}

/// Who installs for namespaces only needs no right to write cluster-wide objects.
#[test]
fn an_installation_for_namespaces_has_nothing_cluster_wide() {
    let objects = objects(&["watchNamespaces={a,b}", "crds.enabled=false", "rbac.userRoles.create=false"]);
    assert!(objects.len() > 8);
    for object in &objects {
        let namespace = object["metadata"]["namespace"].as_str().unwrap_or_else(|| panic!("{}", id(object)));
        assert!(["a", "b", NAMESPACE].contains(&namespace), "{}", id(object));
    }
}

#[test]
fn the_image_is_by_digest_if_there_is_one() {
    let image = |sets: &[&str]| {
        only(&objects(sets), "Deployment")["spec"]["template"]["spec"]["containers"][0]["image"].clone()
    };
    let digest = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    assert_eq!(image(&[]), format!("rescind:{}", env!("CARGO_PKG_VERSION")));
    assert_eq!(image(&["image.tag=v9"]), "rescind:v9");
    assert_eq!(image(&["image.tag=v9", &format!("image.digest={digest}")]), format!("rescind@{digest}"));
}

/// That the API server accepts them, with the CRDs of the Prometheus operator, is tested by the matrix.
#[test]
fn monitors_point_to_the_metrics_port() {
    for (kind, value, endpoints) in
        [("ServiceMonitor", "serviceMonitor", "endpoints"), ("PodMonitor", "podMonitor", "podMetricsEndpoints")]
    {
        let set = |rest: &str| format!("metrics.{value}.{rest}");
        let relabel = format!("@metrics.{value}.relabelings=[{{\"targetLabel\":\"cluster\",\"replacement\":\"one\"}}]");
        let objects =
            objects(&[&set("enabled=true"), &set("labels.release=prometheus"), &set("interval=1m"), &relabel]);
        let monitor = only(&objects, kind);
        assert_eq!(monitor["apiVersion"], "monitoring.coreos.com/v1");
        assert_eq!(monitor["metadata"]["labels"]["release"], "prometheus");
        let endpoint = &monitor["spec"][endpoints][0];
        assert_eq!((&endpoint["port"], &endpoint["interval"]), (&json!("metrics"), &json!("1m")));
        assert_eq!(endpoint["relabelings"][0]["targetLabel"], "cluster");

        let selector = monitor["spec"]["selector"]["matchLabels"].as_object().unwrap();
        let (labels, ports) = if kind == "ServiceMonitor" {
            let service = only(&objects, "Service");
            (&service["metadata"]["labels"], &service["spec"]["ports"])
        } else {
            let template = &only(&objects, "Deployment")["spec"]["template"];
            (&template["metadata"]["labels"], &template["spec"]["containers"][0]["ports"])
        };
        assert!(selector.iter().all(|(key, value)| labels[key] == *value), "{kind} selects {labels}");
        assert!(ports.as_array().unwrap().iter().any(|port| port["name"] == endpoint["port"]), "{kind}: {ports}");
    }
}

/// Alerts and dashboard are files of the chart that are rendered into objects unchanged, braces included; without the
/// file, asking for the object is an error.
#[test]
fn alerts_and_dashboard_are_the_files_of_the_chart() {
    const ALERTS: &str =
        "groups:\n- name: rescind\n  rules:\n  - alert: A\n    annotations: {summary: '{{ $labels.kind }}'}\n";
    const DASHBOARD: &str = "{\n  \"title\": \"{{kind}}\"\n}\n";
    let folder = tempfile::tempdir().unwrap();
    let copied = std::process::Command::new("cp").arg("-r").arg(chart()).arg(folder.path()).status().unwrap();
    assert!(copied.success());
    let copy = folder.path().join("rescind");
    for (file, value, content) in
        [("alerts.yaml", "prometheusRule", ALERTS), ("dashboard.json", "dashboard", DASHBOARD)]
    {
        let set = format!("metrics.{value}.enabled=true");
        let path = copy.join("files").join(file);
        let _ = std::fs::remove_file(&path);
        let words = render(&copy, NAMESPACE, &[&set]).unwrap_err();
        assert!(words.contains(&format!("this chart has no files/{file}")), "{words}");
        std::fs::write(path, content).unwrap();
    }
    let sets = ["metrics.prometheusRule.enabled=true", "metrics.dashboard.enabled=true"];
    let objects = render(&copy, NAMESPACE, &sets).unwrap();
    let groups = &only(&objects, "PrometheusRule")["spec"]["groups"];
    assert_eq!(groups[0]["rules"][0]["annotations"]["summary"], "{{ $labels.kind }}");
    let dashboard = only(&objects, "ConfigMap");
    assert_eq!(dashboard["data"]["rescind.json"].as_str().unwrap().trim(), DASHBOARD.trim());
    assert_eq!(dashboard["metadata"]["labels"]["grafana_dashboard"], "1");
}

/// Alertmanager can only link to a whole URL, and only the installation knows where the runbooks are served.
#[test]
fn runbook_urls_are_those_of_the_installation() {
    let url = "https://wiki.example/rescind";
    let set = format!("metrics.prometheusRule.runbookUrl={url}");
    let objects = objects(&["metrics.prometheusRule.enabled=true", &set]);
    let rules = only(&objects, "PrometheusRule")["spec"]["groups"][0]["rules"].as_array().unwrap();
    assert!(!rules.is_empty());
    for rule in rules {
        let runbook = rule["annotations"]["runbook_url"].as_str().unwrap();
        assert!(runbook.starts_with(&format!("{url}#")), "{runbook}");
    }
}

/// Every selector selects the pods, whatever labels people add.
#[test]
fn selectors_select_the_pods() {
    let sets = ["networkPolicy.enabled=true", "commonLabels.app\\.kubernetes\\.io/name=other", "podLabels.a=b"];
    let objects = objects(&sets);
    let deployment = only(&objects, "Deployment");
    let labels = &deployment["spec"]["template"]["metadata"]["labels"];
    let constraint = &deployment["spec"]["template"]["spec"]["topologySpreadConstraints"][0];
    let selectors = [
        &deployment["spec"]["selector"]["matchLabels"],
        &constraint["labelSelector"]["matchLabels"],
        &only(&objects, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
        &only(&objects, "NetworkPolicy")["spec"]["podSelector"]["matchLabels"],
        &only(&objects, "Service")["spec"]["selector"],
    ];
    for selector in selectors {
        let selector = selector.as_object().unwrap();
        assert!(selector.len() == 2 && selector.iter().all(|(key, value)| labels[key] == *value), "{selector:?}");
    }
}
