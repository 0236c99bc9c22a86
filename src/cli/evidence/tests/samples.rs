//! Made-up reports.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::cli::evidence::columns::Form;
use crate::cli::evidence::report::{Completeness, Counts, Evidence, Input, Origin, Query, does_not_show};
use crate::cli::evidence::row::{Row, Source, Standing, TimesFrom};

/// A day.
pub const DAY: Duration = Duration::from_secs(86_400);

pub fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// A report of these removals.
pub fn report(mut rows: Vec<Row>, form: Form) -> Evidence {
    let now = at("2027-01-02T09:00:00Z");
    for row in &mut rows {
        row.within_sla = row.judged(DAY, now);
    }
    let input = |file: &str| Input { file: file.to_owned(), sha256: "ab".repeat(32) };
    let query = Query {
        since: at("2026-10-01T00:00:00Z"),
        until: at("2027-01-01T00:00:00Z"),
        namespace: None,
        selector: None,
        sla_seconds: 86_400,
        names: form.names,
        recheck: form.recheck,
        audit_logs: vec![input("rescind.jsonl")],
        kube_audit_logs: vec![input("audit.jsonl")],
    };
    let completeness = Completeness {
        complete: true,
        objects: rows.len() * 4 / 5,
        only_in_audit: vec!["UserRoleRevocation identity/deleted".to_owned()],
        audit_lines: rows.len() * 2,
        does_not_show: does_not_show(&query, true),
        ..Completeness::default()
    };
    let origin = Origin {
        created_at: now,
        tool: "rescind 0.1.0".to_owned(),
        cluster_uid: Some("6f2e2b4c-2f0d-4c60-9f0a-5f6a3a1f9b11".to_owned()),
        cluster: "https://cluster.example.com:6443".to_owned(),
        run_by: Some("auditor@acme.com".to_owned()),
        domains: BTreeSet::from(["acme.eu.auth0.com".to_owned()]),
        auth0: Vec::new(),
        query,
    };
    Evidence { counts: Counts::of(&rows), rows, form, completeness, origin }
}

/// A quarter of a company: `many` removals of a fifth as many people, most of them done within seconds.
pub fn quarter(many: usize) -> Evidence {
    let mut random = fastrand::Rng::with_seed(7);
    let start = at("2026-10-01T06:00:00Z");
    let rows = (0..many).map(|number| {
        let person = number / 5;
        let asked = start + SignedDuration::from_secs(i64::try_from(person).unwrap() * 3_500 % 7_900_000);
        let seconds = match random.u32(0..1000) {
            0 => random.i64(90_000..400_000),
            1..30 => random.i64(600..80_000),
            _ => random.i64(1..40),
        };
        let removed = asked + SignedDuration::from_secs(seconds);
        let (standing, verdict, proof, message) = match random.u32(0..1000) {
            0 | 1 => (Standing::NotDone, "Protected", "", "acme protects this user in spec.protected.userIds."),
            2 => (Standing::NotDone, "InsufficientScope", "", "Grant delete:organization_members, then a fresh token."),
            3..8 => (Standing::Unproved, "RemovedUnverified", "VerificationNever", "Auth0 accepted 1 of 1."),
            8 => (Standing::Unproved, "Accepted", "ObjectDeleted", "Its proof was in the object."),
            _ => (Standing::Proved, "Removed", "ReadAfter", "Removed 1 of 1."),
        };
        let is_done = standing != Standing::NotDone;
        let (item_type, item_of) = match number % 5 {
            0 => ("membership", None),
            1 => ("organization-role", Some("org_9ybsU1dN2dKfDkBi".to_owned())),
            2 => ("permission", Some("https://reports.acme.com/".to_owned())),
            _ => ("role", None),
        };
        let item_id = match item_type {
            "membership" => "org_9ybsU1dN2dKfDkBi".to_owned(),
            "permission" => "Reports:read".to_owned(),
            _ => format!("rol_bN1a2b3c4d5e{:04}", number % 100),
        };
        let source = [Source::KubeAudit, Source::KubeAudit, Source::Admission, Source::Claimed][person % 4];
        Row {
            uid: format!("00000000-0000-4000-8000-{number:012}"),
            kind: "UserRoleRevocation".to_owned(),
            namespace: "identity".to_owned(),
            name: format!("leaver-{person}-{}", number % 5),
            generation: Some(1),
            domain: "acme.eu.auth0.com".to_owned(),
            user_id: format!("auth0|5f7c8ec7c33c6c00{person:08}"),
            user_name: Some(format!("Person Number {person}")),
            item_type,
            item_id,
            item_of,
            requested_at: Some(asked),
            requested_by: Some(format!("hr-{}@acme.com", person % 7)),
            requested_by_source: Some(source),
            removed_at: is_done.then_some(removed),
            proved_at: (standing == Standing::Proved).then(|| removed + SignedDuration::from_secs(random.i64(1..20))),
            times_from: TimesFrom::Audit,
            standing,
            verdict: verdict.to_owned(),
            message: message.to_owned(),
            proof: proof.to_owned(),
            effective: (number % 331 == 0).then(|| "GrantedByRole".to_owned()),
            effective_message: "The user has Reports:read through the role Auditor.".to_owned(),
            came_back: i32::from(number % 1777 == 9),
            ..Row::default()
        }
    });
    report(rows.collect(), Form { audit: true, names: true, recheck: false })
}
