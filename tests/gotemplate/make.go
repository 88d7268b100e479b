package main

import (
	"math/rand/v2"
	"strings"
)

// Makes templates.
type maker struct {
	random *rand.Rand
}

func newMaker(seed uint64) *maker {
	return &maker{random: rand.New(rand.NewPCG(seed, 0))}
}

func (m *maker) of(choices ...string) string {
	return choices[m.random.IntN(len(choices))]
}

// What chance does not find often enough.
var fixed = []string{
	"", "plain", "{{", "{{}}", "{{ }}", "}}", "{{/* c */}}", "{{- /* c */ -}} x", "{{/* c */ }}", "{{/* c", "a {{- 1 -}} b", "a {{- \n1\n -}} b", "{{-1}}",
	"{{end}}", "{{else}}", "{{if}}x{{end}}", "{{if 1}}", "{{if 1}}a{{else}}b{{else}}c{{end}}", "{{if 0}}a{{else if 1}}b{{else if 2}}c{{else}}d{{end}}",
	"{{with 0}}a{{else with 5}}{{.}}{{else}}d{{end}}", "{{break}}", "{{continue}}", "{{range 3}}{{if eq . 1}}{{continue}}{{end}}{{.}}{{end}}",
	"{{range 5}}{{if eq . 2}}{{break}}{{end}}{{.}}{{end}}", "{{range 3}}{{range 0}}{{else}}{{break}}{{end}}{{.}}{{end}}",
	"{{range 3}}{{range 0}}{{else}}{{continue}}{{end}}{{.}}{{end}}", "{{range $i, $x := query \"x\"}}{{$i}}={{$x.Value}} {{end}}",
	"{{range $x := query \"x\"}}{{$x.Labels.host}}{{end}}", "{{range $k, $v := $labels}}{{$k}}={{$v}},{{end}}", "{{range $i, $x := 3}}{{end}}",
	"{{range 1.5}}{{end}}", "{{range \"ab\"}}{{end}}", "{{range nil}}{{end}}", "{{range $labels.nope}}{{end}}", "{{$x := 1}}{{range 3}}{{$x = .}}{{end}}{{$x}}",
	"{{$x := 1}}{{if 1}}{{$x := 2}}{{$x}}{{end}}{{$x}}", "{{$y}}", "{{$x := }}", "{{$x, $y := 1}}", "{{range $x, 1}}{{end}}", "{{range $a, $b, $c := 1}}{{end}}",
	"{{define \"x\"}}[{{.}}]{{end}}{{template \"x\" 1}}{{template \"x\"}}", "{{template \"nope\"}}", "{{template \"nope\" 1 | print}}", "{{block \"b\" $value}}<{{.}}>{{end}}",
	"{{define \"x\"}}{{$labels.job}}{{end}}", "{{define \"x\"}}1{{end}}{{define \"x\"}}2{{end}}", "{{define \"x\"}} {{end}}{{define \"x\"}}2{{end}}{{template \"x\"}}",
	"{{define \"x\"}}{{else}}{{end}}", "{{define x}}{{end}}", "{{if 1}}{{define \"x\"}}{{end}}{{end}}", "{{define \"x\"}}{{first nil}}{{end}}{{template \"x\"}}",
	"{{template \"x\" 1}}{{define \"x\"}}{{. | nope}}{{end}}", "{{nope}}", "{{1 | 2}}", "{{print 1 | .}}", "{{1 2}}", "{{nil}}", "{{nil | print}}", "{{print nil}}", "{{(nil).x}}", "{{nil.x}}",
	"{{1.x}}", "{{\"a\".b}}", "{{true.x}}", "{{.x.y}}", "{{.}}", "{{$}}", "{{$.Labels.job}}", "{{.Labels.job}}", "{{.Labels.job 1}}", "{{1 | .Labels.job}}", "{{.Value 1}}", "{{.Value.x}}", "{{$value.x}}",
	"{{$labels.job.x}}", "{{(print 1)}}", "{{(1) 2}}", "{{((1))}}", "{{()}}", "{{(1}}", "{{1)}}", "{{(1 | print).x}}", "{{print (1) (2 | print)}}", "{{print.x}}", "{{now.x}}", "{{(args 1).arg0}}",
	"{{(args 1).arg1}}", "{{(args 1).arg1.x}}", "{{(args (args 1)).arg0.arg0}}", "{{args 1 \"b\" nil}}", "{{index (args 1) \"arg0\"}}", "{{index (args 1) \"x\"}}", "{{index (args 1) 1}}", "{{print (index (args 1) \"x\")}}",
	"{{index $labels \"job\"}}", "{{index $labels \"x\"}}", "{{index $labels 1}}", "{{index (query \"x\") 1 | value}}", "{{index (query \"x\") 3}}", "{{index (query \"x\") 4}}", "{{index (query \"x\") -1}}", "{{index nil 1}}", "{{index \"abc\" 1}}",
	"{{index \"abc\" 3}}", "{{index 1 1}}", "{{slice \"abc\" 1}}", "{{slice \"abc\" 1 2}}", "{{slice \"abc\" 2 1}}", "{{slice \"abc\" 1 2 3}}", "{{slice \"abc\" 1 9}}", "{{slice 1}}", "{{slice nil}}", "{{len (slice (query \"x\") 1)}}",
	"{{len (slice (slice (query \"x\") 0 1) 0 3)}}", "{{len (slice (slice (query \"x\") 0 1 1) 0 3)}}", "{{slice \"abc\" 1.5}}", "{{slice \"abc\" 0 1 2 3}}",
	"{{len nil}}", "{{len 1}}", "{{len \"é\"}}", "{{len $labels}}", "{{len (query \"none\")}}", "{{len (first (query \"x\"))}}", "{{len}}", "{{len 1 2}}", "{{not 1}}{{not 0}}{{not nil}}{{not \"\"}}{{not $labels}}",
	"{{and 1 0 (nope)}}", "{{and 1 0 (first (query \"none\"))}}", "{{or 0 \"\" \"x\"}}", "{{or}}", "{{1 | and 0}}", "{{1 | and}}", "{{and nil}}", "{{or nil 0}}", "{{call 1}}", "{{call nil}}", "{{call print 1}}", "{{1 | call}}", "{{call $labels 1}}", "{{call}}",
	"{{eq 1}}", "{{eq 1 1.0}}", "{{eq 1 2 1}}", "{{eq \"a\" \"b\"}}", "{{eq $labels $labels}}", "{{eq nil nil}}", "{{eq 1 nil}}", "{{eq $labels nil}}", "{{eq $labels 1}}", "{{eq true true}}", "{{eq (index \"a\" 0) 97}}", "{{lt (index \"a\" 0) 98}}",
	"{{lt true false}}", "{{lt 1 \"a\"}}", "{{lt nil 1}}", "{{lt $labels 1}}", "{{lt 1 2 3}}", "{{gt 2 1}}{{ge 1 1}}{{le 2 1}}{{lt 1.5 2.5}}{{ne 1 2}}", "{{gt \"b\" \"a\"}}", "{{$value | lt 1000.0}}", "{{gt $value 1000}}", "{{eq $value 1234.5678}}", "{{ne $labels.job \"node\"}}",
	"{{$q := query \"x\"}}{{$s := sortByLabel \"host\" $q}}{{range $q}}{{.Labels.host}}{{end}}", "{{range query \"x\" | sortByLabel \"host\"}}{{.Labels.host}}:{{.Value}} {{end}}", "{{query \"fails\"}}", "{{query \"none\" | first}}", "{{query \"none\"}}", "{{query 1}}", "{{query}}",
	"{{query nil}}", "{{query $value}}", "{{query $labels.job | len}}", "{{first nil}}", "{{first 1}}", "{{value nil}}", "{{label \"x\" nil}}", "{{label \"host\" (query \"x\" | first)}}", "{{query \"x\" | first | label 1}}", "{{strvalue (index (query \"x\") 2)}}", "{{strvalue nil}}", "{{sortByLabel \"x\" nil}}",
	"{{first (query \"x\")}}", "{{printf \"%v\" (first (query \"x\"))}}", "{{printf \"%+v\" (first (query \"x\"))}}", "{{(first (query \"x\")).Value}}", "{{(first (query \"x\")).nope}}", "{{(query \"x\").nope}}", "{{(first (query \"x\")).Value.x}}", "{{(first (query \"x\")).Labels.host 1}}",
	"{{reReplaceAll \"(\" \"x\" \"y\"}}", "{{reReplaceAll \"`(\" \"x\" \"y\"}}", "{{match \"(\" \"x\"}}", "{{reReplaceAll \"a*\" \"-\" \"baac\"}}", "{{reReplaceAll \"(.*):(.*)\" \"$2:$1\" $labels.instance}}", "{{reReplaceAll \"(?P<x>n)\" \"${x}$x \" \"nan\"}}", "{{match \"n.de\" $labels.job}}", "{{reReplaceAll \".\" \"x\" \"a\\nb\"}}",
	"{{safeHtml \"<b>\"}}", "{{safeHtml \"<b>\" | toUpper}}", "{{len (safeHtml \"<b>\")}}", "{{eq (safeHtml \"a\") \"a\"}}", "{{humanize (safeHtml \"1\")}}", "{{html $labels.severity}}", "{{js $labels.severity}}", "{{urlquery $labels.severity 1 2}}", "{{html nil 1}}", "{{js \"\\x00é\\u2028=\"}}", "{{html}}", "{{print}}", "{{println 1 \"a\" nil}}", "{{print 1 2 \"a\" 3 nil 4}}",
	"{{title \"aa bb.cc dd-ee ff_gg hh:ii jj's 1st éa ßa x1y\"}}", "{{toUpper \"straße ŉ ǆ é\"}}", "{{toLower \"ÀİΣ\"}}", "{{title \"\"}}", "{{title \"HELLO wORLD\"}}", "{{graphLink \"up{a=\\\"b\\\"} + 1\"}}", "{{tableLink $labels.severity}}", "{{urlQueryEscape \"a b/c~é\"}}", "{{pathPrefix}} {{externalURL}} {{$externalURL}} {{$externalLabels.region}} {{$externalLabels}}",
	"{{now}}", "{{now | toTime}}", "{{(now | toTime).Format \"2006-01-02T15:04:05.000Z07:00 Jan January Mon Monday _2 002 __2 3 03 PM pm MST -0700 -07 .999 ,00 06 1 2 4 5 _2006\"}}", "{{(now | toTime).Month}} {{(now | toTime).Weekday}} {{(now | toTime).Year}} {{(now | toTime).YearDay}} {{(now | toTime).Unix}}",
	"{{(now | toTime).Add (toDuration 3600)}}", "{{(now | toTime).AddDate 0 1 -40}}", "{{((now | toTime).Sub (toTime 0)).Hours}}", "{{(now | toTime).Sub (toTime 0)}}", "{{humanizeDuration ((now | toTime).Sub (toTime 0))}}", "{{(toTime 1).Before (toTime 2)}}", "{{(toTime 1).After 2}}", "{{(toTime 1).nope}}", "{{(toTime 1).Format}}", "{{(toTime 1).Format 1}}", "{{(toTime 1).Add 5}}", "{{(toTime 1).Add 1.5}}", "{{(toTime 1).Equal nil}}",
	"{{(now | toTime).Truncate (toDuration 3600)}}", "{{(now | toTime).Round (toDuration 86400)}}", "{{(toDuration 5400.5).Round (toDuration 60)}}", "{{(toDuration 90).Minutes}}", "{{toDuration 0.0000015}}", "{{toDuration -5400.25}}", "{{printf \"%s|%v|%d\" ((toTime 5).Sub (toTime 2)) ((toTime 5).Sub (toTime 2)) ((toTime 5).Sub (toTime 2))}}", "{{printf \"%f\" ((toTime 5).Sub (toTime 2))}}",
	"{{printf \"%d %s %v\" (toTime 0).Month (toTime 0).Month (toTime 0).Month}}", "{{toTime \"x\"}}", "{{toTime nil}}", "{{toTime $labels}}", "{{toTime 1e300}}", "{{(toTime 1e9).String}}", "{{if (toTime 0)}}x{{end}}", "{{range (toTime 0).Month}}{{.}}{{end}}", "{{eq (toTime 0).Month 1}}",
	"{{parseDuration \"1h\"}} {{parseDuration \"-90s\"}} {{parseDuration \"1d12h\"}}", "{{parseDuration \"x\"}}", "{{parseDuration \"\"}}", "{{parseDuration \"-\"}}", "{{parseDuration \"5y1hs\"}}", "{{parseDuration \"1\"}}", "{{parseDuration \"300y\"}}", "{{parseDuration 1}}",
	"{{stripPort $labels.instance}} {{stripDomain $labels.instance}}", "{{stripPort \"[::1]:80\"}} {{stripPort \"::1\"}} {{stripPort \"a:b:c\"}} {{stripPort \"[a]b:1\"}} {{stripPort \":80\"}} {{stripPort \"a:\"}}", "{{stripDomain \"[::1]:80\"}} {{stripDomain \"fe80::1%eth0\"}} {{stripDomain \"1.2.3.4:5\"}} {{stripDomain \"a.b:\"}} {{stripDomain \"a.b:c:d\"}} {{stripDomain \"1.2.3\"}}",
	"{{\"unterminated", "{{`raw\\n`}}", "{{'a'}} {{'\\n'}} {{'ab'}}", "{{'a}}", "{{\"\\q\"}}", "{{\"\\x41\\u00e9\\101\"}}", "{{089}}", "{{0x1F}} {{0b11}} {{017}} {{1_000}} {{0x1p4}} {{1e3}} {{.5}} {{+5}} {{-0}}", "{{99999999999999999999}}", "{{18446744073709551615}}", "{{1a}}", "{{1e}}", "{{@}}", "{{é}}", "{{ \u00a0 }}", "{{a.b}}", "{{$x+1}}", "{{.a+}}", "{{a\"b\"}}", "{{1,2}}", "{{:}}", "{{= 1}}", "{{! }}",
	"{{\n\n1 2}}", "a\nb{{\n$nope}}", "{{if 1}}\n\n{{printf}}\n{{end}}", "x\ny {{ first nil }}", "{{with $x := 5}}{{$x}}{{.}}{{end}}", "{{with $labels}}{{.job}}{{$.Value}}{{end}}", "{{if $x := $labels.job}}{{$x}}{{end}}",
	"{{range $i, $c := args 3 2 1}}{{$i}}{{$c}}{{end}}", "{{$m := args 1 2}}{{range $m}}{{.}}{{end}}", "{{range query \"x\"}}{{with .Labels}}{{.host}}{{end}}{{else}}none{{end}}", "{{range query \"none\"}}x{{else}}none{{end}}",
	"{{printf \"%s\" nil}} {{printf \"%d\" nil}} {{printf \"%v\" nil}}", "{{printf 1}}", "{{printf}}", "{{printf \"%d\"}}", "{{printf \"x\" 1 \"a\" nil}}", "{{printf \"%[2]d %[1]d\" 1 2}}", "{{printf \"%[3]d\" 1}}", "{{printf \"%[x]d\" 1}}", "{{printf \"%[1]d %d\" 1}}", "{{printf \"%*d|%-*d\" 5 1 5 2}}", "{{printf \"%.*f\" 2 1.239}}", "{{printf \"%*d\" \"a\" 1}}", "{{printf \"%.*f\" -1 1.5}}",
	"{{printf \"%!\" 1}}", "{{printf \"%\"}}", "{{printf \"%z\" 1}}", "{{printf \"%d%%\" 5}}", "{{printf \"%T %T %T %T\" 1 1.5 \"a\" $labels}}", "{{printf \"%T\" (query \"x\")}}", "{{printf \"%v %+v %#v\" $labels $labels $labels}}", "{{printf \"%q\" $labels}}", "{{printf \"%s\" (args 1 \"a\")}}", "{{printf \"%#v\" (args 1 \"a\" 2.5 nil true)}}", "{{printf \"%x %X %# x\" \"aé\" \"aé\" \"aé\"}}", "{{printf \"%5t|%-7t|%q\" true false true}}", "{{printf \"%c %q %U %#U\" 97 97 97 233}}", "{{printf \"%+q\" \"é\"}}", "{{printf \"%#q\" \"a`b\"}}", "{{printf \"%#q\" \"ab\"}}", "{{printf \"%.2s|%5.1s|%-5s|%05s\" \"éab\" \"éab\" \"a\" \"a\"}}", "{{printf \"%w\" 1}}", "{{printf \"%v\" .}}", "{{printf \"%+v\" .}}", "{{printf \"%s\" 1.5}}", "{{printf \"%d\" \"a\"}}", "{{printf \"%t\" 1}}", "{{$value | printf \"%.2f\"}}", "{{printf \"%0.1f%%\" $value}}", "{{printf \"%s\" $value}}", "{{printf \"%d\" $value}}",
}

