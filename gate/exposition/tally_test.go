package exposition

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/util/sets"
)

func TestTally(t *testing.T) {
	for name, test := range map[string]struct {
		exposed string
		series  int64
		objects map[string]int64
	}{
		"nothing": {exposed: "", objects: map[string]int64{}},
		"a resource without objects": {
			exposed: "# HELP kube_pod_created c\n# TYPE kube_pod_created gauge\n",
			objects: map[string]int64{"pods": 0},
		},
		"a family with several series of an object, and one with one": {
			exposed: "# TYPE kube_pod_status_phase gauge\n" +
				`kube_pod_status_phase{namespace="a",pod="x",phase="Running"} 1` + "\n" + `kube_pod_status_phase{namespace="a",pod="x",phase="Failed"} 0` + "\n" +
				`kube_pod_status_phase{namespace="a",pod="y",phase="Running"} 1` + "\n" + `kube_pod_status_phase{namespace="a",pod="y",phase="Failed"} 0` + "\n" +
				"# TYPE kube_pod_created gauge\n" +
				`kube_pod_created{namespace="a",pod="x"} 1` + "\n" + `kube_pod_created{namespace="a",pod="y"} 1` + "\n",
			series: 6, objects: map[string]int64{"pods": 2},
		},
		"a family that some objects lack": {
			exposed: `kube_pod_created{namespace="a",pod="x"} 1` + "\n" + `kube_pod_created{namespace="a",pod="y"} 1` + "\n" +
				`kube_pod_deletion_timestamp{namespace="a",pod="y"} 1` + "\n",
			series: 3, objects: map[string]int64{"pods": 2},
		},
		"objects of the same name in several namespaces": {
			exposed: `kube_configmap_info{namespace="a",configmap="ca"} 1` + "\n" + `kube_configmap_info{namespace="b",configmap="ca"} 1` + "\n",
			series:  2, objects: map[string]int64{"configmaps": 2},
		},
		"a lease with two owners": {
			exposed: `kube_lease_owner{lease="l",owner_kind="A",namespace="n"} 1` + "\n" + `kube_lease_owner{lease="l",owner_kind="B",namespace="n"} 1` + "\n",
			series:  2, objects: map[string]int64{"leases": 1},
		},
		"jobs and objects without a namespace": {
			exposed: `kube_job_info{namespace="a",job_name="x"} 1` + "\n" + `kube_node_info{node="n"} 1` + "\n" + `kube_namespace_created{namespace="a"} 1` + "\n",
			series:  3, objects: map[string]int64{"jobs": 1, "nodes": 1, "namespaces": 1},
		},
		"another kind whose name begins alike, and custom resources": {
			exposed: `kube_poddisruptionbudget_created{namespace="a",poddisruptionbudget="x"} 1` + "\n" + `kube_customresource_a{pod="b"} 1` + "\n",
			series:  2, objects: map[string]int64{"poddisruptionbudgets": 1},
		},
		"labels and values that look alike": {
			exposed: `kube_pod_labels{exported_pod="no",namespace="a",label_b=",pod=\"no\"",pod="x"} 1` + "\n" +
				`kube_pod_labels{exported_pod="none",namespace="a",label_b=",pod=\"none\"",pod="x"} 1` + "\n",
			series: 2, objects: map[string]int64{"pods": 1},
		},
		"a line that ends too soon": {
			exposed: `kube_pod_created{namespace="a",pod="x`,
			series:  1, objects: map[string]int64{"pods": 0},
		},
	} {
		t.Run(name, func(t *testing.T) {
			var counts Tally
			require.NoError(t, counts.Read(strings.NewReader(test.exposed)))
			assert.Equal(t, test.series, counts.Series)
			assert.Equal(t, test.objects, counts.Objects)
		})
	}
}

// endless is a page of any size of which only a block exists.
type endless struct {
	block []byte
	left  int
	from  bytes.Reader
}

func (e *endless) Read(to []byte) (int, error) {
	if e.from.Len() == 0 {
		if e.left == 0 {
			return 0, io.EOF
		}
		e.left--
		e.from.Reset(e.block)
	}
	return e.from.Read(to)
}

