#!/usr/bin/env bash
# Breaks each promise on purpose, in a copy of the tree, and demands that its test fails: a test that cannot fail is a
# defect. `tests/mutants.sh NAME` runs one. A line of the table: name, test, file, sed script (and further pairs).
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
copy=$root/target/mutants
only=${1:-}
survivors=0

# One snapshot for the whole run, so that the tree may be edited meanwhile; a target of its own, for the same reason.
snapshot=$copy/tree
rm -rf "$snapshot"
mkdir -p "$snapshot"
(cd "$root" && tar cf - --exclude=./target --exclude=./.git .) | tar xf - -C "$snapshot"
export CARGO_TARGET_DIR=$copy/target

mutant() {
    local name=$1 test=$2 file
    shift 2
    [[ -z $only || $only == "$name" ]] || return 0
    local broken=()
    while (($#)); do
        file=$snapshot/$1
        [[ -e $file.whole ]] || cp "$file" "$file.whole"
        broken+=("$file")
        sed -i "$2" "$file"
        if cmp -s "$file" "$file.whole"; then
            echo "$name: the breakage no longer fits $1; mend this table" >&2
            exit 1
        fi
        shift 2
    done
    local log=$copy/$name.log
    # shellcheck disable=SC2086
    if ! (cd "$snapshot" && cargo test --quiet $test -- --list) >"$log" 2>&1; then
        echo "$name: the broken tree does not compile, see $log" >&2
        exit 1
    fi
    # shellcheck disable=SC2086
    if (cd "$snapshot" && cargo test --quiet $test) >"$log" 2>&1; then
        echo "SURVIVED  $name ($test)"
        survivors=$((survivors + 1))
    else
        echo "killed    $name: $(grep -m1 -E 'panicked at' "$log" || echo 'see the log')"
    fi
    for file in "${broken[@]}"; do
        mv "$file.whole" "$file"
        touch "$file"
    done
}

mutant 1-another-write "--test e2e the_four_removals" \
    src/auth0/client.rs 's/\.delete(format/.post(format/'
mutant 2-more-than-named "--test e2e the_four_removals" \
    src/auth0/endpoint.rs 's/items.iter().map(Item::to_json)/items.iter().map(Item::to_json).chain([json!("rol_0123456789abcdef")])/'
mutant 3-no-proof "--test e2e a_read_that_still_shows_it" \
    src/dispatch/machine/jobs.rs 's/(_, None) => Need::Ended(End::Remaining(present.len())),/(_, None) => Need::Ended(End::Gone),/'
mutant 3-early-walk "--test dispatch every_wanted" \
    src/dispatch/machine/list.rs 's/self.askers.push(asker);/match \&mut self.active { Some(active) => active.askers.push(asker), None => self.askers.push(asker) }/'
mutant 4-incomplete-is-gone "--test e2e an_incomplete_read" \
    src/auth0/walk.rs 's/if entries == 0 \&\& seen < total => return Err(.*),$/if entries == 0 \&\& seen < total => return Ok(true),/'
mutant 4-total-believed "--lib a_total_below_what_was_seen" \
    src/auth0/walk.rs 's/if total < seen => Total::Wrong/if total < 0 \&\& seen > 0 => Total::Wrong/'
mutant 4-nothing-wanted "--lib a_glance_takes_one_page" \
    src/auth0/walk.rs 's/let all = !wanted.is_empty() \&\& /let all = /'
mutant 4-other-paging "--lib a_checkpoint_walk_ends" \
    src/auth0/walk.rs 's/if total > (self.seen + entries) as u64 {/if false {/'
mutant 4-anybody-judges "--lib what_is_not_auth0s_own" \
    src/auth0/answer.rs 's/of_status(json) == Some(true)/of_status(json) != Some(false)/'
mutant 4-login-page "--lib a_page_is_no_success" \
    src/auth0/answer.rs 's/None => !received.is_html \&\& .*,/None => true,/'
mutant 4-not-a-list "--lib a_page_is_no_success" \
    src/auth0/answer.rs 's/json.is_array() || json.get(call.list_key).is_some_and(Value::is_array)/json.is_array() || json.is_object()/'
mutant 8-maybe-processed "--lib what_the_peer_did_not_process" \
    src/auth0/transport.rs 's/error.is_remote() \&\& (error.is_go_away() || is_refused)/error.is_remote()/'
mutant 8-never-left "--lib what_cannot_be_reached" \
    src/auth0/transport.rs 's/if error.is_connect() {/if false {/'
mutant 9-no-ping "--lib an_idle_connection_is_asked" \
    src/auth0/client.rs 's/http2_keep_alive_while_idle(true)/http2_keep_alive_while_idle(false)/'
mutant 9-wrong-cause "--lib each_cause_of_tls" \
    src/auth0/transport.rs 's/Certificate::UnknownIssuer if own_ca =>/Certificate::UnknownIssuer if !own_ca =>/'
mutant 6-words-shown "--lib every_documented_answer" \
    src/auth0/answer.rs 's/\["create", "read", "update", "delete"\].contains(&verb)/!verb.is_empty()/'
mutant 4-empty-list "--lib what_is_held_is_never" \
    src/revocation/kinds.rs 's/if items.is_empty()/if false/'
mutant 5-no-last-look "--test e2e the_last_look_sees" \
    src/revocation/preflight.rs 's/let wanted = same .*/let wanted = true;/; s/if !(self.fresh)() {/if false {/'
mutant 5-list-believed "--lib a_cache_is_not_believed" \
    src/runtime/cache/freshness.rs 's/self.heard.store(0, Ordering::Relaxed);//'
mutant 5-suspend-ignored "--test e2e a_suspended_object" \
    src/revocation/decide.rs 's/if facts.options.suspend {/if false {/' \
    src/revocation/preflight.rs 's/ \&\& !object.options().suspend//'
mutant 5-not-leading "--test e2e the_preflight_asks" \
    src/revocation/preflight.rs 's/(self.may_act)().then_some(())?;//; s/^        (self.may_act)()$/        true/'
mutant 5-two-leaders "--lib at_most_one_leads" \
    src/runtime/election/candidate.rs 's/\.max(self.timing.lease_duration)/.max(Duration::from_secs(8)).min(Duration::from_secs(8))/'
mutant 5-woken-up "--test e2e a_paused_leader" \
    src/runtime/election/lease.rs 's/self.timing.retry_period.min(left)/self.timing.retry_period/; s/if left.is_zero() {/if false {/; s/tokio::time::timeout(left, self.look())/tokio::time::timeout(Duration::from_secs(5), self.look())/' \
    src/revocation/preflight.rs 's/(self.may_act)().then_some(())?;//; s/^        (self.may_act)()$/        true/'
mutant 6-token-logged "--test e2e no_token_is_shown" \
    src/auth0/client.rs 's/        bearer.set_sensitive(true);/        tracing::trace!(?bearer, "calling");/'
mutant 6-not-audited "--test e2e every_delete_leaves" \
    src/telemetry/logs.rs 's/.with_target(super::audit::TARGET, audit)//'
mutant 6-counted-twice "--test e2e numbers_are_right" \
    src/telemetry/metrics/mod.rs 's/method, path, outcome }).inc();/method, path, outcome }).inc_by(2);/'
mutant 6-traced-once "--test e2e a_shared_call_is_in" \
    src/telemetry/traces.rs 's/take(MOST_TRACES)/take(1)/'
mutant 6-traced-people "--test e2e the_trace_of_an_object" \
    src/dispatch/driver.rs 's/("DELETE", endpoint.template(), Some/("DELETE", \&*endpoint.path().leak(), Some/'
mutant 7-no-consent "--test e2e a_secret_is_waited_for" \
    src/tenant/connection.rs 's/secret.filter(|secret| is_consenting(secret))/secret/' \
    src/runtime/controllers/scope.rs 's/Some(&consent)/None/'
mutant 7-credentials-mix "--test dispatch do_not_mix" \
    src/dispatch/machine/answers.rs 's/if \*consent == Some(credential) {/if consent.is_some() {/'
mutant 8-said-before-done "--test e2e a_crash_costs" \
    src/revocation/reconcile.rs 's/shared.lanes.submit(domain.*/write(\&context, \&*object, \&owner, old, \&Outcome::plain(Reason::Removed, "")).await?; &/'
mutant 8-forgotten-before-written "--test e2e a_status_that_cannot_be_written" \
    src/revocation/reconcile.rs 's/let action = write(\&context, \&\*object, \&owner, old, \&outcome).await?;/shared.lanes.forget(\&owner.uid); &/'
mutant 9-conflict-believed "--test e2e a_status_that_cannot_be_written" \
    src/revocation/reconcile.rs 's/if response.is_conflict() \&\& cached.*=>/if response.is_conflict() =>/'
mutant 8-not-handed-over "--test e2e sigterm_hands_over" \
    src/runtime/mod.rs 's/elector.release().await;//'
mutant 8-not-written "--test e2e sigterm_hands_over" \
    src/runtime/shutdown.rs 's/while lanes.unwritten() > 0/while false/'
mutant 9-not-waited-for "--test e2e whatever_is_missing" \
    src/runtime/startup.rs 's/Ok(Err(error)) => explain(&error),/Ok(Err(_)) => return Err(Unauthorized(url.to_owned())),/'
mutant 9-half-lost "--test dispatch every_wanted" \
    src/dispatch/machine/site.rs 's/for half in \[second, first\]/for half in [second]/'
mutant 9-sent-twice "--test dispatch every_wanted" \
    src/dispatch/machine/site.rs 's/entry.state = EntryState::Out;//'
mutant 9-place-kept "--lib a_place_that_is_gone" \
    src/runtime/cache/resync.rs 's/if is_gone(error) => self.begin_anew()/if is_gone(error) => {}/'
mutant 9-place-kept-by-all "--test e2e a_place_that_is_gone" \
    src/runtime/cache/resync.rs 's/if is_gone(error) => self.begin_anew()/if is_gone(error) => {}/'
mutant 9-listed-once "--test e2e what_a_watch_was_never_told" \
    src/runtime/cache/resync.rs 's/if !self.listing \&\& Instant::now() >= self.until/if false/'
mutant 9-lists-never-end "--lib now_and_then" \
    src/runtime/cache/resync.rs 's/if !self.listing \&\& Instant/if Instant/'
mutant 9-silence-trusted "--test e2e a_silent_watch" \
    src/runtime/cache/watch.rs 's/.timeout(timing.seconds)/.timeout(0)/'
mutant 9-lists-add-only "--lib a_later_list_tells" \
    src/runtime/cache/store_writer.rs 's/filter(|object| !object.uid()/filter(|object| false \&\& !object.uid()/'
mutant 9-lists-repeat-all "--lib a_later_list_tells" \
    src/runtime/cache/store_writer.rs 's/if before.resource_version() == now.resource_version() =>/if false =>/'
mutant 9-any-trouble "--lib another_trouble_is" \
    src/runtime/cache/resync.rs 's/if is_gone(error) => self.begin_anew()/=> { let _ = error; self.begin_anew() }/'
mutant 9-tenant-deaf "--test e2e a_tenant_answers" \
    src/runtime/controllers/tenants.rs 's/tenant.metadata.generation, asked(&tenant))/tenant.metadata.generation, None)/'
mutant 6-traces-astray "--features otlp --lib a_span_arrives" \
    src/telemetry/otlp.rs 's/NUMBER.set(.*/NUMBER.set(0);/'
mutant 9-always-alive "--lib liveness_fails" \
    src/telemetry/http.rs 's/readiness.stuck().as_slice()/Vec::<String>::new().as_slice()/'
mutant 9-half-alive "--lib a_part_that_ends" \
    src/runtime/mod.rs 's/{ Err(Error::Broken) } else/{ Ok(()) } else/'
mutant 10-no-turns "--test dispatch one_object_does_not" \
    src/dispatch/lines.rs 's/^        self.served(ns);//'
mutant 10-no-reserve "--test dispatch a_fifth_of_the_bucket" \
    src/dispatch/pace/bucket.rs 's/let needed = (reserve + /let needed = (0.0 * reserve + /'
mutant 11-no-wait "--test e2e after_a_429" \
    src/dispatch/gate.rs 's/Some(until) if now < until =>/Some(until) if now < until \&\& false =>/' \
    src/dispatch/machine/answers.rs 's/(leading, self.gate.closed_for(now)) else/(leading, None::<()>) else/'
mutant 11-restart-forgets "--test e2e a_restart_does_not" \
    src/revocation/reconcile.rs 's/shared.lanes.hold(domain, wait);/let _ = wait;/'
mutant 12-works-again "--test e2e a_finished_object" \
    src/revocation/decide.rs 's/if reason.is_some_and(|reason| reason.state() == State::Done) {/if false {/'
mutant 11-asked-shortens "--lib asking_shortens" \
    src/revocation/decide.rs 's/Some(Reason::Auth0Unavailable | Reason::AwaitingConsistency) =>/Some(Reason::Auth0Unavailable | Reason::AwaitingConsistency) if !facts.asked =>/'
mutant 12-asked-works-again "--test e2e a_finished_object_answers" \
    src/revocation/decide.rs 's/return if facts.asked { Decision::Answer(None) }/return if facts.asked { submit(facts, reason) }/'
mutant 13-unknown-field-unnamed "--lib what_this_version_does_not_know" \
    src/api/closed.rs 's/note(findings, || at.to_string());//'
mutant 13-older-crd-unnoticed "--lib a_missing_default" \
    src/api/closed.rs 's/field.has_default \&\& !values/false \&\& !values/'
mutant 13-acts-on-any-mode "--lib what_is_set_but_not_acted_on" \
    src/api/common.rs 's/list.value("spec.mode".*//'
mutant 13-status-forgotten "--lib fields_of_others_are_written_back" \
    src/api/status.rs 's/#\[serde(flatten)\]/#[serde(skip)]/'

if ((survivors)); then
    echo "$survivors survived: their tests prove nothing"
    exit 1
fi
echo "every broken promise was noticed"
