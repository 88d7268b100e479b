// What Prometheus makes of regular expressions: lines of JSON, one for each of many expressions.
//
//	goregex -seed N -count N [-known FILE]
//
// The first line has the texts that every expression is tried on. Then come the expressions of the file, one a line, and as
// many made of the seed: from the grammar, and from those by small changes, of which many are refused.
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"strings"

	"github.com/grafana/regexp/syntax"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/relabel"
)

// What a pattern is and does. A verdict has one digit for each text, or an exclamation mark and the error.
type verdict struct {
	Pattern string `json:"pattern"`
	// As a matcher.
	Matcher string `json:"matcher"`
	// In a relabelling rule; absent when it is the same.
	Relabel string `json:"relabel,omitempty"`
	// Texts made for this pattern, whose digits follow those of the texts for all.
	Own []string `json:"own,omitempty"`
	// Templates, the text (its index) and what comes of it.
	Expanded []expanded `json:"expanded,omitempty"`
}

type expanded struct {
	Template string `json:"template"`
	Text     int    `json:"text"`
	Result   string `json:"result"`
}

var texts = []string{
	"", "a", "b", "c", "A", "K", "k", "\u212a", "s", "S", "\u017f", "é", "É", "e\u0301", "日本", "ÿ", "Δ", "δ", "ς", "σ",
	"0", "1", "9", "42", "٣", "_", "-", ".", "a-b", "a_b", "a.b", "a b", " ", "\t", "\n", "\v", "\r\n", "a\nb", "\x00",
	"aa", "aaa", "aaaa", "ab", "aab", "abb", "abab", "ba", "abc", "ABC", "aBc", "a+b", "a*b", "a|b", "(a)", "[a]", "{a}",
	"a{2}", "a{,2}", "a\\b", "^a", "a$", "&&", "~", "a~b", "a&b", "]", "[", "\\", "/", "a/b", ":", "a:b", "x=y", "\"", "'",
	"foo", "foobar", "xfoo", "foo\n", "\nfoo", "bar", "barfoo", "fo", "http_requests_total", "node-1", "node-12", "pod-a-1",
	"10.0.0.1:9090", "prod-eu", "PROD", "kube-system", "\U0001F600", "\U0001F600a", "\ufffd", "\u2028", "\u00a0", "Ω", "ⅷ",
	"\x7f", "z",
}

var templates = []string{
	"$1", "${1}", "$0", "$2", "$10", "$01", "$1x", "${1}x", "$$1", "$$$1", "$", "a$", "${", "${}", "${1", "$ 1", "$n", "${n}",
	"$m-$n", "${1}-${2}", "x", "$é", "$-", "${1 }", "$9", "$1$1", "$_", "é$1", "$n1", "$999999999999",
}

func main() {
	seed := flag.Uint64("seed", 1, "of the random expressions")
	count := flag.Int("count", 1000, "how many of them")
	known := flag.String("known", "", "a file of expressions")
	flag.Parse()
	out := bufio.NewWriter(os.Stdout)
	lines := json.NewEncoder(out)
	lines.SetEscapeHTML(false)
	try := func(error error) {
		if error != nil {
			fmt.Fprintln(os.Stderr, error)
			os.Exit(1)
		}
	}
	try(lines.Encode(texts))
	maker := newMaker(*seed)
	if *known != "" {
		text, err := os.ReadFile(*known)
		try(err)
		for line := range strings.Lines(string(text)) {
			var pattern string
			try(json.Unmarshal([]byte(line), &pattern))
			try(lines.Encode(judge(pattern, maker)))
		}
	}
	for range *count {
		try(lines.Encode(judge(maker.pattern(), maker)))
	}
	try(out.Flush())
}

func judge(pattern string, maker *maker) verdict {
	own := []string{}
	if tree, err := syntax.Parse(pattern, syntax.Perl|syntax.DotNL); err == nil {
		own = maker.texts(tree)
	}
	all := append(append([]string{}, texts...), own...)
	result := verdict{Pattern: pattern, Own: own}
	result.Matcher = asMatcher(pattern, all)
	regex, err := relabel.NewRegexp(pattern)
	if err != nil {
		result.Relabel = "!" + err.Error()
		return result
	}
	if digits := asDigits(all, regex.MatchString); digits != result.Matcher {
		result.Relabel = digits
	}
	for i, text := range all {
		indexes := regex.FindStringSubmatchIndex(text)
		if indexes == nil || len(result.Expanded) == 3 {
			continue
		}
		template := templates[maker.random.IntN(len(templates))]
		filled := string(regex.ExpandString(nil, template, text, indexes))
		result.Expanded = append(result.Expanded, expanded{Template: template, Text: i, Result: filled})
	}
	return result
}

func asMatcher(pattern string, texts []string) string {
	matcher, err := labels.NewMatcher(labels.MatchRegexp, "l", pattern)
	if err != nil {
		return "!" + err.Error()
	}
	return asDigits(texts, matcher.Matches)
}

func asDigits(texts []string, matches func(string) bool) string {
	digits := make([]byte, len(texts))
	for i, text := range texts {
		digits[i] = '0'
		if matches(text) {
			digits[i] = '1'
		}
	}
	return string(digits)
}
