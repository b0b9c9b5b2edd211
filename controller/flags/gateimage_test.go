package flags

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
)

func TestGateImage(t *testing.T) {
	pod := func(name string, initContainers ...corev1.Container) *corev1.Pod {
		return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ksmscale-system", Name: name}, Spec: corev1.PodSpec{
			InitContainers: initContainers, Containers: []corev1.Container{{Name: "controller", Image: "mirror/ksmscale:v1"}},
		}}
	}
	pods := fake.NewClientBuilder().WithObjects(
		pod("complete", corev1.Container{Name: "mesh", Image: "mesh"}, corev1.Container{Name: "gate", Image: "mirror/ksmscale-gate:v1"}),
		pod("older"),
	).Build()
	for _, test := range []struct{ pod, flag, image, err string }{
		{pod: "complete", image: "mirror/ksmscale-gate:v1"},
		{pod: "complete", flag: "other/gate", image: "other/gate"},
		{pod: "older", err: "pod ksmscale-system/older has no init container gate; set --gate-image"},
		{pod: "gone", err: "read the image of the gates from the controller's pod"},
	} {
		t.Run(test.pod+test.flag, func(t *testing.T) {
			image, err := (&Options{Namespace: "ksmscale-system", PodName: test.pod, GateImage: test.flag}).ReadGateImage(t.Context(), pods)
			assert.Equal(t, test.image, image)
			if test.err == "" {
				require.NoError(t, err)
			} else {
				require.ErrorContains(t, err, test.err)
			}
		})
	}
}
