package plugin

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/plugin/check"
	"github.com/example/ksmscale/plugin/cluster"
	"github.com/example/ksmscale/plugin/printer"
	"github.com/example/ksmscale/version"
)

// reportResult is the result of the command. Problems are what the report lacks.
type reportResult struct {
	File     string   `json:"file"`
	Entries  []string `json:"entries"`
	Problems []string `json:"problems,omitempty"`
}

func (o *options) reportCommand() *cobra.Command {
	var file string
	command := &cobra.Command{
		Use:   "report NAME",
		Short: "Write an archive for a bug report, without secrets",
		Long: "Write an archive with a KSMScale, the objects and the logs of its shards and of the installation, and the results of status and check.\n" +
			"It reads no Secret. It replaces the values of environment variables, of annotations of others, and of tokens in logs.\n" +
			"Look through it before you publish it: it has the names of your objects.",
		Example: "  kubectl ksmscale report main",
		Args:    cobra.ExactArgs(1), ValidArgsFunction: o.named,
		RunE: func(command *cobra.Command, args []string) error { return o.report(command.Context(), args[0], file) },
	}
	command.Flags().StringVar(&file, "file", "", "File to write; empty for ksmscale-NAME-TIME.tar.gz in this folder, and - for standard output.")
	return command
}

func (o *options) report(ctx context.Context, name, file string) error {
	c, err := o.connect()
	if err != nil {
		return err
	}
	ksmScale, err := c.KSMScale(ctx, name)
	if err != nil {
		return err
	}
	r := &reporter{Cluster: c, ksmScale: ksmScale, now: o.clock.Now(), pause: o.pause}
	r.collect(ctx)
	archive, err := r.archive()
	if err != nil {
		return err
	}
	if file == "-" {
		_, err = o.Out.Write(archive)
		return err
	}
	if file == "" {
		file = fmt.Sprintf("ksmscale-%s-%s.tar.gz", name, r.now.UTC().Format("20060102-150405"))
	}
	if err := os.WriteFile(file, archive, 0o600); err != nil {
		return err
	}
	result := reportResult{File: file, Problems: r.problems}
	for _, one := range r.entries {
		result.Entries = append(result.Entries, one.name)
	}
	return o.print(result, func(p *printer.Painter) {
		p.Printf("Wrote %s with %s. Look through it before you publish it.\n", file, printer.Plural(len(result.Entries), "file"))
		for _, problem := range result.Problems {
			p.Printf("  without %s\n", problem)
		}
	})
}

// entry is a file of a report.
type entry struct {
	name    string
	content []byte
}

// reporter collects the files of a report. A file that cannot be collected is a problem, and does not stop the others.
type reporter struct {
	*cluster.Cluster
	ksmScale *v1alpha1.KSMScale
	now      time.Time
	pause    func(context.Context) error
	entries  []entry
	problems []string
}

func (r *reporter) add(name string, content []byte, err error) {
	if err != nil {
		r.problems = append(r.problems, name+": "+printer.FirstLine(err.Error()))
		return
	}
	r.entries = append(r.entries, entry{name, withoutTokens(content)})
}

func (r *reporter) collect(ctx context.Context) {
	namespace := r.ksmScale.Spec.Namespace
	r.add("version.txt", []byte(r.versions()), nil)
	r.addText("status.txt", func(p *printer.Painter) error {
		overviews, err := overviewsOf(ctx, r.Cluster, []string{r.ksmScale.Name})
		writeOverviews(p, overviews)
		return err
	})
	r.addText("check.txt", func(p *printer.Painter) error {
		check.Write(p, check.Run(ctx, r.Cluster, false, r.pause))
		return nil
	})
	text, err := redacted(r.ksmScale)
	r.add("ksmscale.yaml", text, err)
	apiService := &apiregistrationv1.APIService{}
	err = r.Client.Get(ctx, client.ObjectKey{Name: v1alpha1.APIServiceName}, apiService)
	text, redactErr := redacted(apiService)
	r.add("apiservice.yaml", text, errors.Join(err, redactErr))
	ofKSMScale := client.MatchingLabels{v1alpha1.LabelKSMScale: r.ksmScale.Name}
	for _, kind := range []struct{ name, group, version, kind string }{
		{"deployments", "apps", "v1", "Deployment"}, {"replicasets", "apps", "v1", "ReplicaSet"}, {"services", "", "v1", "Service"},
		{"pods", "", "v1", "Pod"}, {"horizontalpodautoscalers", "autoscaling", "v2", "HorizontalPodAutoscaler"},
		{"poddisruptionbudgets", policyv1.SchemeGroupVersion.Group, "v1", "PodDisruptionBudget"},
	} {
		list := &unstructured.UnstructuredList{}
		list.SetAPIVersion(strings.TrimPrefix(kind.group+"/"+kind.version, "/"))
		list.SetKind(kind.kind + "List")
		r.addObjects(ctx, kind.name+".yaml", list, client.InNamespace(namespace), ofKSMScale)
	}
	r.addEvents(ctx, namespace)
	r.addPods(ctx, "shards", true, client.InNamespace(namespace), ofKSMScale)
	r.addPods(ctx, "installation", false, client.MatchingLabels{"app.kubernetes.io/name": "ksmscale"})
}

