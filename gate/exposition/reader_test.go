package exposition

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/util/sets"
)

func TestRead(t *testing.T) {
	const familyText = "# HELP %[1]s Help.\n# TYPE %[1]s gauge\n"
	for name, test := range map[string]struct {
		requested    []string
		every        []string
		exposed      string
		seen         []Object
		unidentified []string
	}{
		"a pod": {
			requested: []string{"pods"},
			exposed:   fmt.Sprintf(familyText, "kube_pod_info") + `kube_pod_info{namespace="a",pod="b",uid="c"} 1` + "\n",
			seen:      []Object{objectOf("a", "b")},
		},
		"the rest is not read": {
			requested: []string{"pods"},
			exposed: fmt.Sprintf(familyText, "kube_pod_created") + `kube_pod_created{namespace="a",pod="b"} 1` + "\n" +
				fmt.Sprintf(familyText, "kube_pod_info") + "this is no metric\n",
			seen: []Object{objectOf("a", "b")},
		},
		"a job has its name in job_name": {
			requested: []string{"jobs"},
			exposed:   fmt.Sprintf(familyText, "kube_job_info") + `kube_job_info{namespace="a",job_name="b"} 1` + "\n",
			seen:      []Object{objectOf("a", "b")},
		},
		"objects without a namespace may have an empty one": {
			requested: []string{"nodes", "mutatingwebhookconfigurations"},
			exposed:   fmt.Sprintf(familyText, "kube_node_info") + `kube_node_info{node="a"} 1` + "\n" + fmt.Sprintf(familyText, "kube_mutatingwebhookconfiguration_info") + `kube_mutatingwebhookconfiguration_info{namespace="default",mutatingwebhookconfiguration="b"} 1` + "\n",
			seen:      []Object{objectOf("", "a"), objectOf("", "b")},
		},
		"a namespace's name is a namespace": {
			requested: []string{"namespaces"},
			exposed:   fmt.Sprintf(familyText, "kube_namespace_created") + `kube_namespace_created{namespace="a"} 1` + "\n",
			seen:      []Object{objectOf("", "a")},
		},
		"endpoint slices of versions that do not tell their namespaces, and of those that do": {
			requested: []string{"endpointslices"},
			exposed:   fmt.Sprintf(familyText, "kube_endpointslice_info") + `kube_endpointslice_info{endpointslice="a",addresstype="IPv4"} 1` + "\n" + `kube_endpointslice_info{endpointslice="b",namespace="c",addresstype="IPv4"} 1` + "\n",
			seen:      []Object{objectOf("", "a"), objectOf("", "b")},
		},
		"another kind whose name begins alike": {
			requested: []string{"pods"},
			exposed:   fmt.Sprintf(familyText, "kube_poddisruptionbudget_created") + `kube_poddisruptionbudget_created{namespace="a",pod="b"} 1` + "\n",
		},
		"series without headers, after others": {
			requested: []string{"pods", "nodes"},
			exposed: fmt.Sprintf(familyText, "kube_node_status_addresses") + `kube_node_status_addresses{node="a"} 1` + "\n" +
				`kube_pod_info{namespace="b",pod="c"} 1` + "\n" + `kube_node_info{node="d"} 1` + "\n" + `kube_node_info{node="e"} 1` + "\n",
			seen: []Object{objectOf("b", "c"), objectOf("", "d"), objectOf("", "e")},
		},
		"no family identifies the objects": {
			requested:    []string{"pods"},
			exposed:      fmt.Sprintf(familyText, "kube_pod_status_phase") + `kube_pod_status_phase{namespace="a",pod="b"} 1` + "\n",
			unidentified: []string{"pods"},
		},
		"so that every one is read": {
			requested:    []string{"pods"},
			every:        []string{"pods"},
			exposed:      fmt.Sprintf(familyText, "kube_pod_status_phase") + `kube_pod_status_phase{namespace="a",pod="b"} 1` + "\n",
			seen:         []Object{objectOf("a", "b")},
			unidentified: []string{"pods"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			var requested []Resource
			for _, name := range test.requested {
				requested = append(requested, Resources[name])
			}
			seen := sets.New[Object]()
			r := &Reader{Requested: requested, Every: sets.New(test.every...), Seen: func(_ Resource, about Object) { seen.Insert(about) }}
			unidentified, err := r.Read(strings.NewReader(test.exposed))
			require.NoError(t, err)
			assert.ElementsMatch(t, test.seen, seen.UnsortedList())
			assert.ElementsMatch(t, test.unidentified, unidentified.UnsortedList())
		})
	}
}

func TestReadOfMoreThanAChunk(t *testing.T) {
	const count = 5000
	var text strings.Builder
	text.WriteString("# HELP kube_pod_info Help.\n# TYPE kube_pod_info gauge\n")
	for i := range count {
		fmt.Fprintf(&text, "kube_pod_info{namespace=%q,pod=\"pod-%d\"} 1\n", strings.Repeat("n", 63), i)
	}
	require.Greater(t, text.Len(), chunkSize)
	seen := sets.New[Object]()
	r := &Reader{Requested: []Resource{Resources["pods"]}, Seen: func(_ Resource, about Object) { seen.Insert(about) }}
	_, err := r.Read(strings.NewReader(text.String()))
	require.NoError(t, err)
	assert.Len(t, seen, count)
}

func TestReadOfGarbage(t *testing.T) {
	r := &Reader{Requested: []Resource{Resources["pods"]}, Seen: func(Resource, Object) {}}
	_, err := r.Read(strings.NewReader("# HELP kube_pod_info Help.\nkube_pod_info{namespace=\n"))
	require.ErrorContains(t, err, "parse metrics of pods")
}

// The gate reads any exposition to its end, and sees only objects that it names.
func FuzzReader(f *testing.F) {
	f.Add("# HELP kube_pod_created c\n# TYPE kube_pod_created gauge\nkube_pod_created{namespace=\"a\",pod=\"b\",uid=\"c\"} 1\n")
	f.Add("kube_pod_info{pod=\"b\"} 1\nkube_node_info{node=\"\\n\\\"\"} NaN 12\n")
	f.Add("kube_pod_created{pod=\"b\"\n")
	f.Add("kube_endpointslice_info{endpointslice=\"a\"} 1\n{\"kube_pod_created\",pod=\"b\"} 1\n")
	f.Fuzz(func(t *testing.T, text string) {
		requested := []Resource{Resources["pods"], Resources["nodes"], Resources["endpointslices"]}
		for _, every := range []sets.Set[string]{nil, sets.New("pods", "nodes", "endpointslices")} {
			r := &Reader{Requested: requested, Every: every, Seen: func(kind Resource, one Object) {
				if one == kind.Object("", "") || !strings.Contains(text, "kube_"+kind.singular) {
					t.Errorf("%q has no object of %s", text, kind.Name)
				}
			}}
			unidentified, err := r.Read(strings.NewReader(text))
			if err == nil && len(unidentified) > len(requested) {
				t.Errorf("%q has %d unidentified resources of %d", text, len(unidentified), len(requested))
			}
			_, _ = CountCustom(strings.NewReader(text))
		}
	})
}
