package status

import (
	"os"
	"regexp"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/example/ksmscale/api/v1alpha1"
)

var (
	trueReady    = metav1.Condition{Type: v1alpha1.ConditionReady, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonAsPlanned}
	falseReady   = metav1.Condition{Type: v1alpha1.ConditionReady, Status: metav1.ConditionFalse, Reason: v1alpha1.ReasonForeignAutoscaler}
	unknownReady = metav1.Condition{Type: v1alpha1.ConditionReady, Status: metav1.ConditionUnknown, Reason: "Other"}
)

// phaseTable is the table of phases: the facts of each row, and what it looks like with the facts of every later row too.
var phaseTable = []struct {
	phase       v1alpha1.Phase
	alone, with summary
}{
	{v1alpha1.PhaseIncomplete, summary{incomplete: true, ready: trueReady}, summary{incomplete: true, resharding: true, rollingOut: true, scaling: true, ready: falseReady}},
	{v1alpha1.PhaseResharding, summary{resharding: true, ready: trueReady}, summary{resharding: true, rollingOut: true, scaling: true, ready: falseReady}},
	{v1alpha1.PhaseRollingOut, summary{rollingOut: true, ready: trueReady}, summary{rollingOut: true, scaling: true, ready: falseReady}},
	{v1alpha1.PhaseScaling, summary{scaling: true, ready: trueReady}, summary{scaling: true, ready: falseReady}},
	{v1alpha1.PhaseDegraded, summary{ready: falseReady}, summary{ready: unknownReady}},
	{v1alpha1.PhaseReady, summary{ready: trueReady}, summary{ready: trueReady}},
}

func TestTheFirstRowOfThePhaseTableCounts(t *testing.T) {
	for _, row := range phaseTable {
		assert.Equal(t, row.phase, row.alone.phase())
		assert.Equal(t, row.phase, row.with.phase(), "with everything that comes after it")
	}
	starting := metav1.Condition{Type: v1alpha1.ConditionReady, Status: metav1.ConditionUnknown, Reason: v1alpha1.ReasonStarting}
	assert.Equal(t, v1alpha1.PhaseScaling, summary{ready: starting}.phase(), "an autoscaler has not acted yet")
}

func TestThePhaseTableIsDocumented(t *testing.T) {
	text, err := os.ReadFile("../../docs/conditions.md")
	require.NoError(t, err)
	section := regexp.MustCompile(`(?s)\n## Phases\n(.*?)\n## `).FindSubmatch(text)
	require.NotNil(t, section)
	var documented, tested []string
	for _, row := range regexp.MustCompile("(?m)^\\| `(\\w+)` \\|").FindAllSubmatch(section[1], -1) {
		documented = append(documented, string(row[1]))
	}
	for _, row := range phaseTable {
		tested = append(tested, string(row.phase))
	}
	assert.Equal(t, tested, documented)
}