func TestTallyHoldsNoPage(t *testing.T) {
	const blocks, lines = 256, 10_000
	var block strings.Builder
	for i := range lines {
		fmt.Fprintf(&block, "kube_pod_info{namespace=\"default\",pod=\"pod-%05d\",uid=\"00000000-0000-4000-8000-000000000000\"} 1\n", i)
	}
	page := &endless{block: []byte(block.String()), left: blocks}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	var counts Tally
	require.NoError(t, counts.Read(page))
	runtime.ReadMemStats(&after)
	assert.Zero(t, page.left, "blocks that are not read")
	assert.Greater(t, blocks*block.Len(), 200<<20)
	assert.EqualValues(t, blocks*lines, counts.Series)
	assert.Equal(t, map[string]int64{"pods": blocks * lines}, counts.Objects)
	assert.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(1<<20), "of which 64 KiB are the buffer")
}

func TestTallyOfAPageThatBreaksOff(t *testing.T) {
	broken := io.MultiReader(strings.NewReader("kube_pod_info{pod=\"a\"} 1\n"), failing{})
	require.ErrorContains(t, new(Tally).Read(broken), "read metrics: reset")
	tooLong := io.MultiReader(strings.NewReader("kube_pod_info{pod=\""), strings.NewReader(strings.Repeat("a", maxLine)))
	require.ErrorContains(t, new(Tally).Read(tooLong), "token too long")
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errors.New("reset") }

// Whatever kube-state-metrics exposes, there are no more objects than series.
func FuzzTally(f *testing.F) {
	f.Add("# TYPE kube_pod_created gauge\nkube_pod_created{namespace=\"a\",pod=\"b\",uid=\"c\"} 1\n")
	f.Add("kube_pod_info{pod=\"b\"} 1\nkube_node_info{node=\"\\n\\\"\"} NaN 12\n")
	f.Add("kube_pod_created{,pod=\"b\"\nkube_pod{pod=\"\n")
	f.Fuzz(func(t *testing.T, text string) {
		var counts Tally
		if counts.Read(strings.NewReader(text)) != nil {
			return
		}
		for name, objects := range counts.Objects {
			if objects > counts.Series {
				t.Errorf("%q has %d objects of %s, and %d series", text, objects, name, counts.Series)
			}
		}
	})
}

func TestTallyOfForeignObjects(t *testing.T) {
	counts := Tally{Has: func(uid string) bool { return strings.HasPrefix(uid, "own") }}
	require.NoError(t, counts.Read(strings.NewReader("# TYPE kube_pod_info gauge\n"+
		`kube_pod_info{namespace="a",pod="x",uid="own-1"} 1`+"\n"+`kube_pod_info{namespace="a",pod="y",uid="other-1"} 1`+"\n"+
		"# TYPE kube_pod_created gauge\n"+`kube_pod_created{namespace="a",pod="y",uid="other-1"} 1`+"\n"+
		"# TYPE kube_pod_status_phase gauge\n"+`kube_pod_status_phase{namespace="a",pod="z",uid="other-2"} 1`+"\n"+
		"# TYPE kube_node_info gauge\n"+`kube_node_info{node="n",system_uuid="other"} 1`+"\n"+
		"# TYPE kube_service_spec_type gauge\n"+`kube_service_spec_type{namespace="a",service="s",uid="other"} 1`+"\n")))
	assert.Equal(t, map[string]int64{"pods": 1}, counts.Foreign, "in the families that name each object")
	assert.Equal(t, sets.New("pods", "nodes"), counts.Identified)
}

func TestIdentifiedResources(t *testing.T) {
	all := []Resource{Resources["pods"], Resources["leases"], Resources["endpoints"]}
	for name, test := range map[string]struct {
		lists Lists
		want  []string
	}{
		"no lists":                      {Lists{}, []string{"endpoints", "leases", "pods"}},
		"only families of some objects": {Lists{Allow: []string{"kube_pod_status_phase", "kube_lease_owner"}}, []string{"leases"}},
		"one of two families":           {Lists{Deny: []string{"kube_pod_info", "kube_lease_.*"}}, []string{"endpoints", "pods"}},
	} {
		t.Run(name, func(t *testing.T) {
			identified, err := test.lists.Identified(all)
			require.NoError(t, err)
			assert.Equal(t, test.want, sets.List(identified))
		})
	}
	_, err := (&Lists{Deny: []string{"(?!a)"}}).Identified(all)
	require.Error(t, err)
}
