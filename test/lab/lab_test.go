package main

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/example/ksmscale/test/cluster"
)

// timeout only limits a failing test.
const timeout = 15 * time.Minute

// commands are the input of the shell. The last one does not end by itself, because the test ends the lab with Ctrl-C.
const commands = `
kubectl get ksmscale main
kubectl ksmscale status main && echo plugin is ready
for i in $(seq 120); do
	lab query lab:pods | grep '^2000 ' && echo Prometheus has all pods && break
	sleep 1
done
lab nodes 60
kubectl wait ksmscale main --for=jsonpath={.status.currentReplicas}=5 --timeout=5m && echo pods follow the nodes
kubectl -n monitoring wait deployment --all --for=condition=Available --timeout=5m
sleep 20
lab query 'min_over_time(lab:pods[10m])' | grep '^2000 ' && echo no pod was missing
kubectl cordon node-a node-b
kubectl -n monitoring delete pod --selector shard-id=0 --force --grace-period=0
kubectl ksmscale verify main
sleep 15
lab query lab:pods | grep -v '^2000 ' && echo Prometheus shows the gap
kubectl uncordon node-a node-b
kubectl ksmscale status main --wait >/dev/null && echo the gap has ended
echo kubeconfig $KUBECONFIG
echo the end is near
sleep 1000
`

// The lab runs the commands in its input, and its Prometheus shows each gap. After Ctrl-C nothing of it is left.
func TestLab(t *testing.T) {
	binary, err := cluster.FindBinary()
	require.NoError(t, err)
	program := filepath.Join(filepath.Dir(binary), "lab")
	command := exec.CommandContext(t.Context(), program)
	command.Stdin = strings.NewReader(commands)
	output, err := command.StdoutPipe()
	require.NoError(t, err)
	command.Stderr = os.Stderr
	require.NoError(t, command.Start())
	limit := time.AfterFunc(timeout, func() { _ = command.Process.Kill() })
	defer limit.Stop()

	var text strings.Builder
	kubeconfig := ""
	for lines := bufio.NewScanner(output); lines.Scan(); {
		t.Log(lines.Text())
		fmt.Fprintln(&text, lines.Text())
		if file, ok := strings.CutPrefix(lines.Text(), "kubeconfig "); ok {
			kubeconfig = file
			assert.FileExists(t, file)
		}
		if lines.Text() == "the end is near" {
			require.NoError(t, command.Process.Signal(syscall.SIGINT))
		}
	}
	require.NoError(t, command.Wait())
	for _, line := range []string{"plugin is ready", "pods follow the nodes", "Prometheus has all pods", "no pod was missing",
		"of shard 0, which has no ready pod", "Prometheus shows the gap", "the gap has ended", "nothing is left of it"} {
		assert.Contains(t, text.String(), line)
	}
	require.NotEmpty(t, kubeconfig)
	assert.NoDirExists(t, filepath.Dir(kubeconfig))
}