// Texts, some of which are formats or numbers.
func (m *maker) text() string {
	return m.of(`"a"`, `""`, `"1"`, `"1.5"`, `"abc"`, `"é"`, `"x"`, `"none"`, `"fails"`, `"1h"`, `"host"`, `"job"`, "`raw`", `"a.b:1"`, `"%v"`, `"1e3"`, `"-2"`, `"arg0"`, `$labels.instance`, `$labels.job`, `$labels.nope`, `.Labels.severity`, `$externalURL`)
}

var numbers = []string{
	"0", "1", "-1", "2", "7", "60", "-60", "3600", "86400", "1000", "1024", "999", "1000000", "123456789", "0.0", "1.0", "0.5", "-0.5", "1.5", "2.5", "0.1", "1e3", "1e-3", "1e6", "1e-7", "1e21", "-1e21", "1e100", "5e-324", "1.7976931348623157e308",
	"123456.789", "0.000123456", "999.96", "999949999.0", "1048576", "1073741824.0", "1353755652.123", "9007199254740993", "0x10", "1_000", "'a'", "12.345", "1.2345", "899.99", "90000", "-183845", "0.12345", "99.995", "0.99996", "1023.9", "9223372036854775807",
}

func (m *maker) number() string {
	if m.random.IntN(4) == 0 {
		return m.of("$value", ".Value", "now", `(query "x" | first | value)`, `(parseDuration "1h")`, `(len "abc")`)
	}
	return numbers[m.random.IntN(len(numbers))]
}

