package observation

import (
	"testing"

	"github.com/stretchr/testify/assert"
	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/example/ksmscale/controller/fixtures"
)

func TestPodDisruptionBudgetsOfANewNamespace(t *testing.T) {
	deployments := []appsv1.Deployment{{ObjectMeta: metav1.ObjectMeta{Namespace: "new", Name: fixtures.Shard(0).Name()}}}
	listed := result[map[string][]foreignBudget]{known: true, Objects: map[string][]foreignBudget{"monitoring": nil}}
	assert.True(t, foreignBudgets(deployments, listed).Unknown)
	listed.Objects["new"] = nil
	assert.False(t, foreignBudgets(deployments, listed).Unknown)
}
