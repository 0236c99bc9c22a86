#!/usr/bin/env bash
# Mutation tests: breaks each promise of docs/design.md on purpose, in a copy of the tree, and requires that the test named
# beside the breakage fails. A test that cannot fail proves nothing.
#
#   tests/mutants.sh           all of them; hours
#   tests/mutants.sh NAME...   some of them
#   tests/mutants.sh --fits    compiles nothing; checks that each breakage still changes its file, and that its test exists
#
# An entry of the table: a name that begins with the number of the promise, the arguments of `cargo test`, then a file and a
# sed script, then further pairs of file and script. Log files are in target/mutants, named like the entries.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
copy=$root/target/mutants
only=$*
lines=0
misfits=0
survivors=0

# One snapshot serves the whole run, so that the tree can be edited meanwhile. A check of fit needs the sources alone, and a
# snapshot of its own, because `make lint` may call it during a run.
snapshot=$copy/tree
parts=.
if [[ $only == --fits ]]; then
    snapshot=$copy/fits
    parts="src tests"
fi
rm -rf "$snapshot"
mkdir -p "$snapshot"
# shellcheck disable=SC2086
(cd "$root" && tar cf - --exclude=./target --exclude=./.git $parts) | tar xf - -C "$snapshot"
export CARGO_TARGET_DIR=$copy/target

