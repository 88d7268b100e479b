package goclient

import (
	"fmt"
	"math"
	"net"
	"net/http"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// TestServeScraped is a target with every kind of metric of client_golang, until it is ended from outside. Each scrape finds that
// something has happened since the last one.
func TestServeScraped(t *testing.T) {
	if os.Getenv("WEFT_SERVE") == "" {
		t.Skip("WEFT_SERVE is not set: this test is run by tests/e2e")
	}
	scraped := newScraped()
	handler := promhttp.HandlerFor(scraped.registry, promhttp.HandlerOpts{
		EnableOpenMetrics:                   true,
		EnableOpenMetricsTextCreatedSamples: true,
	})
	var one sync.Mutex
	n, last := 0, int64(0)
	mux := http.NewServeMux()
	mux.HandleFunc("/metrics", func(w http.ResponseWriter, r *http.Request) {
		one.Lock()
		defer one.Unlock()
		// No one scrapes twice in a millisecond, and exemplars of such scrapes would be taken for disordered ones.
		for time.Now().UnixMilli() == last {
		}
		n++
		scraped.happens(n)
		last = time.Now().UnixMilli()
		handler.ServeHTTP(w, r)
	})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	fmt.Println("listening", listener.Addr())
	t.Fatal(http.Serve(listener, mux))
}

type scraped struct {
	registry *prometheus.Registry
	jobs     *prometheus.CounterVec
	sessions *prometheus.GaugeVec
	summary  prometheus.Summary
	// By what they have: classic buckets, native ones, both.
	classic, native, both *prometheus.HistogramVec
}

func newScraped() *scraped {
	s := &scraped{
		registry: prometheus.NewRegistry(),
		jobs:     prometheus.NewCounterVec(prometheus.CounterOpts{Name: "jobs_total", Help: "Jobs."}, []string{"queue"}),
		sessions: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "sessions", Help: "Who is here."}, []string{"user"}),
		summary: prometheus.NewSummary(prometheus.SummaryOpts{
			Name: "reply_seconds", Help: "Replies.", Objectives: map[float64]float64{0.5: 0.05, 0.99: 0.001, 1: 0},
		}),
		classic: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "size_bytes", Help: "A \\ and\na new line.", Buckets: []float64{1, 10, 1e6, 1e21},
		}, []string{"kind"}),
		native: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "wait_seconds", Help: "Waits.", NativeHistogramBucketFactor: 1.05,
			NativeHistogramMaxBucketNumber: 24, NativeHistogramMaxZeroThreshold: 0.5,
		}, []string{"route"}),
		both: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "latency_seconds", Help: "Latencies.", Buckets: []float64{0.1, 1, 2.5}, NativeHistogramBucketFactor: 1.1,
		}, []string{"route"}),
	}
	s.registry.MustRegister(s.jobs, s.sessions, s.summary, s.classic, s.native, s.both, stamped{}, prometheus.NewBuildInfoCollector())
	odd := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "odd", Help: "Values that are no everyday ones."}, []string{"value"})
	for _, value := range []float64{
		math.NaN(), math.Inf(1), math.Inf(-1), math.Copysign(0, -1), 5e-324, math.MaxFloat64, 0.1 + 0.2, 1e21, 1 << 60,
	} {
		odd.WithLabelValues(fmt.Sprint(value)).Set(value)
	}
	text := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "text", Help: "Labels that are no everyday ones."}, []string{"of"})
	for i, of := range []string{"", "\"quoted\"", "a\nb", "back\\slash", "π {}=,#", " blank "} {
		text.WithLabelValues(of).Set(float64(i))
	}
	untyped := prometheus.NewUntypedFunc(prometheus.UntypedOpts{Name: "untyped", Help: "Of no type."}, func() float64 { return 7 })
	named := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "free.space/π", Help: "A name of UTF-8.", ConstLabels: prometheus.Labels{"mount.point": "/"},
	})
	s.registry.MustRegister(odd, text, untyped, named)
	return s
}

// happens is what happens before the n-th scrape.
func (s *scraped) happens(n int) {
	trace := prometheus.Labels{"trace_id": fmt.Sprintf("%032x", n), "span_id": fmt.Sprint(n)}
	s.jobs.WithLabelValues("a").(prometheus.ExemplarAdder).AddWithExemplar(float64(n), trace)
	s.jobs.WithLabelValues("b").Inc()
	s.sessions.Reset()
	s.sessions.WithLabelValues(fmt.Sprint("u", n%3)).Set(float64(n))
	s.sessions.WithLabelValues("always").Set(1 / float64(n))
	s.summary.Observe(float64(n) / 8)
	s.classic.WithLabelValues("never")
	for i := range 20 {
		value := math.Exp(float64(i*n)/40 - 6)
		s.classic.WithLabelValues("some").(prometheus.ExemplarObserver).ObserveWithExemplar(value*100, trace)
		s.both.WithLabelValues("/").(prometheus.ExemplarObserver).ObserveWithExemplar(value, trace)
		// More buckets than it may have, so that they grow wider and zero takes some in.
		s.native.WithLabelValues("/").Observe(value)
		s.native.WithLabelValues("/below").(prometheus.ExemplarObserver).ObserveWithExemplar(float64(i-10)/8, trace)
	}
	s.native.WithLabelValues("/idle")
	if n%4 == 0 {
		s.both.DeleteLabelValues("/again")
	}
	s.both.WithLabelValues("/again").Observe(float64(n))
}

// stamped has samples with times of their own.
type stamped struct{}

func (stamped) Describe(chan<- *prometheus.Desc) {}

func (stamped) Collect(metrics chan<- prometheus.Metric) {
	desc := prometheus.NewDesc("stamped", "With its own time.", []string{"ago"}, nil)
	now := time.Now()
	for _, ago := range []time.Duration{0, time.Minute} {
		metric := prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, float64(now.Unix()), ago.String())
		metrics <- prometheus.NewMetricWithTimestamp(now.Add(-ago), metric)
	}
}
