package main

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/grafana/regexp/syntax"
)

// Makes expressions and texts.
type maker struct {
	random *rand.Rand
	last   string
}

func newMaker(seed uint64) *maker {
	return &maker{random: rand.New(rand.NewPCG(seed, 0))}
}

func (m *maker) of(choices ...string) string {
	return choices[m.random.IntN(len(choices))]
}

// Of which expressions are changed.
const changes = `()[]{}|*+?^$.\-,:<>P=!abcAkKsSQEpLwdxnU0129&~_ é`

// An expression: of the grammar, or the last one with small changes.
func (m *maker) pattern() string {
	if m.last != "" && m.random.IntN(4) == 0 {
		return m.changed(m.last)
	}
	m.last = m.alternation(0)
	return m.last
}

func (m *maker) changed(pattern string) string {
	runes := []rune(pattern)
	pool := []rune(changes)
	for range 1 + m.random.IntN(3) {
		at := m.random.IntN(len(runes) + 1)
		end := min(len(runes), at+m.random.IntN(3))
		more := []rune{}
		for range m.random.IntN(3) {
			more = append(more, pool[m.random.IntN(len(pool))])
		}
		runes = append(append(append([]rune{}, runes[:at]...), more...), runes[end:]...)
	}
	return string(runes)
}

func (m *maker) alternation(depth int) string {
	branches := 1
	if m.random.IntN(4) == 0 {
		branches += m.random.IntN(4)
	}
	parts := make([]string, branches)
	for i := range parts {
		parts[i] = m.concatenation(depth)
	}
	return strings.Join(parts, "|")
}

func (m *maker) concatenation(depth int) string {
	var text strings.Builder
	for range m.random.IntN(5) {
		text.WriteString(m.atom(depth))
		if m.random.IntN(3) == 0 {
			text.WriteString(m.repetition())
		}
	}
	return text.String()
}

func (m *maker) repetition() string {
	operator := m.of("*", "+", "?", "{2}", "{0}", "{1,}", "{0,2}", "{,2}", "{1,3}", "{3}", "{2,}", m.of("{2,1}", "{", "{03}", "{40}", "{1000}", "{1001}"))
	return operator + m.of("", "", "", "", "", "", "?", "?", "+", "*")
}

func (m *maker) atom(depth int) string {
	switch n := m.random.IntN(20); {
	case n < 7:
		return m.of("a", "b", "c", "A", "k", "s", "x", "foo", "bar", "-", "_", " ", "é", "日", "1", "0", ":", "/", "~", "&", "]", "}", "ſ", "Δ", "-1")
	case n < 9:
		return m.of(".*", ".+", ".", "[0-9]+", ".*?")
	case n < 12:
		return m.escape()
	case n < 15:
		return m.class()
	case n < 17 && depth < 4:
		return m.of("(", "(?:", "(?P<n>", "(?<m>", "(?i:", "(?s:", "(?-s:", "(?U:", "(?m:", "(?i-s:", "(?P<n1>") + m.alternation(depth+1) + ")"
	case n < 18:
		return m.of("(?i)", "(?s)", "(?-s)", "(?m)", "(?U)", "(?-i)", "()", "(?)", "(?x)", "(?i-)", "(?P=n)", "(?=a)")
	default:
		return m.of("^", "$", "^", "$", "\\b", "\\A", "\\z")
	}
}

func (m *maker) escape() string {
	return m.of(`\d`, `\D`, `\w`, `\W`, `\s`, `\S`, `\b`, `\B`, `\A`, `\z`, `\.`, `\-`, `\_`, `\\`, `\/`, `\x41`, `\x{1F600}`,
		`\x{e9}`, `\101`, `\0`, `\1`, `\12`, `\n`, `\t`, `\v`, `\a`, `\e`, `\é`, `\Qa.b\E`, `\Q`, `\E`, `\C`, `\pL`,
		`\pN`, `\PL`, `\p{Lu}`, `\P{Lu}`, `\p{^Lu}`, `\P{^Ll}`, `\p{Greek}`, `\p{Han}`, `\p{Latin}`, `\p{Any}`, `\p{Nd}`, `\p{greek}`,
		`\p{Letter}`, `\p{l_u}`, `\p{ascii}`, `\p{assigned}`, `\p{digit}`, `\p{Old_Italic}`, `\p{C}`, `\p{LC}`, `\pX`, `\p`, `\x`, `\x4`, `\x{}`, `\x{110000}`, `\Z`, `\G`, `\<`, `\>`, `\ `, `\"`)
}