func (r *reporter) versions() string {
	text := "kubectl ksmscale " + version.Version + "\n"
	info, err := r.Discovery.ServerVersion()
	if err != nil {
		return text + "Kubernetes unknown: " + err.Error() + "\n"
	}
	return text + "Kubernetes " + info.GitVersion + "\n"
}

func (r *reporter) addText(name string, write func(*printer.Painter) error) {
	var page bytes.Buffer
	err := write(&printer.Painter{Writer: &page})
	r.add(name, page.Bytes(), err)
}

// addObjects adds a list of objects, without what may be secret.
func (r *reporter) addObjects(ctx context.Context, name string, list client.ObjectList, options ...client.ListOption) {
	if err := r.Client.List(ctx, list, options...); err != nil {
		r.add(name, nil, err)
		return
	}
	text, err := redacted(list)
	r.add(name, text, err)
}

// addEvents adds the events of the shards and of the KSMScale. It does not list all events, because a large cluster has very many.
// The KSMScale has no namespace, so its events are in the namespace default.
func (r *reporter) addEvents(ctx context.Context, namespace string) {
	var list corev1.EventList
	err := r.Client.List(ctx, &list, client.InNamespace(namespace))
	prefix := v1alpha1.ShardNamePrefix(r.ksmScale.Name)
	list.Items = slices.DeleteFunc(list.Items, func(event corev1.Event) bool {
		return event.InvolvedObject.Namespace != namespace || !strings.HasPrefix(event.InvolvedObject.Name, prefix)
	})
	text, redactErr := redacted(&list)
	r.add("events.yaml", text, errors.Join(err, redactErr))
	r.addObjects(ctx, "ksmscale-events.yaml", &corev1.EventList{}, client.InNamespace(metav1.NamespaceDefault),
		client.MatchingFields{"involvedObject.kind": "KSMScale", "involvedObject.name": r.ksmScale.Name})
}

// addPods adds the logs of the containers of pods, and the metrics of their gates.
func (r *reporter) addPods(ctx context.Context, folder string, gates bool, options ...client.ListOption) {
	var pods corev1.PodList
	if err := r.Client.List(ctx, &pods, options...); err != nil {
		r.add(folder, nil, err)
		return
	}
	for i := range pods.Items {
		pod := &pods.Items[i]
		for _, container := range pod.Spec.Containers {
			log, err := r.Logs(ctx, pod, container.Name)
			r.add(folder+"/"+pod.Name+"/"+container.Name+".log", log, err)
		}
		if gates {
			metrics, err := r.GateMetrics(ctx, pod)
			r.add(folder+"/"+pod.Name+"/gate.prom", metrics, err)
		}
	}
}

// archive returns the files as a compressed archive.
func (r *reporter) archive() ([]byte, error) {
	var archive bytes.Buffer
	compressor := gzip.NewWriter(&archive)
	writer := tar.NewWriter(compressor)
	for _, one := range r.entries {
		header := &tar.Header{Name: "ksmscale-" + r.ksmScale.Name + "/" + one.name, Mode: 0o600, Size: int64(len(one.content)), ModTime: r.now}
		if err := writer.WriteHeader(header); err != nil {
			return nil, err
		}
		if _, err := io.Copy(writer, bytes.NewReader(one.content)); err != nil {
			return nil, err
		}
	}
	err := errors.Join(writer.Close(), compressor.Close())
	return archive.Bytes(), err
}

// redacted returns objects as YAML, without what may be secret.
func redacted(objects any) ([]byte, error) {
	encoded, err := json.Marshal(objects)
	if err != nil {
		return nil, err
	}
	var plain map[string]any
	if err := json.Unmarshal(encoded, &plain); err != nil {
		return nil, err
	}
	redact(plain)
	return yaml.Marshal(plain)
}
