package audit

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// families have one series for each object of a kind that is audited.
var families = []string{"kube_configmap_created", "kube_pod_created"}

// scraper reads which objects a kube-state-metrics exports.
type scraper struct {
	client *http.Client
	// known has the object that each line names. Lines repeat from scrape to scrape. Parsing each of them each second
	// would use more of the machine than the audited pods.
	mu    sync.Mutex
	known map[string]string
}

// scrape returns the objects that a target exports. It stops reading after the last family that it needs.
func (s *scraper) scrape(ctx context.Context, target string) (map[string]bool, error) {
	// Versions before v2.18.0 do not know the parameter, and answer with everything.
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+target+"/metrics?resources=configmaps,pods", nil)
	if err != nil {
		return nil, err
	}
	response, err := s.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s", target, response.Status)
	}
	objects := map[string]bool{}
	lines := bufio.NewScanner(response.Body)
	lines.Buffer(make([]byte, 64<<10), 4<<20)
	read, wanted := 0, false
	for lines.Scan() {
		line := lines.Bytes()
		if rest, header := bytes.CutPrefix(line, []byte("# HELP ")); header {
			if read == len(families) {
				return objects, nil
			}
			family, _, _ := bytes.Cut(rest, []byte{' '})
			wanted = slices.Contains(families, string(family))
			if wanted {
				read++
			}
			continue
		}
		if !wanted || len(line) == 0 || line[0] == '#' {
			continue
		}
		object, err := s.objectOf(line)
		if err != nil {
			// The cause of a cut-off line is more helpful than the line.
			return nil, errors.Join(err, lines.Err())
		}
		objects[object] = true
	}
	return objects, lines.Err()
}

func (s *scraper) objectOf(line []byte) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if object, known := s.known[string(line)]; known {
		return object, nil
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	parsed, err := parser.TextToMetricFamilies(strings.NewReader(string(line) + "\n"))
	if err != nil {
		return "", fmt.Errorf("parse %s: %w", line, err)
	}
	var object string
	for _, family := range parsed {
		labels := map[string]string{}
		for _, label := range family.GetMetric()[0].GetLabel() {
			labels[label.GetName()] = label.GetValue()
		}
		object = podObject(labels["uid"])
		if labels["uid"] == "" {
			object = configMapObject(labels["namespace"], labels["configmap"])
		}
	}
	s.known[string(line)] = object
	return object, nil
}

func podObject(uid string) string                   { return "pod " + uid }
func configMapObject(namespace, name string) string { return "configmap " + namespace + "/" + name }
