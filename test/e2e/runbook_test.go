package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/test/docs/transcripts"
)

// seeRunbook runs the first command of the runbook for the alerts whose faults need the processes of real pods. The controller does not
// run, and the pods of shard 0 export shard 1. Package integration has the other alerts.
func seeRunbook(t *testing.T, ksmScale *v1alpha1.KSMScale) {
	t.Helper()
	awaitCauses(t, "KSMControllerDown", ksmScale, "FAILED  controller: 0 of 0 pods of ksmscale-system/ksmscale-controller are available, because it is scaled to 0",
		"scale deployment ksmscale-controller --replicas=1", "FAILED  leader: no controller leads")
	for _, alert := range []string{"KSMTotalShardsDiffer", "KSMObjectsMissing"} {
		awaitCauses(t, alert, ksmScale, "Missing:\n  ", " of shard 0, and pod ", " does not export it\n", "Exported by a wrong shard:\n  ", " of shard 0 exports it too\n")
	}

	changeShard(t, ksmScale, 0, func(container string, arguments []string) []string {
		if container == "gate" {
			return withShard(t, arguments, 0)
		}
		return arguments
	})
	awaitCauses(t, "KSMForeignObjects", ksmScale, "not ready, node ", "; kube-state-metrics exposes ", " of other shards, because it divides objects among shards differently")

	changeShard(t, ksmScale, 0, func(container string, arguments []string) []string {
		if container == "gate" {
			return append(arguments, "--deadline=10s")
		}
		return append(withShard(t, arguments, 0), "--namespaces=default")
	})
	awaitShard(t, ksmScale, 0)
	awaitCauses(t, "KSMGateOpenedByDeadline", ksmScale, "Missing:\n  ", " in namespace ", ": of shard 0, and pod ", " does not export it\n")
}

// awaitCauses runs the first command of the section of an alert until it prints all causes.
func awaitCauses(t *testing.T, alert string, ksmScale *v1alpha1.KSMScale, causes ...string) {
	t.Helper()
	arguments, isOurs := strings.CutPrefix(transcripts.FirstCommand(t, alert, ksmScale.Name), "kubectl ksmscale ")
	require.True(t, isOurs)
	printed := ""
	await(t, "the cause of "+alert, func(context.Context) error {
		code, stdout, stderr := ksmscale(t, strings.Fields(arguments)...)
		printed = stdout + stderr
		// Without a controller, the status of the KSMScale stays Ready, and the command status exits with 0.
		if code > 1 {
			return fmt.Errorf("the exit code is %d: %s", code, printed)
		}
		for _, cause := range causes {
			if !strings.Contains(printed, cause) {
				return fmt.Errorf("it does not print %q: %s", cause, printed)
			}
		}
		return nil
	})
	t.Logf("kubectl ksmscale %s\n%s", arguments, printed)
}
