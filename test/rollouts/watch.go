// Package rollouts watches how shards are rolled out. Integration and end-to-end tests use it.
package rollouts

import (
	"sync"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/test/changes"
)

// Watch sees every change of shards' Deployments, and counts those that are being rolled out to an image. Create it with New.
type Watch struct {
	image string

	mu sync.Mutex
	// rolling has the Deployments of each KSMScale that are being rolled out, and done the generations of those that have been.
	rolling map[string]sets.Set[string]
	done    map[string]int64
	most    map[string]int
	all     int
}

// New watches the Deployments of all KSMScales until the test ends. Image is one that no Deployment has yet, of any of its containers.
func New(t testing.TB, c client.WithWatch, image string) *Watch {
	t.Helper()
	w := &Watch{image: image, rolling: map[string]sets.Set[string]{}, done: map[string]int64{}, most: map[string]int{}}
	changes.Watch(t, c, &appsv1.DeploymentList{}, w.see, client.HasLabels{v1alpha1.LabelKSMScale})
	return w
}

func (w *Watch) see(what watch.EventType, deployment *appsv1.Deployment) {
	w.mu.Lock()
	defer w.mu.Unlock()
	ksmScale, name := deployment.Labels[v1alpha1.LabelKSMScale], deployment.Namespace+"/"+deployment.Name
	if w.rolling[ksmScale] == nil {
		w.rolling[ksmScale] = sets.New[string]()
	}
	switch {
	case what == watch.Deleted:
		w.rolling[ksmScale].Delete(name)
	case !hasImage(deployment, w.image):
	case isRolledOut(deployment):
		w.rolling[ksmScale].Delete(name)
		w.done[name] = deployment.Generation
	case w.done[name] == deployment.Generation:
		// A pod that is unready later is no rollout.
	default:
		w.rolling[ksmScale].Insert(name)
	}
	all := 0
	for _, rolling := range w.rolling {
		all += rolling.Len()
	}
	w.most[ksmScale], w.all = max(w.most[ksmScale], w.rolling[ksmScale].Len()), max(w.all, all)
}

func hasImage(deployment *appsv1.Deployment, image string) bool {
	for _, container := range deployment.Spec.Template.Spec.Containers {
		if container.Image == image {
			return true
		}
	}
	return false
}

// isRolledOut reports whether all pods of a Deployment have its template and are available.
func isRolledOut(deployment *appsv1.Deployment) bool {
	status := deployment.Status
	return status.ObservedGeneration >= deployment.Generation && status.UpdatedReplicas == status.Replicas &&
		status.AvailableReplicas == *deployment.Spec.Replicas
}

// Done is how many Deployments have been rolled out.
func (w *Watch) Done() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.done)
}

// Most is how many Deployments were rolled out at the same time: of one KSMScale, and of all.
func (w *Watch) Most(ksmScale string) (own, all int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.most[ksmScale], w.all
}