// The verbs and flags of printf.
func (m *maker) format() string {
	var text strings.Builder
	for range 1 + m.random.IntN(2) {
		text.WriteString(m.of("", "a", " ", "é"))
		text.WriteString("%")
		for range m.random.IntN(3) {
			text.WriteString(m.of("", "+", "-", "#", "0", " "))
		}
		text.WriteString(m.of("", "", "", "1", "5", "12", "*", "[1]", "[2]"))
		text.WriteString(m.of("", "", "", ".", ".0", ".1", ".2", ".3", ".7", ".*", ".20"))
		text.WriteString(m.of("v", "v", "d", "s", "f", "g", "e", "q", "x", "X", "t", "c", "U", "o", "O", "b", "E", "G", "F", "%", "T", "z"))
	}
	return `"` + text.String() + `"`
}

func (m *maker) value(depth int) string {
	if depth > 2 {
		return m.of(m.number(), m.text(), "true", "nil", ".", "$labels", "$")
	}
	switch m.random.IntN(14) {
	case 0, 1, 2:
		return m.number()
	case 3, 4:
		return m.text()
	case 5:
		return m.of("true", "false", "nil", ".", "$labels", "$", "$externalLabels", "$x", "$nope")
	case 6:
		return m.of(`(query "x")`, `(query "none")`, `(query "x" | first)`, `(query "x" | sortByLabel "host")`, `(args 1 "a")`, `(args $labels)`, `(toTime 1e9).Year`, `((toTime 10).Sub (toTime 3.5))`, `(toTime 1e9).Month`, `(safeHtml "<a>")`, `(args 1).arg0`, `$labels.job`, `(index "abc" 1)`)
	default:
		return "(" + m.pipeline(depth+1) + ")"
	}
}

