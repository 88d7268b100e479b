// What Prometheus makes of templates of alerts: lines of JSON, one for each of many templates.
//
//	gotemplate -seed N -count N
//
// A line has a template and its expansion, or the error behind an exclamation mark. The data are those of tests/gotemplate.rs
// in the crate of the rules.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/template"
)

const prelude = "{{$labels := .Labels}}{{$externalLabels := .ExternalLabels}}{{$externalURL := .ExternalURL}}{{$value := .Value}}"

type line struct {
	Text   string `json:"text"`
	Result string `json:"result"`
}

func main() {
	seed := flag.Uint64("seed", 1, "of the random templates")
	count := flag.Int("count", 1000, "how many of them")
	flag.Parse()
	out := bufio.NewWriter(os.Stdout)
	lines := json.NewEncoder(out)
	lines.SetEscapeHTML(false)
	maker := newMaker(*seed)
	for i := range *count + len(fixed) {
		text := ""
		if i < len(fixed) {
			text = fixed[i]
		} else {
			text = maker.template()
		}
		if err := lines.Encode(line{Text: text, Result: expand(text)}); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	if err := out.Flush(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// Every query is answered by its text alone.
func query(_ context.Context, text string, ts time.Time) (promql.Vector, error) {
	at := ts.UnixMilli()
	switch text {
	case "none":
		return promql.Vector{}, nil
	case "fails":
		return nil, errors.New("it fails")
	default:
		return promql.Vector{
			{Metric: labels.FromStrings("__name__", "m", "host", "b", "n", "1"), T: at, F: 21},
			{Metric: labels.FromStrings("__name__", "m", "host", "a", "n", "2"), T: at, F: 0.5},
			{Metric: labels.FromStrings("__name__", "m", "host", "c", "__value__", "x"), T: at, F: 1e9},
		}, nil
	}
}

func expand(text string) string {
	external, err := url.Parse("http://localhost:9090/a%20b/prom")
	if err != nil {
		panic(err)
	}
	alert := map[string]string{"instance": "node-1.example.com:9100", "job": "node", "severity": "a<b>&\"c\"", "é": "ü"}
	data := template.AlertTemplateData(alert, map[string]string{"region": "eu"}, external.String(), promql.Sample{F: 1234.5678})
	now := model.Time(1353755652123)
	expander := template.NewTemplateExpander(context.Background(), prelude+text, "__alert_A", data, now, query, external, nil)
	if err := expander.ParseTest(); err != nil {
		return "!" + err.Error()
	}
	result, err := expander.Expand()
	if err != nil {
		return "!" + err.Error()
	}
	return strings.ToValidUTF8(result, "\ufffd")
}
