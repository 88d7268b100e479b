package goclient

import (
	"context"
	"fmt"
	"math"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/api"
	v1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/model"
)

// TestServeHistograms is a target with native histograms and an exemplar, until it is ended from outside. What Weft stored of them it
// compares with what it exposes, whenever /compare?weft=URL is asked for: the answer is "equal", or what differs.
func TestServeHistograms(t *testing.T) {
	if os.Getenv("WEFT_SERVE") == "" {
		t.Skip("WEFT_SERVE is not set: this test is run by tests/e2e")
	}
	registry := prometheus.NewRegistry()
	latency := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:                        "latency_seconds",
		Help:                        "How long it took.",
		Buckets:                     []float64{0.1, 1},
		NativeHistogramBucketFactor: 1.1,
	}, []string{"route"})
	registry.MustRegister(latency)
	for i := range 500 {
		latency.WithLabelValues("/").Observe(math.Exp(float64(i)/40 - 6))
		latency.WithLabelValues("/below").Observe(float64(i-100) / 8)
	}
	latency.WithLabelValues("/idle")
	served := prometheus.NewCounter(prometheus.CounterOpts{Name: "served_total", Help: "What was served."})
	registry.MustRegister(served)
	served.(prometheus.ExemplarAdder).AddWithExemplar(3, prometheus.Labels{"trace_id": "0af7651916cd43dd"})
	mux := http.NewServeMux()
	mux.Handle("/metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("/compare", func(w http.ResponseWriter, r *http.Request) {
		if err := compare(r.Context(), r.URL.Query().Get("weft"), registry); err != nil {
			fmt.Fprintln(w, err)
			return
		}
		fmt.Fprintln(w, "equal")
	})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	fmt.Println("listening", listener.Addr())
	t.Fatal(http.Serve(listener, mux))
}

func compare(ctx context.Context, url string, registry *prometheus.Registry) error {
	client, err := api.NewClient(api.Config{Address: url})
	if err != nil {
		return err
	}
	value, _, _, err := v1.NewAPI(client).Query(ctx, "latency_seconds", time.Now())
	if err != nil {
		return err
	}
	vector, ok := value.(model.Vector)
	families, err := registry.Gather()
	if err != nil || !ok || len(vector) != len(latencies(families)) {
		return fmt.Errorf("%v: %v", err, value)
	}
	for _, metric := range latencies(families) {
		route := metric.Label[0].GetValue()
		var found *model.SampleHistogram
		for _, sample := range vector {
			if string(sample.Metric["route"]) == route {
				found = sample.Histogram
			}
		}
		if found == nil {
			return fmt.Errorf("no histogram of %s in %v", route, vector)
		}
		exposed := metric.GetHistogram()
		if float64(found.Count) != float64(exposed.GetSampleCount()) || float64(found.Sum) != exposed.GetSampleSum() {
			return fmt.Errorf("count and sum of %s: %v", route, found)
		}
		var got, want []string
		for _, bucket := range found.Buckets {
			got = append(got, fmt.Sprintf("%.9g..%.9g: %v", bucket.Lower, bucket.Upper, bucket.Count))
		}
		want = append(want, buckets(exposed, exposed.NegativeSpan, exposed.NegativeDelta, -1)...)
		if exposed.GetZeroCount() > 0 {
			threshold := exposed.GetZeroThreshold()
			want = append(want, fmt.Sprintf("%.9g..%.9g: %d", -threshold, threshold, exposed.GetZeroCount()))
		}
		want = append(want, buckets(exposed, exposed.PositiveSpan, exposed.PositiveDelta, 1)...)
		if strings.Join(got, "\n") != strings.Join(want, "\n") {
			return fmt.Errorf("buckets of %s:\n%s\nexposed are:\n%s", route, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
	now := time.Now()
	exemplars, err := v1.NewAPI(client).QueryExemplars(ctx, "rate(served_total[1m])", now.Add(-time.Hour), now)
	if err != nil || len(exemplars) != 1 || len(exemplars[0].Exemplars) != 1 {
		return fmt.Errorf("exemplars: %v: %v", err, exemplars)
	}
	one := exemplars[0].Exemplars[0]
	if exemplars[0].SeriesLabels["job"] != "go" || one.Labels["trace_id"] != "0af7651916cd43dd" || one.Value != 3 {
		return fmt.Errorf("exemplar: %v", exemplars)
	}
	return nil
}

func latencies(families []*dto.MetricFamily) []*dto.Metric {
	for _, family := range families {
		if family.GetName() == "latency_seconds" {
			return family.Metric
		}
	}
	return nil
}

// buckets are those of one side that hold something, in ascending order.
func buckets(h *dto.Histogram, spans []*dto.BucketSpan, deltas []int64, sign float64) []string {
	bound := func(index int32) float64 {
		return math.Pow(2, float64(index)*math.Pow(2, -float64(h.GetSchema())))
	}
	var all []string
	index, count := int32(0), int64(0)
	for _, span := range spans {
		index += span.GetOffset()
		for range span.GetLength() {
			count, deltas = count+deltas[0], deltas[1:]
			lower, upper := bound(index-1), bound(index)
			if sign < 0 {
				lower, upper = -upper, -lower
			}
			if count > 0 {
				all = append(all, fmt.Sprintf("%.9g..%.9g: %d", lower, upper, count))
			}
			index++
		}
	}
	if sign < 0 {
		for i, j := 0, len(all)-1; i < j; i, j = i+1, j-1 {
			all[i], all[j] = all[j], all[i]
		}
	}
	return all
}
