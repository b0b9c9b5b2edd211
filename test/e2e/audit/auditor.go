package audit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/metadata/metadatainformer"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/transport"
)

const (
	// interval is how often the auditor looks.
	interval = time.Second
	// scrapeTimeout is the longest that Prometheus can wait if it scrapes every 30 seconds.
	scrapeTimeout = 30 * time.Second
	// slowScrape is Prometheus' default timeout. A kube-state-metrics with little CPU takes longer while it collects
	// garbage, even without any event, so such answers are counted separately.
	slowScrape = 10 * time.Second
	// dialTimeout is far more than a connection takes within a cluster: targets that lead nowhere must not delay the
	// next look at the others.
	dialTimeout = 2 * time.Second
	// settle is the age from which an object counts: kube-state-metrics hears of a new one a moment later.
	settle = 15 * time.Second
	// mostAsked is for how many missing objects the auditor asks the API server whether they are deleted. kube-state-metrics may
	// hear of a deletion first. For more objects it waits for deletionDelay, in which it hears of deletions itself.
	mostAsked     = 100
	deletionDelay = 300 * time.Millisecond
	// readTimeout limits all these requests of a look together.
	readTimeout = 5 * time.Second
	// metricsPort is the port of kube-state-metrics and its Services.
	metricsPort = 8080

	configMaps = "configmaps"
	pods       = "pods"
)

// Options configure an audit.
type Options struct {
	// Namespace and Selector select the targets. These are Services, or with Pods, ready pods, which are scraped
	// separately.
	Namespace, Selector string
	Pods                bool
	// PartitionLabel is a label of the targets. Each value is a partition that exports everything; empty for a single
	// partition.
	PartitionLabel string
	// Also, if set, are further targets in separate partitions, which replace the others.
	Also *Options `json:",omitempty"`
}

// Auditor looks once a second. Create it with New.
type Auditor struct {
	scraper *scraper
	targets Targets
	client  metadata.Interface
	// objects has what the API server has, by resource.
	objects map[string]cache.SharedIndexInformer
	start   func(stop <-chan struct{})

	mu     sync.Mutex
	ledger *ledger
}

// Targets lists what to scrape: the addresses, each with its partition.
type Targets interface {
	List() (map[string]string, error)
}

// New returns an auditor that uses the given configuration to read objects.
func New(config *rest.Config, targets Targets) (*Auditor, error) {
	client, err := metadata.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("create client: %w", err)
	}
	// Each scrape opens a connection, so it gets the metrics of that second.
	connections := &http.Transport{DisableKeepAlives: true, DialContext: dial}
	// A kube-state-metrics with authFilter requires the token, and others ignore it.
	authenticated, err := transport.NewBearerAuthWithRefreshRoundTripper(config.BearerToken, config.BearerTokenFile, connections)
	if err != nil {
		return nil, fmt.Errorf("read the token: %w", err)
	}
	factory := metadatainformer.NewSharedInformerFactory(client, 0)
	a := &Auditor{
		targets: targets, client: client, start: factory.Start,
		scraper: &scraper{client: &http.Client{Transport: authenticated}, known: map[string]string{}},
		ledger:  newLedger(time.Now()),
		objects: map[string]cache.SharedIndexInformer{},
	}
	for _, resource := range []string{configMaps, pods} {
		informer := factory.ForResource(schema.GroupVersionResource{Version: "v1", Resource: resource}).Informer()
		a.objects[resource] = informer
	}
	return a, nil
}

// dial connects with a small buffer. Otherwise kube-state-metrics would write much that is never read, which once a second
// costs it more than its actual work. If the machine stalls, the time can be over for a target that answers, too: where the
// timeout itself comes late, it tries once more.
func dial(ctx context.Context, network, target string) (net.Conn, error) {
	const buffer, late = 32 << 10, 500 * time.Millisecond
	dialer := &net.Dialer{Timeout: dialTimeout}
	began := time.Now()
	connection, err := dialer.DialContext(ctx, network, target)
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() && time.Since(began) > dialTimeout+late {
		connection, err = dialer.DialContext(ctx, network, target)
	}
	if err != nil {
		return nil, err
	}
	if tcp, ok := connection.(*net.TCPConn); ok {
		if err := tcp.SetReadBuffer(buffer); err != nil {
			_ = connection.Close()
			return nil, err
		}
	}
	return connection, nil
}

// Run looks once a second until the context is done. A look that takes longer delays the next, and counts as long.
func (a *Auditor) Run(ctx context.Context) error {
	a.start(ctx.Done())
	for _, informer := range a.objects {
		if !cache.WaitForCacheSync(ctx.Done(), informer.HasSynced) {
			return ctx.Err()
		}
	}
	a.reset()
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			if err := a.look(ctx); err != nil {
				return err
			}
		}
	}
}

