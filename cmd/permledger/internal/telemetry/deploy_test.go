package telemetry

// What is installed beside the program, deploy/prometheus and deploy/grafana, held against the metrics that there are.

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"
)

const deploy = "../../../../deploy"

var ourMetric = regexp.MustCompile(`permledger_[a-z0-9_]+`)

// TestDeployNamesMetricsThatAre: a metric that was renamed makes an alert that never fires.
func TestDeployNamesMetricsThatAre(t *testing.T) {
	var known []string
	for _, f := range figures {
		known = append(known, ourMetric.FindString(f.desc.String()))
	}
	w := newWorld(t, nil, "acme")
	w.metrics() // the first request is counted when it is over
	families, _ := w.metrics()
	for name := range families {
		known = append(known, name)
	}
	paths := slices.Concat(glob(t, "prometheus/*.yml"), glob(t, "grafana/*.json"))
	for _, path := range paths {
		for _, name := range ourMetric.FindAllString(read(t, path), -1) {
			if !slices.Contains(known, name) && !slices.Contains(known, strings.TrimSuffix(name, "_bucket")) {
				t.Errorf("%s names %s, which is no metric", path, name)
			}
		}
	}
}

func TestAlerts(t *testing.T) {
	for _, path := range glob(t, "prometheus/*-alerts.yml") {
		var rules struct {
			Groups []struct {
				Name  string
				Rules []struct {
					Alert, Expr, For    string
					Labels, Annotations map[string]string
				}
			}
		}
		if err := yaml.Unmarshal([]byte(read(t, path)), &rules); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		for _, g := range rules.Groups {
			for _, r := range g.Rules {
				if r.Alert == "" || r.Expr == "" || r.Labels["severity"] == "" || r.Annotations["summary"] == "" {
					t.Errorf("%s: %+v lacks something", path, r)
				}
				if page, ok := r.Annotations["runbook"]; ok {
					glob(t, "runbooks/"+page+".md")
				}
			}
		}
	}
}

func TestDashboards(t *testing.T) {
	for _, path := range glob(t, "grafana/*.json") {
		var d struct {
			Title, UID string
			Panels     []struct {
				ID      int
				Type    string
				Targets []struct{ Expr string }
			}
		}
		if err := json.Unmarshal([]byte(read(t, path)), &d); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		seen := make(map[int]bool)
		for _, p := range d.Panels {
			if seen[p.ID] || p.Type != "row" && (len(p.Targets) == 0 || p.Targets[0].Expr == "") {
				t.Errorf("%s: panel %d is there twice or shows nothing", path, p.ID)
			}
			seen[p.ID] = true
		}
		if d.Title == "" || d.UID == "" || len(d.Panels) == 0 {
			t.Errorf("%s is no dashboard", path)
		}
	}
}

// glob gives the files of deploy that match, of which there has to be one.
func glob(t *testing.T, pattern string) []string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(deploy, pattern))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no files match %s (%v)", pattern, err)
	}
	return paths
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
