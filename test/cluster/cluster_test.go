package cluster

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestStartNamesTheComponentThatEnds(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	binary := script(t, `[ $1 = kwok-stages ] || { echo "no space left for $1"; exit 1; }`)
	_, err := Start(t.Context(), Options{Dir: dir, Binary: binary})
	require.ErrorContains(t, err, "etcd: exit status 1")
	require.ErrorContains(t, err, "no space left for etcd")
	require.ErrorContains(t, err, dir)
	assert.FileExists(t, filepath.Join(dir, "logs", "etcd.log"), "kept for a look at it")
}

func TestStartCleansUpWhenCancelled(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	binary := script(t, `[ $1 = kwok-stages ] || exec sleep 1000`)
	ctx, cancel := context.WithCancel(t.Context())
	_, err := Start(ctx, Options{Dir: dir, Binary: binary, Progress: writerFunc(cancel)})
	require.ErrorIs(t, err, context.Canceled)
	assert.NoDirExists(t, dir)
}

func TestStartRefusesAFolderWithSomethingInIt(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "thesis.txt"), nil, 0o600))
	_, err := Start(t.Context(), Options{Dir: dir, Binary: script(t, "")})
	require.ErrorContains(t, err, "not empty")
	assert.FileExists(t, filepath.Join(dir, "thesis.txt"))
}

func TestMissingBinary(t *testing.T) {
	_, err := Start(t.Context(), Options{Binary: filepath.Join(t.TempDir(), "kube")})
	require.ErrorContains(t, err, "make kube")
	t.Chdir(t.TempDir())
	_, err = FindBinary()
	require.ErrorContains(t, err, "make kube")
}

func TestOpenWithoutCluster(t *testing.T) {
	_, err := Open(t.TempDir())
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestOpenAfterAStartCutShort(t *testing.T) {
	p := startShell(t, "exec sleep 1000")
	c := &Cluster{dir: t.TempDir(), processes: []*Process{p}}
	require.NoError(t, c.writeRecord())

	opened, err := Open(c.dir)
	require.NoError(t, err)
	require.NoError(t, opened.Check())
	require.ErrorContains(t, opened.SetNodes(t.Context(), 1), "cut short")
	require.NoError(t, opened.Stop())
	assert.False(t, p.Running())
	assert.NoDirExists(t, c.dir)
	require.Error(t, opened.Check())
}

func TestHPAFlags(t *testing.T) {
	const sync, stabilization = "--horizontal-pod-autoscaler-sync-period", "--horizontal-pod-autoscaler-downscale-stabilization"
	none := time.Duration(0)
	c := &Cluster{options: Options{HPASyncPeriod: 2 * time.Second, HPADownscaleStabilization: &none}}
	flags := c.controllerManager(1).flags
	assert.Contains(t, flags, sync+"=2s")
	assert.Contains(t, flags, stabilization+"=0s")
	assert.NotContains(t, (&Cluster{}).controllerManager(1).flags, sync+"=0s")
}

// script stands in for the kube binary.
func script(t *testing.T, body string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "kube")
	require.NoError(t, os.WriteFile(path, []byte("#!/bin/sh\n"+body+"\n"), 0o700))
	return path
}

// writerFunc calls itself at every Write.
type writerFunc func()

func (f writerFunc) Write(p []byte) (int, error) {
	f()
	return len(p), nil
}
