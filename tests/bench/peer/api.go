package main

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/scheme"
)

var (
	groupVersion  = schema.GroupVersion{Group: "rescind.dev", Version: "v1alpha1"}
	schemeBuilder = &scheme.Builder{GroupVersion: groupVersion}
)

func init() {
	schemeBuilder.Register(&UserRoleRevocation{}, &UserRoleRevocationList{})
}

// UserRoleRevocation names a user and the roles that user must no longer hold.
type UserRoleRevocation struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec   Spec   `json:"spec"`
	Status Status `json:"status,omitempty"`
}

// UserRoleRevocationList is a list of them.
type UserRoleRevocationList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []UserRoleRevocation `json:"items"`
}

// Spec has the fields that this operator acts on.
type Spec struct {
	UserID string   `json:"userId"`
	Roles  []string `json:"roles"`
}

// Status has the same fields as Rescind's.
type Status struct {
	ObservedGeneration int64              `json:"observedGeneration,omitempty"`
	Conditions         []metav1.Condition `json:"conditions,omitempty"`
	// Counts by name; the template has those that Rescind writes.
	Result          map[string]int32 `json:"result,omitempty"`
	Domain          string           `json:"domain,omitempty"`
	LastRemovalTime *metav1.Time     `json:"lastRemovalTime,omitempty"`
	VerifiedTime    *metav1.Time     `json:"verifiedTime,omitempty"`
	LastSeenTime    *metav1.Time     `json:"lastSeenTime,omitempty"`
	CorrelationID   string           `json:"correlationId,omitempty"`
	Finished        *Finished        `json:"finished,omitempty"`
}

// Finished says what was finished.
type Finished struct {
	Target     string `json:"target,omitempty"`
	Mode       string `json:"mode,omitempty"`
	Generation int64  `json:"generation,omitempty"`
}

// DeepCopyInto copies the status with everything it points to.
func (s *Status) DeepCopyInto(out *Status) {
	*out = *s
	if s.Conditions != nil {
		out.Conditions = make([]metav1.Condition, len(s.Conditions))
		copy(out.Conditions, s.Conditions)
	}
	if s.Result != nil {
		out.Result = make(map[string]int32, len(s.Result))
		for name, count := range s.Result {
			out.Result[name] = count
		}
	}
	out.LastRemovalTime = s.LastRemovalTime.DeepCopy()
	out.VerifiedTime = s.VerifiedTime.DeepCopy()
	out.LastSeenTime = s.LastSeenTime.DeepCopy()
	if s.Finished != nil {
		finished := *s.Finished
		out.Finished = &finished
	}
}

// DeepCopy copies the object.
func (o *UserRoleRevocation) DeepCopy() *UserRoleRevocation {
	out := &UserRoleRevocation{TypeMeta: o.TypeMeta, Spec: o.Spec}
	o.ObjectMeta.DeepCopyInto(&out.ObjectMeta)
	out.Spec.Roles = append([]string(nil), o.Spec.Roles...)
	o.Status.DeepCopyInto(&out.Status)
	return out
}

// DeepCopyObject makes it a runtime.Object.
func (o *UserRoleRevocation) DeepCopyObject() runtime.Object {
	return o.DeepCopy()
}

// DeepCopyObject makes it a runtime.Object.
func (l *UserRoleRevocationList) DeepCopyObject() runtime.Object {
	out := &UserRoleRevocationList{TypeMeta: l.TypeMeta}
	l.ListMeta.DeepCopyInto(&out.ListMeta)
	out.Items = make([]UserRoleRevocation, 0, len(l.Items))
	for i := range l.Items {
		out.Items = append(out.Items, *l.Items[i].DeepCopy())
	}
	return out
}