func (m *maker) command(depth int) string {
	v := func() string { return m.value(depth + 1) }
	switch m.random.IntN(20) {
	case 0, 1, 2, 3:
		return m.of("humanize", "humanize1024", "humanizeDuration", "humanizePercentage", "humanizeTimestamp") + " " + m.of(m.number(), m.number(), m.number(), v())
	case 4, 5, 6:
		text := "printf " + m.format()
		for range m.random.IntN(4) {
			text += " " + v()
		}
		return text
	case 7, 8, 9:
		return m.of("eq", "ne", "lt", "le", "gt", "ge") + " " + m.of(m.number()+" "+m.number(), v()+" "+v())
	case 10:
		return m.of("and", "or", "not", "len", "html", "js", "urlquery", "print", "println") + " " + v()
	case 11:
		return m.of("and", "or", "index", "slice", "print", "println", "eq") + " " + v() + " " + v() + " " + v()
	case 12:
		return m.of("toUpper", "toLower", "title", "stripPort", "stripDomain", "urlQueryEscape", "graphLink", "parseDuration", "safeHtml", "query", "tableLink") + " " + m.of(m.text(), m.text(), v())
	case 13:
		return m.of("reReplaceAll", "reReplaceAll", "match") + ` "` + m.of("a", "(a|b)", "[0-9]+", "a*", "(", "^x") + `" ` + m.of(m.text(), v()) + " " + m.of("", m.text())
	case 14:
		return m.of("first", "value", "strvalue", "toDuration", "toTime", "call", "now", "pathPrefix") + " " + m.of("", v())
	case 15:
		return m.of("label", "sortByLabel", "index") + " " + m.of(m.text(), v()) + " " + v()
	default:
		return v()
	}
}