func (a *Auditor) look(ctx context.Context) error {
	targets, err := a.targets.List()
	if err != nil {
		return fmt.Errorf("list targets: %w", err)
	}
	began := time.Now()
	before := a.expected(began)
	exported, slow, failures := a.scrapeAll(ctx, targets)
	now := time.Now()
	expected := a.withoutDeleted(ctx, before, exported, began)
	if ctx.Err() != nil {
		return nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if now.Before(a.ledger.last) {
		return nil // The look began before a reset.
	}
	a.ledger.report.SlowScrapes += slow
	a.ledger.tick(now, expected, exported, failures...)
	return nil
}

// common are the objects that both have.
func common(before, after map[string]place) []string {
	var both []string
	for object := range before {
		if _, stays := after[object]; stays {
			both = append(both, object)
		}
	}
	return both
}

// missingOf are the objects that no partition exports.
func missingOf(expected []string, exported map[string]map[string]int) []string {
	return slices.DeleteFunc(slices.Clone(expected), func(object string) bool { return isExported(object, exported) })
}

// withoutDeleted are the objects from before a look that were not deleted during it.
func (a *Auditor) withoutDeleted(ctx context.Context, before map[string]place, exported map[string]map[string]int, began time.Time) []string {
	expected := common(before, a.expected(began))
	missing := missingOf(expected, exported)
	if len(missing) > mostAsked {
		select {
		case <-ctx.Done():
		case <-time.After(deletionDelay):
		}
		return common(before, a.expected(began))
	}
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	return slices.DeleteFunc(expected, func(object string) bool {
		return slices.Contains(missing, object) && a.isDeleted(ctx, before[object])
	})
}

// isDeleted asks the API server whether an object is gone. It is not known to be if there is no answer. A list with the name needs no
// further right.
func (a *Auditor) isDeleted(ctx context.Context, of place) bool {
	list, err := a.client.Resource(schema.GroupVersionResource{Version: "v1", Resource: of.resource}).Namespace(of.namespace).
		List(ctx, metav1.ListOptions{FieldSelector: fields.OneTermEqualSelector(metav1.ObjectNameField, of.name).String()})
	return err == nil && !slices.ContainsFunc(list.Items, func(object metav1.PartialObjectMetadata) bool { return object.UID == of.uid })
}

// isExported reports whether some partition exports an object.
func isExported(object string, exported map[string]map[string]int) bool {
	for _, partition := range exported {
		if partition[object] > 0 {
			return true
		}
	}
	return false
}

// scrapeAll scrapes all targets together. It counts how often each object is exported, by partition, and how many answers
// were slow.
func (a *Auditor) scrapeAll(ctx context.Context, targets map[string]string) (exported map[string]map[string]int, slow int, failures []string) {
	ctx, cancel := context.WithTimeout(ctx, scrapeTimeout)
	defer cancel()
	exported = map[string]map[string]int{}
	var mu sync.Mutex
	var all sync.WaitGroup
	for target, partition := range targets {
		all.Go(func() {
			began := time.Now()
			objects, err := a.scraper.scrape(ctx, target)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err != nil:
				failures = append(failures, err.Error())
			case time.Since(began) > slowScrape:
				slow++
			}
			if exported[partition] == nil {
				exported[partition] = map[string]int{}
			}
			for object := range objects {
				exported[partition][object]++
			}
		})
	}
	all.Wait()
	return exported, slow, failures
}

// place is where the API server has an object.
type place struct {
	resource, namespace, name string
	uid                       types.UID
}

// expected are the objects that have been there for long enough at a time.
func (a *Auditor) expected(now time.Time) map[string]place {
	expected := map[string]place{}
	for resource, informer := range a.objects {
		for _, item := range informer.GetStore().List() {
			object, ok := item.(*metav1.PartialObjectMetadata)
			if !ok || now.Sub(object.CreationTimestamp.Time) < settle {
				continue
			}
			key := configMapObject(object.Namespace, object.Name)
			if resource == pods {
				key = podObject(string(object.UID))
			}
			expected[key] = place{resource, object.Namespace, object.Name, object.UID}
		}
	}
	return expected
}

func (a *Auditor) reset() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.ledger = newLedger(time.Now())
}

// Handler serves the report at /report, and starts a new report at /reset.
func (a *Auditor) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /report", func(w http.ResponseWriter, _ *http.Request) {
		a.mu.Lock()
		report := a.ledger.sum(time.Now())
		a.mu.Unlock()
		_ = json.NewEncoder(w).Encode(report)
	})
	mux.HandleFunc("POST /reset", func(http.ResponseWriter, *http.Request) { a.reset() })
	return mux
}

// address of a target.
func address(host string) string { return net.JoinHostPort(host, strconv.Itoa(metricsPort)) }

// isReady reports whether a Service routes to a pod.
func isReady(pod *corev1.Pod) bool {
	for _, condition := range pod.Status.Conditions {
		if condition.Type == corev1.PodReady {
			return condition.Status == corev1.ConditionTrue && pod.DeletionTimestamp == nil
		}
	}
	return false
}
