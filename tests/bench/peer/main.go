// The operator that Rescind is compared with: the same job for one kind, as one would write it on the scaffold of
// kubebuilder. It uses controller-runtime's cache and workqueue, makes one DELETE and one read for each object, writes
// the
// same status as Rescind, and requeues after a 429. It has none of Rescind's other work: tenants, Secrets, events, an
// audit
// log, metrics.
//
// Its settings are environment variables: KUBECONFIG, PEER_NAMESPACE, PEER_DOMAIN, PEER_TOKEN, PEER_CA_FILE,
// PEER_STATUS
// (the final status of an object of Rescind, whose reasons and messages it uses) and PEER_PROBE (the address of
// /readyz).
package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
)

// The number of concurrent reconciles, the default of Rescind.
const workers = 16

// The time until the next read when one still shows the role.
const lookAgain = 2 * time.Second

// Reconciler carries out one removal.
type Reconciler struct {
	client.Client
	Auth0 *Auth0
	// Domain is written to the status.
	Domain string
	// Template is the status of a finished object, except for its times and names.
	Template Status
}

// Reconcile removes, reads back, and writes the status.
func (r *Reconciler) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	var object UserRoleRevocation
	if err := r.Get(ctx, request.NamespacedName, &object); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	ready := meta.FindStatusCondition(object.Status.Conditions, "Ready")
	if ready != nil && ready.Status == metav1.ConditionTrue && ready.ObservedGeneration == object.Generation {
		return ctrl.Result{}, nil
	}
	correlation := "peer-" + string(object.UID)
	if err := r.Auth0.RemoveRoles(ctx, object.Spec.UserID, object.Spec.Roles, correlation); err != nil {
		return retry(err)
	}
	removed := metav1.Now()
	held, err := r.Auth0.HasAnyRole(ctx, object.Spec.UserID, object.Spec.Roles)
	if err != nil {
		return retry(err)
	}
	if held {
		return ctrl.Result{RequeueAfter: lookAgain}, nil
	}
	before := object.DeepCopy()
	r.finish(&object, correlation, removed)
	return ctrl.Result{}, r.Status().Patch(ctx, &object, client.MergeFrom(before))
}

// retry requeues at the time that Auth0 named, or with the backoff of the workqueue.
func retry(err error) (ctrl.Result, error) {
	var limited RateLimited
	if errors.As(err, &limited) {
		return ctrl.Result{RequeueAfter: limited.After}, nil
	}
	return ctrl.Result{}, err
}

// finish fills in the status of an object whose removal is verified.
func (r *Reconciler) finish(object *UserRoleRevocation, correlation string, removed metav1.Time) {
	now := metav1.Now()
	status := &object.Status
	before := status.Conditions
	r.Template.DeepCopyInto(status)
	status.Conditions = before
	for _, condition := range r.Template.Conditions {
		condition.ObservedGeneration = object.Generation
		condition.LastTransitionTime = now
		meta.SetStatusCondition(&status.Conditions, condition)
	}
	status.ObservedGeneration = object.Generation
	if status.CorrelationID != "" {
		status.CorrelationID = correlation
	}
	if status.Domain != "" {
		status.Domain = r.Domain
	}
	if status.LastRemovalTime != nil {
		status.LastRemovalTime = &removed
	}
	for _, at := range []*metav1.Time{status.VerifiedTime, status.LastSeenTime} {
		if at != nil {
			*at = now
		}
	}
	if status.Finished != nil {
		target := sha256.Sum256([]byte(object.Spec.UserID + "\n" + strings.Join(object.Spec.Roles, "\n")))
		status.Finished.Target = hex.EncodeToString(target[:8])
		status.Finished.Generation = object.Generation
	}
}

func main() {
	ctrl.SetLogger(zap.New())
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "peer:", err)
		os.Exit(1)
	}
}

func run() error {
	config, err := ctrl.GetConfig()
	if err != nil {
		return err
	}
	// The limit is the API server's priority and fairness, not the client's own.
	config.QPS, config.Burst = -1, -1
	ca, err := os.ReadFile(os.Getenv("PEER_CA_FILE"))
	if err != nil {
		return err
	}
	domain := os.Getenv("PEER_DOMAIN")
	auth0, err := NewAuth0(domain, os.Getenv("PEER_TOKEN"), ca)
	if err != nil {
		return err
	}
	reconciler := &Reconciler{Auth0: auth0, Domain: domain}
	if err := json.Unmarshal([]byte(os.Getenv("PEER_STATUS")), &reconciler.Template); err != nil {
		return fmt.Errorf("PEER_STATUS: %w", err)
	}
	types := runtime.NewScheme()
	if err := schemeBuilder.AddToScheme(types); err != nil {
		return err
	}
	manager, err := ctrl.NewManager(config, ctrl.Options{
		Scheme:                 types,
		Metrics:                server.Options{BindAddress: "0"},
		HealthProbeBindAddress: os.Getenv("PEER_PROBE"),
		Cache:                  cache.Options{DefaultNamespaces: map[string]cache.Config{os.Getenv("PEER_NAMESPACE"): {}}},
	})
	if err != nil {
		return err
	}
	if err := manager.AddReadyzCheck("ping", healthz.Ping); err != nil {
		return err
	}
	reconciler.Client = manager.GetClient()
	err = ctrl.NewControllerManagedBy(manager).
		For(&UserRoleRevocation{}, builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		WithOptions(controller.Options{MaxConcurrentReconciles: workers}).
		Complete(reconciler)
	if err != nil {
		return err
	}
	return manager.Start(ctrl.SetupSignalHandler())
}