func (m *maker) pipeline(depth int) string {
	text := m.command(depth)
	for m.random.IntN(4) == 0 {
		text += " | " + m.of("humanize", "print", "len", "not", "toUpper", "html", "printf "+m.format(), "eq "+m.number(), "first", "value", "humanizeDuration", "toTime", "index $labels", m.command(depth))
	}
	return text
}

func (m *maker) action(text string) string {
	return m.of("{{", "{{ ", "{{- ") + text + m.of("}}", " }}", " -}}")
}

func (m *maker) list(depth int) string {
	var text strings.Builder
	for range 1 + m.random.IntN(2) {
		text.WriteString(m.of("", "a", " b ", "\n", " \n\t", "é "))
		switch n := m.random.IntN(12); {
		case n < 6 || depth > 2:
			text.WriteString(m.action(m.pipeline(0)))
		case n == 6:
			text.WriteString(m.action("/* c */"))
		case n == 7:
			text.WriteString(m.action(m.of("$x := ", "$x = ", "$labels := ") + m.pipeline(0)))
		default:
			head := m.of("if", "if", "with", "range", "range $x :=", "range $i, $x :=", "with $x :=", "if $x :=") + " "
			over := m.of(`query "x"`, `query "none"`, "$labels", "args 1 2", "3", "1.5", "nil", "$labels.job", "index $labels 1")
			// Ranges over large numbers do not end.
			if !strings.HasPrefix(head, "range") {
				over = m.of(over, m.pipeline(0), m.value(1))
			}
			text.WriteString(m.action(head + over))
			text.WriteString(m.list(depth + 1))
			text.WriteString(m.of("", "{{break}}", "{{.}}", "{{continue}}", "{{$x}}", "{{.Labels.host}}"))
			if m.random.IntN(3) == 0 {
				text.WriteString(m.action("else") + m.list(depth+1))
			}
			text.WriteString(m.action("end"))
		}
		text.WriteString(m.of("", "c", " ", "\n"))
	}
	return text.String()
}

func (m *maker) template() string {
	text := m.of("", `{{$x := 1}}`, `{{$x := 1}}`, `{{$x := "s"}}`) + m.list(0)
	if m.random.IntN(6) == 0 {
		text = m.action(m.of("define \"d\"", "block \"d\" "+m.value(1))) + m.list(1) + m.action("end") + text + m.action("template \"d\" "+m.of("", m.value(1)))
	}
	// Some are broken, but for those that would then have to count to a large number.
	if m.random.IntN(12) == 0 && !strings.Contains(text, "range") {
		at := m.random.IntN(len(text) + 1)
		text = text[:at] + m.of("", "}}", "{{", "|", ")", "(", "\"", "$", ".", "-") + text[min(len(text), at+m.random.IntN(3)):]
	}
	return strings.ToValidUTF8(text, "?")
}