mutant() {
    local name=$1 test=$2 file
    shift 2
    [[ -z $only || $only == --fits || " $only " == *" $name "* ]] || return 0
    lines=$((lines + 1))
    local broken=() fits=yes
    while (($#)); do
        file=$snapshot/$1
        [[ ! -e $file || -e $file.whole ]] || cp "$file" "$file.whole"
        if [[ ! -e $file ]] || ! breaks "$file" "$2"; then
            echo "$name: the breakage no longer fits $1; adapt this table" >&2
            fits=no
        fi
        [[ ! -e $file.whole ]] || broken+=("$file")
        shift 2
    done
    if ! exists "$test"; then
        echo "$name: no test has the name in: cargo test $test" >&2
        fits=no
    fi
    if [[ $fits == no ]]; then
        misfits=$((misfits + 1))
    elif [[ $only != --fits ]]; then
        try "$name" "$test"
    fi
    for file in "${broken[@]}"; do
        [[ ! -e $file.whole ]] || mv "$file.whole" "$file"
        touch "$file"
    done
}

# Applies a sed script, each of whose commands has to change the file.
breaks() {
    local command
    while IFS= read -r command; do
        cp "$1" "$1.before"
        if ! sed -i "$command" "$1" || cmp -s "$1" "$1.before"; then
            rm "$1.before"
            return 1
        fi
    done < <(sed 's|/; s/|/\ns/|g' <<<"$2")
    rm "$1.before"
}

# Whether these arguments of `cargo test` select a test. Without a name they select all tests of a target.
exists() {
    local name=${1##* }
    [[ $1 =~ ^--test\ [a-z0-9]+$ ]] || grep -rqE "fn [a-z0-9_]*$name" "$snapshot/src" "$snapshot/tests"
}

try() {
    local name=$1 test=$2 log=$copy/$1.log
    # shellcheck disable=SC2086
    if ! (cd "$snapshot" && cargo test --quiet $test -- --list) >"$log" 2>&1; then
        echo "$name: the broken tree does not compile, see $log" >&2
        misfits=$((misfits + 1))
    # A test that does not end has noticed, too.
    elif (cd "$snapshot" && timeout 1200 cargo test --quiet $test) >"$log" 2>&1; then
        echo "SURVIVED  $name ($test)"
        survivors=$((survivors + 1))
    else
        echo "killed    $name: $(grep -m1 -E 'panicked at' "$log" || echo 'see the log')"
    fi
}

mutant 1-another-write "--test e2e the_four_removals" \
    src/auth0/client.rs 's/\.delete(format/.post(format/'
mutant 2-more-than-named "--test e2e the_four_removals" \
    src/auth0/endpoint.rs 's/items.iter().map(Item::to_json)/items.iter().map(Item::to_json).chain([json!("rol_0123456789abcdef")])/'
mutant 2-connections-mix "--test worlds the_promises" \
    src/dispatch/machine/state.rs 's/let Some(id) = self.jobs.insert(job, connection, now/let connection = self.connections.keys().min().copied().unwrap_or(connection);\n        &/' \
    src/dispatch/driver.rs 's/if key == pending.connection {/if found.is_none() {/' \
    src/dispatch/machine/calls.rs 's/Ok(_) => Some(Refusal::OtherConnection),/Ok(_) => None,/'
mutant 2-facts-mix "--test dispatch nothing_is_learned_for_another" \
    src/dispatch/facts.rs 's/self.0.get(&connection)$/self.0.values().next().filter(|_| connection.0 > 0)/'
mutant 2-stays-behind "--test worlds the_promises" \
    src/dispatch/driver.rs 's/if key == pending.connection {/if found.is_none() {/' \
    src/dispatch/machine/calls.rs 's/Ok(_) => Some(Refusal::OtherConnection),/Ok(_) => None,/' \
    src/revocation/decide.rs 's/inputs.submitted_with.is_some_and(|with| with != key)/inputs.submitted_with.is_some_and(|with| with != key) \&\& false/'
mutant 2-a-name-is-another-document "--lib what_is_written_is_what_is_read" \
    src/cli/new/manifest.rs 's/format!("   # {}", shown(name))/format!("   # {name}")/'
mutant 2-a-name-is-an-element "--lib the_page_has_the_elements" \
    src/cli/evidence/html.rs 's/escape = "html"/escape = "none"/'
mutant 2-a-command-for-another-shell "--lib a_shell_reads_what_was_meant" \
    src/cli/texts.rs 's/word.chars().all(is_plain)/word.chars().any(is_plain)/'
mutant 3-no-proof "--test e2e a_read_that_still_shows_it" \
    src/dispatch/machine/jobs/reads.rs 's/if present.is_empty() { self.end_unless_missing(End::Gone) } else { End::Remaining(present) }/self.end_unless_missing(End::Gone)/'
mutant 3-remaining-is-gone "--test worlds the_promises" \
    src/dispatch/machine/jobs/reads.rs 's/if present.is_empty() { self.end_unless_missing(End::Gone) } else { End::Remaining(present) }/self.end_unless_missing(End::Gone)/'
mutant 3-early-walk "--test dispatch every_wanted" \
    src/dispatch/machine/read_queue.rs 's/self.waiters.push(ReadWaiter { added: now, ..waiter });/match \&mut self.walk { Some(active) => active.waiters.push(waiter), None => self.waiters.push(waiter) }/'
mutant 4-other-versions-count-as-proved "--lib reasons_of_other_versions_count_by_their_conditions" \
    src/cli/column.rs 's/None if holds(ConditionType::Ready) => Column::Unproved/None if holds(ConditionType::Ready) => Column::Proved/'
mutant 4-incomplete-is-gone "--test e2e an_incomplete_read" \
    src/auth0/walk.rs 's/if entries == 0 \&\& seen < total => return Err(.*),$/if entries == 0 \&\& seen < total => return Ok(true),/'
mutant 4-total-believed "--lib a_total_below_what_was_seen" \
    src/auth0/walk.rs 's/if total < seen => Total::Wrong/if total < 0 \&\& seen > 0 => Total::Wrong/'
mutant 4-nothing-wanted "--lib a_first_page_walk_takes" \
    src/auth0/walk.rs 's/!wanted.is_empty() \&\& wanted.iter().all/wanted.iter().all/'
mutant 4-unread-is-in-effect "--lib the_effect_of_a_removal" \
    src/revocation/effect.rs 's/causes.push(unknown(&what, other.as_ref()));/let _ = unknown(\&what, other.as_ref());/'
mutant 4-another-api-believed "--lib settings_of_another_api" \
    src/auth0/question.rs 's/!= Some(&\*\*identifier)/!= Some(\&**identifier) \&\& identifier.is_empty()/'
mutant 4-other-paging "--lib a_checkpoint_walk_ends" \
    src/auth0/walk.rs 's/if total > (self.seen + entries) as u64 {/if false {/'
mutant 4-anybody-judges "--lib what_is_not_auth0s_own" \
    src/auth0/answer.rs 's/of_status(json) == Some(true)/of_status(json) != Some(false)/'
mutant 4-login-page "--lib a_page_is_no_success" \
    src/auth0/answer.rs 's/None => !received.is_html \&\& .*,/None => true,/'
mutant 4-not-a-list "--lib a_page_is_no_success" \
    src/auth0/answer.rs 's/json.is_array() || json.get(call.list_key).is_some_and(Value::is_array)/json.is_array() || json.is_object()/'
mutant 4-spared-anywhere "--test worlds the_promises" \
    src/dispatch/machine/jobs/state.rs 's/^        self.endpoint().row().strongly_consistent$/        true/'
mutant 4-items-of-another-domain "--lib the_items_of_another_domain" \
    src/revocation/history.rs 's/let mut items = items.at(domain);/let mut items = items.clone();/'
mutant 4-counted-again "--lib what_is_shown_while_a_job" \
    src/revocation/history.rs 's/let from_before = report.accepted_unnamed.min(absent);/let from_before = before.min(absent);/; s/let certain = before.max(named + absent);/let certain = self.requested.max(before);/'
mutant 4-seen-counts-as-accepted "--lib an_observation_" \
    src/revocation/history.rs 's/if report.task == Task::Observe =>/if report.task == Task::Observe \&\& false =>/'
mutant 4-observation-spares "--lib an_observation_spares" \
    src/revocation/apply_report.rs 's/report.task == Task::Observe \&\& outcome.is_none()/false/'
mutant 4-observed-items-kept "--lib an_observation_spares" \
    src/revocation/apply_report.rs 's/let items = if is_done {/let items = if false {/'
mutant 4-observed-for-good "--lib an_observation_spares" \
    src/revocation/outcome.rs 's/(is_removal \&\& was_removed)/is_removal/'
mutant 4-proved-elsewhere "--lib a_proof_can_be_requested" \
    src/revocation/decide_finished.rs 's/is_here \&\& may_call()/(is_here || true) \&\& may_call()/'
mutant 4-empty-list "--lib what_is_blocked_is_never" \
    src/revocation/kinds.rs 's/if items.is_empty()/if false/'
mutant 4-plan-takes-unread-for-absent "--test cli a_429_is_waited_out" \
    src/cli/look.rs 's/ReadError::Failed(_) => Presence::Unknown(error.to_string())/ReadError::Failed(_) => Presence::Absent/'
mutant 4-why-takes-unread-for-absent "--lib what_was_not_read_is_neither" \
    src/cli/why/parts.rs 's/filter(|_| tenant_wide)/filter(|_| false)/'
mutant 4-evidence-passes-for-complete "--test cli an_incomplete_report" \
    src/cli/evidence/mod.rs 's/complete: unread.is_empty() \&\& faults.is_empty()/complete: true/'
mutant 4-evidence-unproved-is-proved "--lib only_a_read_proves" \
    src/cli/evidence/standing.rs 's/(true, false) => Standing::Unproved/(true, false) => Standing::Proved/'
mutant 4-everything-in-part "--test cli everything_goes_round" \
    src/cli/new/holdings.rs 's/held.member_roles.insert(organization, roles);//'
mutant 5-no-preflight "--test e2e the_preflight_sees" \
    src/revocation/decide.rs 's/if \*generation != inputs.generation =>/if *generation < 0 =>/; s/(Some(_), View::Pending { .. }) => Decision::TakeReport,/(Some(_), View::Pending { .. }) => Decision::AwaitChange(None),/' \
    src/revocation/preflight.rs 's/if meta.generation != Some(owner.generation) || options.suspend || /if /; s/if (self.is_fresh)() {/if true {/'
mutant 5-no-preflight-anywhere "--test worlds the_promises" \
    src/revocation/decide.rs 's/if \*generation != inputs.generation =>/if *generation < 0 =>/; s/(Some(_), View::Pending { .. }) => Decision::TakeReport,/(Some(_), View::Pending { .. }) => Decision::AwaitChange(None),/' \
    src/revocation/preflight.rs 's/if meta.generation != Some(owner.generation) || options.suspend || /if /; s/if (self.is_fresh)() {/if true {/'
mutant 5-list-believed "--lib a_cache_is_not_fresh" \
    src/runtime/cache/freshness.rs 's/self.heard.store(0, Ordering::Relaxed);//'
mutant 5-suspend-ignored "--test e2e a_suspended_object" \
    src/revocation/blocked.rs 's/inputs.options.suspend.then(/false.then(/' \
    src/revocation/preflight.rs 's/ || options.suspend//'
mutant 5-observes-and-removes "--lib an_observed_object_says" \
    src/revocation/inputs.rs 's/self.modes().in_force() == Mode::Observe/false/'
mutant 5-acts-too-early "--lib a_scheduled_object_waits" \
    src/api/common.rs 's/Some(at).filter(|at| \*at > now)/None::<Timestamp>.filter(|_| at > now)/'
mutant 5-acts-too-late "--lib an_object_that_has_expired" \
    src/api/common.rs 's/is_some_and(|end| now > end)/is_some_and(|end| now > end \&\& false)/'
mutant 5-hold-ignored "--lib a_hold_ends" \
    src/api/guards.rs 's/filter(|until| \*until > now)/filter(|until| *until > now \&\& false)/'
mutant 5-tenant-goes-on "--test worlds the_promises" \
    src/tenant/registry.rs 's/if spec.suspend {/if false {/'
mutant 5-observe-ignored "--test worlds the_promises" \
    src/revocation/preflight.rs 's/TenantState::Ready { mode: Mode::Observe, .. }$/TenantState::Missing/' \
    src/revocation/inputs.rs 's/Task::Remove { .. } => self.is_observed(),/Task::Remove { .. } => false,/; s/Task::Learn(_) => self.observes(&self.known()),/Task::Learn(_) => false,/'
mutant 5-protected-unnamed "--lib what_is_protected_is_named" \
    src/tenant/guards.rs 's/removal.items.iter().find_map(of_item)/None/'
mutant 5-protected-sent "--test e2e an_object_that_names_a_protected" \
    src/tenant/registry.rs 's/protected_target(protected, removal).or_else(kept)/kept()/'
mutant 5-not-after-ignored "--test worlds the_promises" \
    src/revocation/preflight.rs 's/ || options.has_ended(now)//'
mutant 5-hold-not-rechecked "--test worlds the_promises" \
    src/revocation/preflight.rs 's/^    is_on_hold || (purpose/    let _ = is_on_hold;\n    (purpose/' \
    src/revocation/blocked.rs 's/inputs.options.hold.as_ref().filter(|hold|/inputs.options.hold.as_ref().filter(|hold| false \&\&/'
mutant 5-expired-not-sticky "--lib an_object_that_has_expired" \
    src/revocation/blocked.rs 's/was_expired.then(/(was_expired \&\& false).then(/'
mutant 5-check-deletes "--lib a_check_that_finds_nothing" \
    src/revocation/decide_finished.rs 's/Decision::Submit { task: Task::Observe, history, hold: None }/Decision::Submit { task: Task::Remove { before: false, after: true }, history, hold: None }/'
mutant 5-not-leading "--test e2e the_preflight_asks" \
    src/revocation/preflight.rs 's/if !(self.is_leader)() {/if false {/; s/^        (self.is_leader)()$/        true/'
mutant 5-two-leaders "--lib at_most_one_leads" \
    src/runtime/election/candidate.rs 's/\.max(self.timing.lease_duration)/.max(Duration::from_secs(8)).min(Duration::from_secs(8))/'
mutant 5-woken-up "--test e2e a_paused_leader" \
    src/runtime/election/lease.rs 's/self.timing.retry_period.min(left)/self.timing.retry_period/; s/if left.is_zero() {/if false {/; s/tokio::time::timeout(left, self.try_acquire_or_renew())/tokio::time::timeout(Duration::from_secs(5), self.try_acquire_or_renew())/' \
    src/revocation/preflight.rs 's/if !(self.is_leader)() {/if false {/; s/^        (self.is_leader)()$/        true/'
mutant 5-brake-crash-forgets "--lib an_allotment_is_written_and_counts" \
    src/tenant/brake/ledger.rs 's/counts.carry(used + allotted, window, now)/counts.carry(used, window, now)/'
mutant 5-brake-allotment-unwritten "--lib an_allotment_is_written_and_counts" \
    src/tenant/brake/ledger.rs 's/allotted: number(grant.allot.unwrap_or_else(|| counts.allotted(now)))/allotted: number(counts.allotted(now).min(0))/'
mutant 5-brake-released-again "--lib a_release_lets_an_engagement_through_once" \
    src/tenant/brake/counts.rs 's/self.engagement().filter(|_| is_release.is_none())/self.engagement()/'
mutant 5-brake-release-without-end "--lib a_release_is_of_one_engagement" \
    src/tenant/brake/engagement.rs 's/named.count.min(\*count).saturating_sub(used)/named.count.min(*count).max(used)/'
mutant 5-brake-releases-another "--lib no_two_engagements" \
    src/tenant/brake/plan.rs 's/taken.insert(word.clone());/taken.insert(word.clone()) || true;/'
mutant 9-brake-asks-for-ever "--lib an_allotment_is_good_for_what_asked" \
    src/tenant/brake/counts.rs 's/self.allotment.generation < generation/self.allotment.generation != generation/'
mutant 5-brake-engaged-but-drawn "--lib an_engaged_brake_allows" \
    src/tenant/brake/engagement.rs 's/let free = if is_engaged { 0 }/let free = if is_engaged \&\& self.max == 0 { 0 }/'
mutant 5-brake-herd-unseen "--lib an_overrun_is_found" \
    src/tenant/brake/engagement.rs 's/let of_now = if is_over(wall, \*at) { 0 } else { used + ready }/let of_now = if is_over(wall, *at) { 0 } else { *used }/'
mutant 5-brake-unnamed-forgotten "--lib what_was_sent_in_unnamed_namespaces_counts_in_each" \
    src/tenant/brake/ledger.rs 's/let (others, window) = (self.others(now), self.window)/let (others, window) = (self.others(now).min(0), self.window)/'
mutant 5-brake-undrawn-sent "--lib a_fifth_kind" \
    src/revocation/preflight.rs 's/Purpose::Remove => self.tenants.draw(.*).await,/Purpose::Remove => Ok(()),/'
mutant 5-brake-applied-again "--lib what_was_sent_counts_after_a_tenant" \
    src/tenant/brake/mod.rs 's/is_used || (is_adopted \&\& window.is_some())/(is_used \&\& !is_adopted) || (is_adopted \&\& window.is_some())/'
mutant 9-brake-write-lost "--lib a_failed_write_loses_no_wish" \
    src/tenant/brake/mod.rs 's/counts.want(&grant.wanted);/let _ = (counts, grant);/'
mutant 9-brake-remainder-asks "--lib what_is_left_of_a_release_of_all" \
    src/tenant/brake/plan.rs 's/self.released < new/self.released == 0 \&\& new > 0/'
mutant 5-share-ignored "--lib no_group_loses_more_than_is_allowed" \
    src/tenant/brake/groups.rs 's/_ if share >= 100 => None/_ if share > 0 => None/'
mutant 5-holders-of-another-tenant "--lib what_another_tenant_takes_away" \
    src/tenant/brake/ledger.rs 's/elsewhere.contains(holder) || self.has_sent/(elsewhere.is_empty() \&\& elsewhere.contains(holder)) || self.has_sent/'
mutant 5-holders-of-long-ago "--lib the_last_holders_of_a_role_stay" \
    src/tenant/brake/groups.rs 's/now.saturating_duration_since(\*at) < HOLDERS_TTL/now >= *at/'
mutant 6-tokens-in-a-bundle "--lib no_token_and_no_known_person_is_left" \
    src/cli/support/redact.rs 's/if length >= TOKEN || bearer/if bearer/'
mutant 6-people-in-a-bundle "--lib no_token_and_no_known_person_is_left" \
    src/cli/support/redact.rs 's/text = text.replace(form.as_str(), name);/let _ = name;/'
mutant 6-words-shown "--lib every_documented_answer" \
    src/auth0/answer.rs 's/\["create", "read", "update", "delete"\].contains(&verb)/!verb.is_empty()/'
mutant 6-panic-words "--lib a_panic_is_a_line_without" \
    src/telemetry/logs.rs 's/error!(location, "a panic/error!(%panic, location, "a panic/'
mutant 6-forged-lines "--lib a_text_from_outside_stays" \
    src/telemetry/logs.rs 's/escaped(line))/line)/'
mutant 6-opaque-sent "--lib every_usual_mistake" \
    src/auth0/token_text.rs 's/if let Some(claims) = decoded(text) {/if let Some(claims) = decoded(text).or_else(|| Some(Map::new())) {/'
mutant 6-token-logged "--test e2e no_token_is_shown" \
    src/auth0/client.rs 's/        bearer.set_sensitive(true);/        tracing::trace!(?bearer, "calling");/'
mutant 6-not-audited "--test e2e every_delete_leaves" \
    src/telemetry/logs.rs 's/.with_target(super::audit_chain::TARGET, audit)//'
mutant 6-chain-not-linked "--lib each_line_has_its_code_and_is_chained" \
    src/telemetry/audit_log.rs 's/chain.last = hash(&line);/let _ = hash(\&line);/'
mutant 6-chain-out-of-order "--lib the_order_of_the_chain" \
    src/telemetry/audit_log.rs 's/^        log_fields!($/        drop(chain);\n        log_fields!(/'
mutant 6-edit-unnoticed "--lib tampering_shows" \
    src/telemetry/audit_chain.rs 's/else if prev != end/else if prev.is_empty()/'
mutant 6-gap-unnoticed "--lib tampering_shows" \
    src/telemetry/audit_chain.rs 's/seq > last + 1/seq > last + 9/'
mutant 6-lifted-policy-believed "--lib any_doubt_leaves_a_claim" \
    src/revocation/requester.rs 's/meta.generation == Some(1)/meta.generation.is_some()/'
mutant 6-younger-policy-believed "--lib what_stood_before_the_object" \
    src/revocation/requester.rs 's/(since) > ENFORCED_AFTER/(since) != ENFORCED_AFTER/'
mutant 6-other-policy-believed "--lib any_doubt_leaves_a_claim" \
    src/revocation/requester.rs 's/ \&\& policy.spec == policy_spec()//'
mutant 6-any-binding-believed "--lib any_doubt_leaves_a_claim" \
    src/revocation/requester.rs 's/ \&\& binding.spec == binding_spec(name)//'
mutant 6-unwatched-believed "--lib what_is_not_watched" \
    src/revocation/requester.rs 's/if !(self.is_watched)()/if self.name.is_empty()/'
mutant 6-stop-told-again "--test e2e a_stop_of_a_tenant_is_told_once" \
    src/runtime/controllers/tenant_stops.rs 's/Some(State::Held) => true,/Some(State::Held) => false,/'
mutant 6-counted-twice "--test e2e numbers_are_right" \
    src/telemetry/metrics/domains.rs 's/call_outcome(error))).or_default() += 1;/call_outcome(error))).or_default() += 2;/'
mutant 6-traced-once "--test e2e a_shared_call_is_in" \
    src/telemetry/traces.rs 's/take(MAX_TRACES)/take(MAX_TRACES.min(1))/'
mutant 6-traced-people "--test e2e the_trace_of_an_object" \
    src/dispatch/driver.rs 's/("DELETE", endpoint.template(), Some/("DELETE", \&*endpoint.path().leak(), Some/'
mutant 6-traces-astray "--features otlp --lib a_span_arrives" \
    src/telemetry/otlp.rs 's/NEXT_TRACE_ID.set(.*/NEXT_TRACE_ID.set(0);/'
mutant 6-application-shown "--lib any_change_is_another_credential" \
    src/auth0/application.rs 's/    Secret(SecretString),/    Secret(String),/; s/to_owned().into()), secret)/to_owned()), secret)/; s/secret.expose_secret().to_owned()/secret.clone()/; s/^use secrecy::{ExposeSecret, SecretString};//'
mutant 6-redirect-followed "--lib a_redirect_is_not" \
    src/auth0/client.rs 's/redirect::Policy::none()/redirect::Policy::limited(3)/'
mutant 7-no-consent "--test e2e a_secret_is_waited_for" \
    src/tenant/connection.rs 's/secret.filter(|secret| has_credentials_label(secret))/secret/' \
    src/runtime/controllers/scope.rs 's/Some(&consent)/None/'
mutant 7-any-namespace "--test e2e a_cluster_tenant_serves" \
    src/tenant/registry.rs 's/tenant.admission().and_then(/tenant.admission().filter(|_| false).and_then(/'
mutant 7-empty-selector "--lib a_namespace_is_admitted_by" \
    src/tenant/admission.rs 's/^    has_terms$/    true/'
mutant 7-any-kind "--lib kinds_and_organizations_restrict" \
    src/tenant/admission.rs 's/if named == Some(false) {/if false {/'
mutant 7-beyond-organizations "--lib kinds_and_organizations_restrict" \
    src/tenant/admission.rs 's/None if named == Some(true) => None,/None if named != Some(false) => None,/'
mutant 7-secret-of-another "--lib what_keeps_a_removal" \
    src/tenant/secrets.rs 's/store.get(&ObjectRef::new(name).within(namespace))/store.find(|secret| secret.metadata.name.as_deref() == Some(name))/; s/ObjectRef, Store/Store/'
mutant 7-other-kind "--lib the_kind_of_the_reference" \
    src/tenant/key.rs 's/TenantKind::ClusterAuth0Tenant => None,/TenantKind::ClusterAuth0Tenant => Some(namespace.to_owned()),/'
mutant 7-label-not-confirmed "--test e2e a_lost_label_counts" \
    src/revocation/confirm.rs 's/|meta: &ObjectMeta| meta.labels != cached.metadata.labels/|_: \&ObjectMeta| false/'
mutant 7-label-not-heard "--test e2e a_namespace_that_loses" \
    src/runtime/controllers/cluster_tenants.rs 's/before.metadata.labels != now.metadata.labels/false/; s/|before| false/|_| false/'
mutant 7-selector-not-heard "--test e2e an_edit_of_the_selector" \
    src/runtime/controllers/tenants.rs 's/tenant.admission().cloned()/None/'
mutant 6-stand-ins-sent "--lib each_mistake_names_its_key" \
    src/auth0/secret_text.rs 's/if let Some(defect) = stand_in(bare) {/if let Some(defect) = stand_in("") {/'
mutant 7-credentials-mix "--test dispatch do_not_mix" \
    src/dispatch/machine/calls.rs 's/Ok(_) => Some(Refusal::OtherConnection),/Ok(_) => None,/'
mutant 8-maybe-processed "--lib what_the_peer_did_not_process" \
    src/auth0/transport.rs 's/error.is_remote() \&\& (error.is_go_away() || is_refused)/error.is_remote()/'
mutant 8-goodbye-is-a-lost-answer "--test e2e what_was_not_processed_is_sent_again" \
    src/auth0/transport.rs 's/return CallError::NotProcessed;/return CallError::no_answer("the connection broke off");/'
mutant 8-lost-answer-is-a-goodbye "--test e2e what_was_not_processed_is_sent_again" \
    src/auth0/transport.rs 's/    CallError::no_answer(if error.is_timeout() {/    if !error.is_timeout() { return CallError::NotProcessed; }\n&/'
mutant 5-sent-again-unchecked "--test e2e what_was_not_processed_is_checked_again" \
    src/revocation/preflight.rs 's/if (self.is_fresh)() {/if true {/'
mutant 8-never-left "--lib what_cannot_be_reached" \
    src/auth0/transport.rs 's/if error.is_connect() {/if false {/'
mutant 8-said-before-done "--test e2e a_crash_costs" \
    src/revocation/reconcile.rs 's/shared.dispatcher.submit(connection, job);/memory.status = Some(Outcome::plain(Reason::Removed, "", super::history::Known::default()).status(\&inputs, true)); &/'
mutant 8-forgotten-before-written "--test e2e a_status_that_cannot_be_written" \
    src/revocation/reconcile/write.rs '/Kept before the write/,+1 s/self.keep(memory, &stored.status);/self.context.shared.state.forget(\&self.owner.uid);/'
mutant 8-answer-dropped "--lib a_verdict_counts_for_its_domain" \
    src/revocation/decide.rs 's/inputs.submitted_to.is_some() \&\& inputs.submitted_to == inputs.domain()/true/'
mutant 9-refused-for-ever "--lib failures_are_retried_at_their_own_pace" \
    src/tenant/token_state.rs 's/        self.wanted = true;$/        self.wanted = false;/'
mutant 5-token-while-suspended "--lib nothing_is_asked_for_while_suspended" \
    src/tenant/token_state.rs 's/if self.is_suspended {/if false {/'
mutant 5-plan-forgets-protected "--test cli what_is_planned_is_what_is_removed" \
    src/cli/plan/standing.rs 's/protected: guarded.protected.as_deref()/protected: None/'
mutant 9-clock-wrong "--lib a_refusal_because_of_the_clock" \
    src/tenant/token_state.rs 's/if signed \&\& was_wrong/if false \&\& signed \&\& was_wrong/'
mutant 11-token-storm "--lib a_rejected_token_is_replaced_once" \
    src/tenant/token_state.rs 's/if is_held \&\& self.is_replacement =>/if false \&\& is_held =>/'
mutant 12-token-at-every-start "--test e2e one_token_serves_everything" \
    src/runtime/controllers/tenant_credentials.rs 's/is_rotated || !was_ready || is_new_request/is_rotated || !was_ready || is_new_request || true/'
mutant 13-unknown-scope-missing "--lib a_scope_that_the_token_is_known_to_lack" \
    src/revocation/blocked.rs 's/scopes: Some(held), .. }/scopes, .. }/; s/row.lacking_to_read(held) } else { row.lacking(held) }/row.lacking_to_read(scopes.unwrap_or_default()) } else { row.lacking(scopes.unwrap_or_default()) }/'
mutant 14-kept-for-ever "--test worlds the_promises" \
    src/revocation/reconcile.rs 's/^        if is_gone {/        if false \&\& is_gone {/'
mutant 14-facts-kept "--lib facts_are_bounded" \
    src/dispatch/facts.rs 's/ < kept_for$/ < kept_for * 1000/'
mutant 14-facts-stay "--lib what_is_too_old_goes" \
    src/dispatch/facts.rs 's/if known.0.iter().any(|(question, learned)| !is_kept(question, learned, now)) {/if false {/'
mutant 14-body-without-an-end "--lib a_body_without_an_end" \
    src/auth0/client.rs 's/chunk.len() > MAX_BODY {/chunk.len() > usize::MAX {/'
mutant 14-timers-kept "--test dispatch many_connections_that_are_gone" \
    src/dispatch/machine/state.rs '/self.facts.retain(|key|/{n;d}'
mutant 8-unknown-for-ever "--lib what_auth0_accepts_is_not_unknown" \
    src/revocation/items.rs '/self.unknown.retain(|item| !report.accepted/d'
mutant 8-sent-again-and-again "--lib a_delete_is_sent_once_more" \
    src/revocation/history.rs 's/if was_complete \&\& is_new \&\& !is_new_round/if false/'
mutant 8-items-forgotten "--test worlds the_promises" \
    src/revocation/apply_report.rs 's/let items = if is_done {/let items = if true {/'
mutant 8-accepted-not-written "--test worlds the_promises" \
    src/revocation/due.rs 's/^        State::Waiting => due_while_waiting(/        State::Waiting if wanted.last_removal_time.is_some() => Due::Nothing,\n&/'
mutant 8-accepted-in-part-untold "--test dispatch what_is_accepted_in_part" \
    src/dispatch/machine/state.rs 's/is_newly_accepted || (!proving/(!proving/'
mutant 8-taken-back-in-flight "--lib an_answer_that_is_on_its_way" \
    src/revocation/blocked.rs 's/is_probing || is_in_flight(inputs) || inputs/is_probing || inputs/'
mutant 8-handed-back-untold "--test worlds what_is_handed_back" \
    src/revocation/reconcile.rs 's/Ok(()) if memory.status.is_some() => continue,/Ok(()) if memory.status.is_some() \&\& false => continue,/'
mutant 8-not-handed-over "--test e2e sigterm_hands_over" \
    src/runtime/mod.rs 's/elector.release().await;//'
mutant 8-not-written "--test e2e sigterm_hands_over" \
    src/runtime/shutdown.rs 's/while dispatcher.unwritten() + state.unwritten() > 0/& \&\& false/'
mutant 9-no-ping "--lib an_idle_connection_is_asked" \
    src/auth0/client.rs 's/http2_keep_alive_while_idle(true)/http2_keep_alive_while_idle(false)/'
mutant 9-wrong-cause "--lib each_cause_of_tls" \
    src/auth0/transport.rs 's/Certificate::UnknownIssuer if has_ca_bundle =>/Certificate::UnknownIssuer if !has_ca_bundle =>/'
mutant 9-proxy-unnamed "--test e2e a_proxy_is_passed_with" \
    src/auth0/transport.rs 's/"proxy authorization required" =>/"unauthorized" =>/'
mutant 9-hold-without-end "--lib the_end_of_a_tenants_hold" \
    src/revocation/inputs.rs 's/finished.by_tenant) \&\& self.modes().tenant.is_none()/finished.by_tenant) \&\& false/'
mutant 9-kept-by-another-version "--lib finished_is_a_matter_of" \
    src/revocation/finished.rs 's/.is_none() \&\& policy == Policy::Once;/.is_none();/'
mutant 9-asks-for-ever "--lib nothing_is_asked_twice" \
    src/revocation/needs.rs 's/^    asked_for_this_job || /    /'
mutant 9-fact-waited-for "--test dispatch a_read_that_fails" \
    src/dispatch/machine/reads.rs 's/ \&\& (is_at_once(error) || !is_answer)//'
mutant 9-body-lost "--test e2e an_answer_becomes_a_reason" \
    src/auth0/answer.rs 's/^    lost_body("Expected type object"),//'
mutant 9-proxy-for-all "--lib entries_mean_what_they_mean" \
    src/auth0/no_proxy.rs 's/(wanted.parse() == Ok(port)).then_some(host)?/host/'
mutant 9-other-issuer "--test e2e a_custom_domain_needs" \
    src/auth0/token.rs 's/if !issuer.is_host_of(domain) =>/if issuer.is_host_of(domain) \&\& false =>/'
mutant 9-conflict-believed "--test e2e a_status_that_cannot_be_written" \
    src/revocation/status_writer.rs 's/Put::Conflict(_) => {}/Put::Conflict(_) => return Ok(Written::Successor),/'
mutant 9-not-waited-for "--test e2e whatever_is_missing" \
    src/runtime/startup.rs 's/Ok(Err(error)) => explain(&error),/Ok(Err(_)) => return Err(Unauthorized(url.to_owned())),/'
mutant 9-half-lost "--test dispatch every_wanted" \
    src/dispatch/machine/answers.rs 's/let again = batch.into_iter().map(/let again = batch.into_iter().skip(usize::from(smaller)).map(/'
mutant 9-never-rests "--test worlds the_promises" \
    src/dispatch/machine/calls.rs 's/Ok(_) => Some(Refusal::OtherConnection),/Ok(_) => None,/' \
    src/revocation/decide.rs 's/inputs.submitted_with.is_some_and(|with| with != key)/inputs.submitted_with.is_some_and(|with| with != key) \&\& false/'
mutant 9-wait-for-ever "--test worlds the_promises" \
    src/revocation/decide.rs '/pause_left(next, now, MAX_PAUSE))/{n;s/Some(left)/None/}'
mutant 9-unknown-for-ever "--lib what_does_not_exist_any_more" \
    src/revocation/answers.rs 's/known.is_all_unknown() || //'
mutant 9-read-for-ever "--lib what_was_absent_and_is_there" \
    src/revocation/items.rs 's/let was_sent = !may_spare .*/let was_sent = !may_spare;/'
mutant 9-tried-in-turn "--lib a_list_that_shows_what" \
    src/revocation/items.rs 's/!shown(item) || shows_unknown/!shown(item) || report.not_found.contains(item)/'
mutant 8-dated-too-early "--lib the_last_acceptance_counts" \
    src/revocation/apply_report.rs 's/^    date_verified(&mut status.conditions, known);//'
mutant 9-items-alone "--lib items_count_only" \
    src/revocation/history.rs 's/items.accepted.clear();//'
mutant 9-verdict-lost "--lib a_verdict_of_another_process_is" \
    src/revocation/settled.rs 's/ \&\& reason(before) != reason(now)/ \&\& false/'
mutant 9-asks-what-is-refused "--lib no_delete_is_asked" \
    src/revocation/decide.rs 's/ \&\& (inputs.may_remove() || inputs.is_observed())//'
mutant 9-order-of-answers "--lib an_observed_object_says" \
    src/revocation/observations.rs 's/let left = inputs.removal.items.iter().filter(|item| left.contains(item)).cloned().collect();/let left = left.clone();/'
mutant 9-woken-or-never "--test worlds the_promises" \
    src/dispatch/dispatcher.rs '/entry.report = Some(Box::new(report));/{n;d}' \
    src/revocation/reconcile.rs 's/= Some(resync_after(inputs.jitter)),/= None,/'
mutant 9-sent-twice "--test dispatch every_wanted" \
    src/dispatch/machine/endpoint_queue.rs 's/^        entry.in_flight = true;//'
mutant 9-place-kept "--lib an_expired_resource_version" \
    src/runtime/cache/resync.rs 's/if is_expired(error) => self.restart()/if is_expired(error) => {}/'
mutant 9-place-kept-by-all "--test e2e an_expired_resource_version" \
    src/runtime/cache/resync.rs 's/if is_expired(error) => self.restart()/if is_expired(error) => {}/'
mutant 9-listed-once "--test e2e what_a_watch_was_never_told" \
    src/runtime/cache/resync.rs 's/if !self.listing \&\& Instant::now() >= self.next_list/if false/'
mutant 9-lists-never-end "--lib a_periodic_resync" \
    src/runtime/cache/resync.rs 's/if !self.listing \&\& Instant/if Instant/'
mutant 9-silence-trusted "--test e2e a_silent_watch" \
    src/runtime/cache/watch.rs 's/.timeout(timing.seconds)/.timeout(0)/'
mutant 9-lists-add-only "--lib a_later_list_yields" \
    src/runtime/cache/store_writer.rs 's/state_filter(|object| !was_listed(/state_filter(|object| false \&\& !was_listed(/'
mutant 9-lists-repeat-all "--lib a_later_list_yields" \
    src/runtime/cache/store_writer.rs 's/if same \&\& identity.version.is_some() \&\& identity_before == Some(identity) {/if false {/'
mutant 9-any-trouble "--lib another_error_does_not" \
    src/runtime/cache/resync.rs 's/if is_expired(error) => self.restart()/=> { let _ = error; self.restart() }/'
mutant 9-tenant-deaf "--test e2e a_tenant_answers" \
    src/runtime/controllers/tenants.rs 's/request: asked.as_deref(),/request: None,/'
mutant 9-always-alive "--lib liveness_fails" \
    src/telemetry/http.rs 's/readiness.stuck().as_slice()/Vec::<String>::new().as_slice()/'
mutant 9-half-alive "--lib a_part_that_ends" \
    src/runtime/mod.rs 's/{ Err(Error::Broken) } else/{ Ok(()) } else/'
mutant 10-stale-report-opens "--lib a_stale_report_opens" \
    src/dispatch/limiter/token_bucket.rs 's/then_some(self.ended_at + ASK_AGAIN_SECONDS)/then_some(now)/'
mutant 10-first-report-ignored "--lib a_first_report_counts" \
    src/dispatch/limiter/mod.rs 's/let keys = if drawn == .None, None. { now_known() } else { drawn };/let _ = now_known; let keys = drawn;/'
mutant 10-no-turns "--test dispatch one_object_does_not" \
    src/dispatch/fair_queue/mod.rs 's/self.update_namespace(ns, |namespace| namespace.last_served = sequence);/let _ = sequence;/'
mutant 10-no-turns-anywhere "--test worlds the_promises" \
    src/dispatch/fair_queue/mod.rs 's/self.update_namespace(ns, |namespace| namespace.last_served = sequence);/let _ = sequence;/'
mutant 9-full-for-ever "--test worlds the_promises" \
    src/dispatch/fair_queue/mod.rs 's/let share = SHARED_IN_FLIGHT.div_ceil.*/let share = 2;/; s/|namespace| namespace.at_limit = false/|_| ()/'
mutant 10-cache-behind-is-news "--lib a_cache_that_is_behind_is_no_news" \
    src/tenant/brake/mod.rs 's/entry.version = version.max(entry.version)/entry.version = entry.version.filter(|_| version.is_some())/'
mutant 10-no-reserve "--test dispatch a_fifth_of_the_bucket" \
    src/dispatch/limiter/token_bucket.rs 's/(limit \* percent/(0.0 * limit * percent/'
mutant 10-no-reserve-anywhere "--test worlds the_promises" \
    src/dispatch/limiter/token_bucket.rs 's/(limit \* percent/(0.0 * limit * percent/'
mutant 10-any-refusal-believed "--lib the_reserve_is_kept_whatever" \
    src/dispatch/limiter/token_bucket.rs 's/^        if !report.refused {/        if report.limit > 0 {/'
mutant 10-overtaken-not-counted "--lib the_reserve_is_kept_whatever" \
    src/dispatch/limiter/token_bucket.rs 's/(self.sent - number + earlier)/(self.sent - number).max(self.in_flight.len() as u64 + 0 * earlier)/'
mutant 10-early-again "--lib the_reserve_is_kept" \
    src/dispatch/limiter/token_bucket.rs 's/{ WHOLE_TOKEN } else { 1.0 }/{ WHOLE_TOKEN } else { WHOLE_TOKEN }/'
mutant 10-all-first "--test worlds the_promises" \
    src/dispatch/machine/calls.rs 's/self.unaccepted_call = if conn.accepted { self.unaccepted_call } else { Some(id) };//'
mutant 10-plan-takes-the-brake-of-others "--lib the_brake_of_one_namespace_is_not" \
    src/cli/plan/tenant.rs 's/is_some_and(|of| of.id.is_some());/is_none_or(|of| of.id.is_some());/'
mutant 10-people-take-the-reserve "--test cli twice_the_reserve_is_left_alone" \
    src/cli/access.rs 's/(2.0 \* f64::from(rate.reserve_percent))/(0.0 * f64::from(rate.reserve_percent))/'
mutant 10-unknown-member-of-all "--test dispatch an_unknown_user_among" \
    src/dispatch/machine/answers.rs 's/if batch.len() > 1 \&\& queue.endpoint.items() == ItemKind::Member/if false/'
mutant 10-unknown-member-of-one "--test dispatch an_unknown_user_among" \
    src/dispatch/machine/jobs/state.rs 's/if self.removal.items.len() == 1 || !self.names_users()/if self.removal.items.len() > 0/'
mutant 10-unaccepted-teaches "--test dispatch refusals_of_an_unaccepted" \
    src/dispatch/machine/answers.rs 's/_ if !accepted || !(by_auth0/_ if !(by_auth0/; s/let headers = if accepted {/let headers = if true {/'
mutant 10-half-a-count "--test dispatch half_a_walk" \
    src/dispatch/machine/learning.rs 's/ if walk.is_exhausted() =>/ =>/'
mutant 10-panic-of-all "--test dispatch a_check_that_panics" \
    src/dispatch/driver.rs 's/AssertUnwindSafe(check).catch_unwind().await/Ok(check.await)/'
mutant 10-panic-of-all-again "--test dispatch a_check_that_panics" \
    src/dispatch/driver.rs 's/catch_unwind(AssertUnwindSafe(check))/Ok(check())/'
mutant 10-gone-decide "--test dispatch those_who_have_gone" \
    src/dispatch/machine/reads.rs 's/let answers_due = waiters.iter().*/let answers_due = waiters.len() + gone.len();/'
mutant 10-too-long-again "--test dispatch a_list_that_is_too_long" \
    src/dispatch/machine/reads.rs 's/Err(error @ WalkError::TooLong) => {/Err(error @ WalkError::TooLong) if false => {/'
mutant 11-no-wait "--test worlds the_promises" \
    src/dispatch/breaker.rs 's/Some(until) if now < until => State::Open(until),/Some(until) if now < until \&\& false => State::Open(until),/'
mutant 11-no-wait-shown "--test e2e after_a_429" \
    src/dispatch/breaker.rs 's/Some(until) if now < until => State::Open(until),/Some(until) if now < until \&\& false => State::Open(until),/'
mutant 11-open-when-sent "--test worlds the_promises" \
    src/dispatch/machine/calls.rs 's/if shut || !self.limiter.confirm(/let _ = shut; if !self.limiter.confirm(/'
mutant 11-restart-forgets "--test e2e a_restart_does_not" \
    src/revocation/reconcile.rs 's/shared.dispatcher.hold(connection, hold);/let _ = hold;/'
mutant 11-asked-shortens "--lib a_request_shortens" \
    src/revocation/decide.rs 's/pause_left(next, now, MAX_PAUSE))/&.filter(|_| inputs.request.is_none())/'
mutant 11-people-ask-again-at-once "--test cli a_429_is_waited_out" \
    src/cli/reads.rs 's/CallError::RateLimited(wait) => \*wait/CallError::RateLimited(_) => Duration::ZERO/'
mutant 11-nonsense-hides "--lib nonsense_shortens_no_wait" \
    src/auth0/limits.rs 's/.chain(until).filter(is_sensible);/.chain(until);/'
mutant 11-joined-headers "--lib of_several_values_the_worst" \
    src/auth0/limits.rs "s/values(headers, name).flat_map(|text| text.split(','))/values(headers, name)/"
mutant 11-latest-date "--lib of_several_values_the_worst" \
    src/auth0/limits.rs 's/let date = dates(headers, "date").min();/let date = dates(headers, "date").max();/'
mutant 11-token-endpoint-limits "--lib each_answer_has_its_meaning" \
    src/auth0/token_endpoint.rs 's/(500..=500, Body::GlobalLimit, RateLimited)/(501..=501, Body::GlobalLimit, RateLimited)/'
mutant 11-probe-unanswered "--test dispatch a_probe_without_an_answer" \
    src/dispatch/machine/answers.rs 's/self.call_finished(id, \&call, by_auth0 \&\& rate_limited.is_none(), now);/self.call_finished(id, \&call, true, now);/'
mutant 11-all-with-the-probe "--test dispatch what_was_being_checked" \
    src/dispatch/machine/calls.rs 's/State::HalfOpen { .. } => !probe,/State::HalfOpen { .. } => false,/'
mutant 11-panic-forgets "--test dispatch a_panic_forgets_no_429" \
    src/dispatch/machine/state.rs 's/(self.breaker, self.connections, self.interrupted) = (new.breaker, new.connections, /(self.connections, self.interrupted) = (new.connections, /'
mutant 11-panic-drops-429 "--test dispatch a_429_from_before_a_panic" \
    src/dispatch/machine/answers.rs 's/self.hold(connection, \*wait, now);$/let _ = (connection, wait, now);/'
mutant 11-panic-twice "--test dispatch a_429_from_before_a_panic" \
    src/dispatch/machine/state.rs 's/(new.breaker, new.connections, new.interrupted)/(new.breaker, new.connections, HashMap::new())/'
mutant 9-status-late "--lib a_write_that_was_not_needed" \
    src/runtime/controllers/write_pace.rs 's/matches!(wrote, Wrote::Status) \&\& !is_urgent/{ let _ = wrote; !is_urgent }/'
mutant 12-reconciles-the-past "--lib a_reconcile_begins_with_the_object" \
    src/revocation/mutation_cache.rs 's/\.filter(|now| now.meta().uid == object.meta().uid)?;/; let current = current.map_or_else(|| Arc::new(object.clone()), |_| Arc::new(object.clone()));/'
mutant 3-deleted-remains "--lib what_does_not_exist_does_not" \
    src/revocation/history.rs 's/report.read_at.is_some() \&\& report.read_at >= accepted_at/false/'
mutant 11-loosest-limits "--test dispatch the_strictest_limits" \
    src/dispatch/machine/connection_state.rs 's/one.max_per_second.min(other.max_per_second)/one.max_per_second.max(other.max_per_second)/'
mutant 11-fullest-bucket "--lib of_several_buckets" \
    src/auth0/limits.rs 's/filter_map(|n| u64::try_from(n).ok()).min();/filter_map(|n| u64::try_from(n).ok()).max();/'
mutant 9-share-for-ever "--lib the_length_of_a_stopped_organization" \
    src/tenant/brake/groups.rs 's/now.saturating_duration_since(length.told_at) >= LOOK_AGAIN/now.saturating_duration_since(length.told_at) == Duration::MAX/'
mutant 4-organization-unasked "--test dispatch an_observation_of_what_does_not" \
    src/dispatch/machine/jobs/reads.rs 's/Ok(present) if !by_list \&\& /Ok(present) if false \&\& !by_list \&\& /'
mutant 4-lagging-list-believed "--test dispatch a_list_that_lags" \
    src/dispatch/machine/diagnosis.rs 's/=> Verdict::Unsettled,$/=> Verdict::Item,/'
mutant 4-unknown-role-at-once "--test dispatch a_404_about_a_change" \
    src/dispatch/machine/jobs/reads.rs 's/ \&\& !suspect.asked_again => self/ \&\& !suspect.asked_again \&\& false => self/'
mutant 4-unexplained-404-names "--test dispatch a_404_that_is_not_explained" \
    src/dispatch/machine/jobs/report.rs 's/if end == End::NotFound(Missing::Unclear) {/if end != End::Gone {/'
mutant 4-role-of-an-ended-membership "--lib a_404_about_a_membership" \
    src/revocation/history.rs 's/self.has_accepted() \&\& !self.of_membership/self.has_accepted()/'
mutant 4-left-but-unclear "--lib a_404_is_about_what" \
    src/dispatch/machine/diagnosis.rs 's/NotThere, Unreadable\], ..) if seen =>/NotThere, Unreadable], ..) if seen \&\& false =>/'
mutant 4-counted-twice "--lib what_is_shown_twice" \
    src/auth0/walk.rs 's/if hashes.iter().any(|hash| self.once.contains(hash)) {/if false {/'
mutant 3-one-read-for-all "--test dispatch each_of_several_members" \
    src/dispatch/machine/jobs/reads.rs 's/^        if read.answers_due > 0 {/        if false {/'
mutant 3-walk-goes-on "--test dispatch a_refused_page_begins" \
    src/dispatch/machine/reads.rs '/^                active.walk.restart();$/d'
mutant 5-not-checked-again "--test dispatch a_check_that_panics" \
    src/dispatch/driver.rs 's/let check = || preflight.recheck(owner, pending.purpose);/let check = || Ok(pending.connection);/'
mutant 9-learning-taken-back "--lib an_observed_object_may_learn" \
    src/revocation/inputs.rs 's/Task::Learn(_) => self.observes(&self.known()),/Task::Learn(_) => self.is_observed(),/'
mutant 8-removed-in-each-attempt "--lib a_continuous_object_goes_on" \
    src/revocation/apply_report.rs 's/retain(|condition| !is_late_sight(condition))/retain(|condition| !is_late_sight(condition) || true)/'
mutant 8-in-flight-forgotten "--test dispatch what_is_still_being_checked" \
    src/dispatch/machine/jobs/report.rs 's/lost: self.lost || self.items_in_flight > 0,/lost: self.lost,/'
mutant 8-id-used-twice "--test dispatch an_answer_from_before" \
    src/dispatch/machine/state.rs 's/(new.last_id + 1, new.ended, new.woken)/(0, new.ended, new.woken)/'
mutant 9-gone-and-gone-again "--lib an_organization_that_is_gone" \
    src/revocation/observations.rs 's/per_user \&\& reason == Reason::SubjectGone/per_user \&\& false \&\& reason == Reason::SubjectGone/'
mutant 9-clock-set-back "--lib reads_go_on_after_the_clock" \
    src/revocation/history.rs 's/if at.duration_since(now) > ROUNDING/if at.duration_since(now) > ROUNDING * 10_000/'
mutant 9-refusal-of-reads-stays "--lib a_successful_read_ends" \
    src/revocation/refusals.rs 's/calls.observe \&\& report.task == Task::Observe/false \&\& report.task == Task::Observe/'
mutant 9-other-verdict-unchecked "--lib the_verdict_of_another_version" \
    src/revocation/inputs.rs 's/None => self.is_finished().then_some(Mode::Remove),/None => None,/'
mutant 9-request-lost "--lib what_was_in_flight" \
    src/revocation/apply_report.rs 's/outcome.status(inputs, inputs.submitted_for == inputs.request)/outcome.status(inputs, true)/'
mutant 9-first-page-not-repeated "--test dispatch a_first_page_that_was_not" \
    src/dispatch/machine/reads.rs 's/^                if is_at_once(error) {/                if false {/'
mutant 9-cursor-expired "--test dispatch a_refused_page_begins" \
    src/dispatch/machine/reads.rs 's/ReadError::Call(_) => pages > 0,/ReadError::Call(_) => pages > 99,/'
mutant 9-pause-cut-short "--test dispatch a_call_that_was_not_sent" \
    src/dispatch/machine/answers.rs 's/queue.pause.max(Some(now + NOT_SENT_PAUSE/Some(now).max(Some(now + NOT_SENT_PAUSE/'
mutant 9-observer-decides "--test dispatch an_observer_that_always" \
    src/dispatch/driver.rs 's/let report = ||/let mut report = ||/; s/let reported = catch_unwind(AssertUnwindSafe(report));/let reported: Result<(), ()> = Ok(report());/'
mutant 9-lost-for-ever "--lib a_job_that_was_lost" \
    src/dispatch/dispatcher.rs 's/^            jobs.remove(uid);$//'
mutant 9-other-reports-lost "--lib to_take_a_job_back" \
    src/dispatch/dispatcher.rs 's/^        self.store(\&mut jobs, others);$//'
mutant 9-open-for-longer "--test dispatch calls_begin_again" \
    src/dispatch/machine/calls.rs 's/State::Open(until) => Some(until),$/State::Open(_) => None,/'
mutant 9-reads-in-circles "--test dispatch a_member_of_too_many" \
    src/dispatch/machine/reads.rs 's/must_walk_list: true, ..waiter.clone()/must_walk_list: false, ..waiter.clone()/'
mutant 12-works-again "--test e2e a_finished_object" \
    src/revocation/finished.rs 's/filter(|ready| ready.status == "True") else/filter(|ready| ready.status == "never") else/'
mutant 12-never-finished "--test worlds the_promises" \
    src/revocation/finished.rs 's/filter(|ready| ready.status == "True") else/filter(|ready| ready.status == "never") else/'
mutant 12-verdict-taken-back "--lib a_verdict_of_another_process_stands" \
    src/revocation/settled.rs 's/^    is_finished_for_good(object, stored) \&\& !/    false \&\& !/'
mutant 12-looks-and-learns "--lib a_removal_first_learns" \
    src/revocation/decide.rs 's/next_question(inputs, &task).filter(|_| !observes)/next_question(inputs, \&task)/'
mutant 12-verdict-unnoticed "--lib a_verdict_of_another_process_is" \
    src/revocation/settled.rs 's/(was_verdict || now.status().is_some_and(RemovalStatus::is_ready))/was_verdict/'
mutant 12-acts-by-default "--lib an_observed_object_acts" \
    src/revocation/finished.rs 's/generation > finished.generation/generation >= finished.generation/'
mutant 12-asked-works-again "--test e2e a_finished_object_answers" \
    src/revocation/decide_finished.rs 's/if is_news { Decision::Acknowledge }/if inputs.request.is_some() { Decision::Submit { task: Task::Remove { before: false, after: true }, history: known.history(inputs.removal, true), hold: None } } else if is_news { Decision::Acknowledge }/'
mutant 13-unknown-field-unnamed "--lib what_this_version_does_not_know" \
    src/api/closed.rs 's/note(findings, || at.to_string());//'
mutant 13-older-crd-unnoticed "--lib a_missing_default" \
    src/api/closed.rs 's/field.has_default \&\& !values/false \&\& !values/'
mutant 13-written-through-an-older-crd "--test e2e an_older_crd_came_and_went" \
    src/revocation/reconcile/write.rs 's/options().is_pruned() \&\& /options().is_pruned() \&\& false \&\& /'
mutant 13-tenant-written-through-an-older-crd "--test e2e an_older_crd_came_and_went" \
    src/runtime/controllers/tenant_brake.rs 's/if tenant.loses_by_writes() {/if tenant.loses_by_writes() \&\& false {/'
mutant 13-status-forgotten "--lib fields_of_others_are_written_back" \
    src/api/status.rs 's/#\[serde(flatten)\]/#[serde(skip)]/'
mutant 9-wait-begins-anew "--lib a_wait_is_shown_although" \
    src/revocation/reconcile/write.rs 's/let waits = memory.waiting_since.is_some() || memory.slot.is_some();/let waits = false;/'
mutant 9-week-of-another-verdict "--lib late_reads_follow_a_requested" \
    src/revocation/outcome.rs 's/=> known.still_present_since,/=> known.still_present_since.filter(|_| false),/'
mutant 9-stalled-at-another-domain "--lib a_verdict_of_another_domain_stops" \
    src/revocation/inputs.rs 's/self.reason().filter(|_| self.status.is_some_and(|status| concerns(status, self.domain())))/self.reason()/'
mutant 5-uncounted-at-another-domain "--lib what_rests_at_one_domain" \
    src/revocation/demand.rs 's/(concerns(status, domain) \&\& rests())/((concerns(status, domain) || true) \&\& rests())/'
mutant 5-checks-count-as-removals "--lib an_overdue_check_wants" \
    src/revocation/demand.rs 's/is_done || only_checks() || /is_done || (only_checks() \&\& false) || /'
mutant 5-deleted-is-wanted "--lib what_is_being_deleted_wants" \
    src/revocation/demand.rs 's/if meta.deletion_timestamp.is_some() || /if /'
mutant 5-deleted-is-sent "--lib nothing_is_sent_for_what_is_being_deleted" \
    src/revocation/preflight.rs 's/ || meta.deletion_timestamp.is_some() {/ {/'
mutant 5-deleted-is-confirmed "--lib what_is_being_deleted_is_gone" \
    src/revocation/confirm.rs 's/ || metadata.deletion_timestamp.is_some() =>/ =>/'
mutant 5-drawn-undecided "--lib nothing_is_drawn_before" \
    src/tenant/brake/mod.rs 's/entry.decided_for.is_none_or(|decided_for| decided_for < generation)/entry.decided_for.is_some_and(|decided_for| decided_for > i64::MAX - generation)/'
mutant 5-allotment-of-another "--lib an_allotment_ends_with_its_tenant" \
    src/tenant/brake/mod.rs 's/entry.decided_for = None;//; s/entry.brake.namespaces.values_mut().for_each(Counts::revoke);/let _ = Counts::revoke;/'
mutant 9-decision-untold "--lib who_waits_for_a_decision" \
    src/tenant/brake/mod.rs 's/plan.groups_changed || has_new_rules/plan.groups_changed || (has_new_rules \&\& false)/'
mutant 5-allotted-twice "--lib allotments_together_are_no_more" \
    src/tenant/brake/ledger.rs 's/^            left -= grant.allot.unwrap_or(0);/            left -= grant.allot.unwrap_or(0).min(0);/'
mutant 5-last-allotment-forgotten "--lib what_an_earlier_leader_wrote" \
    src/tenant/brake/counts.rs 's/vec!\[(unknown, now + ALLOTMENT)\]/vec![(unknown, now)]/'
mutant 5-protected-is-counted "--lib what_is_protected_is_not_wanted" \
    src/runtime/controllers/dependents.rs 's/if tenants.bars(/if false \&\& tenants.bars(/'
mutant 9-guards-unheard "--lib guards_matter_to_removals" \
    src/runtime/controllers/usability.rs 's/spec.protected.clone()), scopes)/Protected::default()), scopes)/'
mutant 5-token-after-the-last "--lib tokens_end_with_the_last" \
    src/tenant/connection_cache.rs 's/before.into_iter().chain(now).for_each/before.filter(|_| false).into_iter().chain(now).for_each/; s/left.into_iter().for_each/left.into_iter().take(0).for_each/'
mutant 2-audiences-mix "--lib another_audience_is_another" \
    src/tenant/connection.rs 's/fingerprint(&(application.fingerprint(), &self.audience))/fingerprint(\&(application.fingerprint(), self.audience.is_empty()))/'
mutant 9-token-untold "--lib who_waits_for_a_token" \
    src/tenant/token_source.rs 's/self.settled.send_replace(());//'
mutant 14-rejections-kept "--lib a_rejection_is_forgotten" \
    src/tenant/registry.rs 's/lock(&self.rejected).retain(&connections);//'
mutant 8-scopes-forgotten "--lib what_the_last_token_said" \
    src/tenant/status.rs 's/let keeps = facts.credential.is_some_and(|credential| credential.token.is_none());/let keeps = false;/'
mutant 9-hold-of-a-tenant-ends-late "--lib the_hold_of_a_tenant_ends" \
    src/revocation/inputs.rs 's/let instants = \[self.options.scheduled_for(now), hold, of_tenant, end\];/let instants = [self.options.scheduled_for(now), hold, of_tenant.filter(|_| false), end];/'
mutant 9-a-time-that-has-come "--lib a_time_that_has_come" \
    src/revocation/outcome.rs 's/.filter(|at| at.0 > now);/.filter(|_| true);/'
mutant 9-shown-again-and-again "--lib the_same_wait_is_shown" \
    src/revocation/waits.rs 's/shown.filter(|shown| (0..2000)/shown.filter(|shown| (0..1)/'
mutant 4-misspelt-is-done "--lib an_unknown_role_is_named_without" \
    src/revocation/answers.rs 's/End::Unverified(_) if known.has_unknown() \&\&/End::Unverified(_) if false \&\&/'
mutant 8-deleted-untold "--lib a_verdict_does_not_hide" \
    src/revocation/unproved.rs 's/is_verdict \&\& !removes/is_verdict/; s/let removes = /let _removes = /'
mutant 9-removed-after-the-end "--lib a_continuous_object_that_is_still_present" \
    src/revocation/inputs.rs 's/self.options.policy == Policy::Continuous \&\& !self.options.has_ended(self.now.wall)/self.options.policy == Policy::Continuous/'
mutant 2-returns-of-another "--lib returns_belong_to_their" \
    src/revocation/inputs.rs 's/self.status.is_some_and(is_other)/self.status.filter(|_| false).is_some_and(is_other)/'
mutant 9-a-failed-delete-is-a-late-read "--lib a_failed_delete_of_what_is_still" \
    src/revocation/answers.rs 's/if report.task == Task::Prove \&\& known.still_present/if known.still_present/'
mutant 9-a-failed-delete-is-done "--lib a_failed_delete_of_what_is_still" \
    src/revocation/history.rs 's/^            self.reopen(report);$/            let _ = Self::reopen;/'
mutant 9-the-first-look-is-late "--lib the_first_read_is_no_verdict" \
    src/revocation/answers.rs 's/ \&\& inputs.known().remaining > 0;/;/'
mutant 5-a-delete-is-promised "--lib still_present_promises_no_delete" \
    src/revocation/answers.rs 's/let on_request = if inputs.may_remove()/let on_request = if true/'
mutant 4-unknown-is-done-after-a-restart "--lib unknown_items_are_not_done" \
    src/revocation/history.rs 's/self.items.unknown_counted + self.unnamed_unknown).unwrap_or/0).unwrap_or/'
mutant 4-unnamed-is-done "--lib unknown_items_are_not_done" \
    src/revocation/history.rs 's/(absent, absent.saturating_sub(not_held)),/(absent, 0),/'
mutant 9-a-late-check-expires "--lib a_check_that_is_late_at_the_end" \
    src/revocation/blocked.rs 's/ \&\& !is_in_flight(inputs) \&\& !inputs.is_check();/ \&\& !is_in_flight(inputs);/'
mutant 4-absent-is-unverified "--test dispatch what_was_absent_before_is_not" \
    src/dispatch/machine/jobs/state.rs 's/after: false, .. }) if self.accepted_at.is_none() =>/after: false, .. }) if false =>/'
mutant 9-nobody-is-proved-early "--test dispatch most_of_a_crowd" \
    src/dispatch/machine/read_queue.rs 's/!self.walked_early)?;$/false)?;/'
mutant 9-an-early-walk-has-no-end "--test dispatch most_of_a_crowd" \
    src/dispatch/machine/read_queue.rs 's/^        Some((waiters, pages))$/        Some((waiters, answers))/'
mutant 9-a-refused-page-is-final "--lib an_observation_that_fails" \
    src/revocation/answers.rs 's/let names_ids =/let names_ids = |_| true; let _ =/'
mutant 9-undecided-for-ever "--lib an_undecided_tenant_is" \
    src/tenant/brake/mod.rs 's/^            entry.is_asked = false;$/            let _ = \&entry.is_asked;/'
mutant 10-confirmed-one-by-one "--lib what_is_confirmed_together" \
    src/revocation/confirm.rs 's/^        if !confirmed_at.is_some_and(|at| began.saturating_duration_since(at) < CONFIRMED_FOR) {/        if began < clock::steady() || confirmed_at.is_none_or(|_| true) {/'
mutant 11-the-last-token "--lib the_last_token_is_kept" \
    src/dispatch/limiter/token_bucket.rs 's/const KEEPS_ONE_FROM: u64 = 20;/const KEEPS_ONE_FROM: u64 = 20_000;/'
mutant 4-a-failed-retry-counts "--lib a_failed_retry_of_an_unknown" \
    src/revocation/history.rs 's/^            self.forget_tried(report);$/            self.forget_unnamed(); let _ = Self::forget_tried;/'
mutant 8-still-present-after-a-restart "--lib a_restart_sends_no_delete" \
    src/revocation/history.rs 's/ >= self.requested || self.still_present_since.is_some();/ >= self.requested;/'
mutant 9-a-part-is-all "--lib a_delete_that_fails_in_part" \
    src/revocation/history.rs 's/if was_still_present \&\&/if self.still_present_since.is_some() \&\&/'
mutant 10-a-slow-answer-confirms-one "--lib a_slow_answer_confirms" \
    src/revocation/confirm.rs 's/began.saturating_duration_since(at) < CONFIRMED_FOR/clock::steady().saturating_duration_since(at) < CONFIRMED_FOR/; s/let began = clock::steady();/let _began = clock::steady();/'
mutant 10-an-early-walk-again-and-again "--test dispatch an_early_walk_is_not" \
    src/dispatch/machine/read_queue.rs 's/^        self.is_too_long = true;$//'

if ((lines == 0)); then
    echo "no line is called $only" >&2
fi
if ((misfits)); then
    echo "$misfits do not fit the code or do not compile"
fi
if ((survivors)); then
    echo "$survivors survived: their tests prove nothing"
fi
((lines > 0 && misfits + survivors == 0))
if [[ $only == --fits ]]; then
    echo "every breakage fits"
else
    echo "every broken promise was noticed"
fi
