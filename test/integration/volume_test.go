package integration

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/example/ksmscale/api/v1alpha1"
)

// This is the last file of the package, so that no test waits until thousands of nodes have been removed.
func TestJumpTo3000Nodes(t *testing.T) {
	setNodes(t, 45)
	ksmScale := create(t, newKSMScale())
	awaitReplicas(t, ksmScale, 1, 1, 1)
	setNodes(t, 3000)
	awaitReplicas(t, ksmScale, 67, 67, 66)
	awaitCondition(t, ksmScale, v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonAsPlanned)
}