func (m *maker) class() string {
	var text strings.Builder
	text.WriteString(m.of("[", "[", "[^", "[]", "[^]", "[-", "[[:alpha:]"))
	for range 1 + m.random.IntN(4) {
		text.WriteString(m.of("a", "b", "a-c", "0-9", "A-Z", "k", "s", "-", "--", "-z", ".", "_", "é", "é-ü", `\w`, `\W`, `\d`,
			`\D`, `\s`, `\S`, `\-`, `\]`, `\[`, `\.`, `\\`, `\n`, `\x41`, `\x{100}-\x{200}`, `\x{D7FF}-\x{E000}`, `\pL`, `\p{^L}`, `\P{Lu}`,
			`\p{Greek}`, "[:alpha:]", "[:^digit:]", "[:word:]", "[:foo:]", "[:", "[", "&&", "~", "^", "$", "*", "{", "(", ")", "|", "z-a",
			`\b`, `\Q`, `\101`, " ", "Δ-δ", "ſ", "[:space:]", "[:punct:]", "+-/"))
	}
	if m.random.IntN(20) > 0 {
		text.WriteString("]")
	}
	return text.String()
}

// Texts that the expression may match, and some that come close.
func (m *maker) texts(tree *syntax.Regexp) []string {
	found := []string{}
	for range 4 {
		text := m.text(tree, 0)
		// The tables of other languages are of other versions of Unicode.
		if len(text) > 200 || !utf8.ValidString(text) || strings.ContainsFunc(text, isUnassigned) {
			continue
		}
		found = append(found, text)
		if m.random.IntN(2) == 0 {
			if changed := m.changed(text); utf8.ValidString(changed) {
				found = append(found, changed)
			}
		}
	}
	return found
}

func isUnassigned(r rune) bool {
	return unicode.Is(unicode.Cn, r)
}

func (m *maker) text(tree *syntax.Regexp, depth int) string {
	times := func(least, most int) string {
		var text strings.Builder
		for range least + m.random.IntN(max(1, most-least+1)) {
			text.WriteString(m.text(tree.Sub[0], depth+1))
			if text.Len() > 200 {
				break
			}
		}
		return text.String()
	}
	switch tree.Op {
	case syntax.OpLiteral:
		var text strings.Builder
		for _, r := range tree.Rune {
			if tree.Flags&syntax.FoldCase != 0 && m.random.IntN(2) == 0 {
				r = unicode.SimpleFold(r)
			}
			text.WriteRune(r)
		}
		return text.String()
	case syntax.OpCharClass:
		if len(tree.Rune) == 0 {
			return ""
		}
		pair := 2 * m.random.IntN(len(tree.Rune)/2)
		low, high := tree.Rune[pair], tree.Rune[pair+1]
		// The ends of a range, or something in its beginning.
		r := []rune{low, high, low + m.random.Int32N(min(high-low+1, 90))}[m.random.IntN(3)]
		if !unicode.In(r, unicode.Categories["L"], unicode.Categories["N"], unicode.Categories["P"]) && r > 0x7f {
			r = low
		}
		return string(r)
	case syntax.OpAnyCharNotNL, syntax.OpAnyChar:
		return m.of("a", "é", "\n", "-", "Z", "7")
	case syntax.OpStar:
		return times(0, 3)
	case syntax.OpPlus:
		return times(1, 3)
	case syntax.OpQuest:
		return times(0, 1)
	case syntax.OpRepeat:
		if tree.Max < 0 {
			return times(tree.Min, tree.Min+2)
		}
		return times(tree.Min, tree.Max)
	case syntax.OpCapture:
		return m.text(tree.Sub[0], depth+1)
	case syntax.OpConcat:
		var text strings.Builder
		for _, part := range tree.Sub {
			fmt.Fprint(&text, m.text(part, depth+1))
		}
		return text.String()
	case syntax.OpAlternate:
		return m.text(tree.Sub[m.random.IntN(len(tree.Sub))], depth+1)
	default:
		return ""
	}
}
