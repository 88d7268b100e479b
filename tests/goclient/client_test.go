// Package goclient reads a running Weft with the client that Go programs use for Prometheus.
package goclient

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/prometheus/client_golang/api"
	v1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"
)

func TestEveryEndpoint(t *testing.T) {
	url := os.Getenv("WEFT_URL")
	if url == "" {
		t.Skip("WEFT_URL is not set: this test is run by tests/e2e")
	}
	client, err := api.NewClient(api.Config{Address: url})
	if err != nil {
		t.Fatal(err)
	}
	weft := v1.NewAPI(client)
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	now := time.Now()
	check := func(name string, err error, right bool, got any) {
		t.Helper()
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if !right {
			t.Errorf("%s: unexpected: %v", name, got)
		}
	}

	value, warnings, _, err := weft.Query(ctx, "sum by (code) (requests_total)", now)
	vector, ok := value.(model.Vector)
	check("query", err, ok && len(vector) == 1 && vector[0].Value == 5 && len(warnings) == 0, value)

	value, _, _, err = weft.Query(ctx, "1 + 1", now, v1.WithTimeout(5*time.Second), v1.WithLimit(10))
	scalar, ok := value.(*model.Scalar)
	check("query with options", err, ok && scalar.Value == 2, value)

	value, _, _, err = weft.QueryRange(ctx, "up", v1.Range{Start: now.Add(-time.Minute), End: now, Step: time.Second})
	matrix, ok := value.(model.Matrix)
	check("query_range", err, ok && len(matrix) == 1 && len(matrix[0].Values) > 0, value)

	series, _, _, err := weft.Series(ctx, []string{`requests_total{code="200"}`}, now.Add(-time.Minute), now)
	check("series", err, len(series) == 1 && series[0]["job"] == "app", series)

	names, _, _, err := weft.LabelNames(ctx, nil, now.Add(-time.Minute), now)
	check("labels", err, len(names) == 4, names)

	values, _, _, err := weft.LabelValues(ctx, "code", []string{"requests_total"}, now.Add(-time.Minute), now)
	check("label values", err, len(values) == 1 && values[0] == "200", values)

	metadata, err := weft.Metadata(ctx, "requests_total", "")
	check("metadata", err, len(metadata["requests_total"]) == 1 && metadata["requests_total"][0].Type == v1.MetricTypeCounter, metadata)

	ofTargets, err := weft.TargetsMetadata(ctx, `{job="app"}`, "requests_total", "")
	check("targets metadata", err, len(ofTargets) == 1 && ofTargets[0].Help == "Requests.", ofTargets)

	targets, err := weft.Targets(ctx)
	check("targets", err, len(targets.Active) == 1 && targets.Active[0].Health == v1.HealthGood, targets)

	config, err := weft.Config(ctx)
	check("status/config", err, config.YAML != "", config)

	flags, err := weft.Flags(ctx)
	check("status/flags", err, flags["web.enable-lifecycle"] == "true", flags)

	build, err := weft.Buildinfo(ctx)
	check("status/buildinfo", err, build.Version[:2] == "3.", build)

	runtime, err := weft.Runtimeinfo(ctx)
	check("status/runtimeinfo", err, runtime.StorageRetention == "15d" && runtime.ReloadConfigSuccess, runtime)

	stats, err := weft.TSDB(ctx)
	check("status/tsdb", err, stats.HeadStats.NumSeries > 0, stats)

	rules, err := weft.Rules(ctx, nil)
	check("rules", err, len(rules.Groups) == 0, rules)

	alerts, err := weft.Alerts(ctx)
	check("alerts", err, len(alerts.Alerts) == 0, alerts)

	managers, err := weft.AlertManagers(ctx)
	check("alertmanagers", err, len(managers.Active) == 0, managers)

	_, _, _, err = weft.Query(ctx, "sum(", now)
	if failure, ok := err.(*v1.Error); !ok || failure.Type != v1.ErrBadData {
		t.Errorf("a bad query: %v", err)
	}
}
