package domain

// A YAML document as a tree of places, each of which knows its line and key, and the mistakes found in it. It owns how
// strictly YAML is read; what a catalogue may say is in catalogue_parse.go.

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

// A reading is one pass over one document: what is named in it, and what is wrong with it.
type reading struct {
	mistakes []mistake
	more     int // mistakes beyond maxMistakes

	kinds, roles, relations, grants, types vocabulary // names declared, for the references to them
}

// A vocabulary is the names that a section declares.
type vocabulary struct {
	has    map[string]bool
	sorted []string // the well-formed ones, to choose from
}

func vocabularyOf(has map[string]bool) vocabulary {
	v := vocabulary{has: has}
	for name := range has {
		if validName(name) {
			v.sorted = append(v.sorted, name)
		}
	}
	slices.Sort(v.sorted)
	return v
}

type mistake struct {
	line int // 0: of the document as a whole
	text string
}

func (r *reading) wrong(line int, text string) {
	if len(r.mistakes) == maxMistakes {
		r.more++
		return
	}
	text = strings.Map(func(c rune) rune { // a quoted name may have line breaks in it, and a mistake is one line
		if unicode.IsControl(c) {
			return ' '
		}
		return c
	}, text)
	if len(text) > maxMistake {
		text = strings.ToValidUTF8(text[:maxMistake-3], "") + "..."
	}
	r.mistakes = append(r.mistakes, mistake{line, text})
}

func (r *reading) err() error {
	slices.SortStableFunc(r.mistakes, func(a, b mistake) int { return a.line - b.line })
	lines := make([]string, 0, len(r.mistakes)+1)
	for _, m := range r.mistakes {
		if m.line > 0 {
			lines = append(lines, fmt.Sprintf("catalogue line %d: %s", m.line, m.text))
		} else {
			lines = append(lines, "catalogue: "+m.text)
		}
	}
	if r.more > 0 {
		lines = append(lines, fmt.Sprintf("catalogue: and %d more mistakes", r.more))
	}
	return Errorf(RuleBroken, "bad_catalogue", "%s", strings.Join(lines, "\n"))
}

// load reads the YAML into one tree without anchors, aliases, merge keys or tags. They are refused and not followed: an
// alias can make a small document unfold without bound, and an auditor should read what holds where it stands.
func (r *reading) load(document []byte) (place, bool) {
	if len(document) > MaxDocument {
		r.wrong(0, fmt.Sprintf("the document has %d bytes; at most %d are allowed", len(document), MaxDocument))
		return place{}, false
	}
	if at := unreadable(document); at >= 0 { // the document is kept as a JSON string: only UTF-8 survives that
		r.wrong(1+bytes.Count(document[:at], []byte("\n")), "a byte that is no UTF-8 text, or a control character; save it as plain UTF-8")
		return place{}, false
	}
	var doc, second yaml.Node
	loader, err := yaml.NewLoader(bytes.NewReader(document))
	if err == nil {
		err = loader.Load(&doc)
	}
	if err == io.EOF {
		r.wrong(1, "the document is empty; it begins with catalogue: and a name")
		return place{}, false
	}
	if err == nil {
		switch err = loader.Load(&second); err {
		case nil:
			r.wrong(second.Line, "a second document begins here; a catalogue is one document, without ---")
			return place{}, false
		case io.EOF:
			err = nil
		}
	}
	if err != nil {
		line, text := 0, err.Error()
		if at := (*yaml.LoadError)(nil); errors.As(err, &at) {
			line, text = at.Mark.Line, at.Message
		}
		r.wrong(line, "not YAML: "+clip(strings.ReplaceAll(text, "\n", " ")))
		return place{}, false
	}
	root := place{r: r, line: doc.Content[0].Line, node: doc.Content[0]}
	root.plain(0)
	return root, len(r.mistakes) == 0
}

// unreadable gives the place of the first byte that no catalogue may have, or -1.
func unreadable(document []byte) int {
	for at := 0; at < len(document); {
		c, size := utf8.DecodeRune(document[at:])
		if c == utf8.RuneError && size == 1 || unicode.IsControl(c) && c != '\n' && c != '\r' && c != '\t' {
			return at
		}
		at += size
	}
	return -1
}

// A place is a value in the document, with what a mistake in it has to name. The zero place is of a key not given.
type place struct {
	r    *reading
	path string // e.g. permits[3].role
	key  string // the last part of path, where the value has a key
	line int    // of the key where it has one, else of the value
	node *yaml.Node
}

func (p place) given() bool { return p.node != nil }

func (p place) wrong(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if p.path != "" {
		text = p.path + ": " + text
	}
	p.r.wrong(p.line, text)
}

// plain refuses what load's comment says, all the way down.
func (p place) plain(depth int) {
	n := p.node
	switch {
	case depth == maxDepth && len(n.Content) > 0:
		p.wrong("nothing in a catalogue is nested so deep")
		return
	case n.Kind == yaml.AliasNode:
		p.wrong("*%s is an alias; write the value out", clip(n.Value))
	case n.Anchor != "":
		p.wrong("&%s is an anchor; catalogues have none", clip(n.Anchor))
	case n.Style&yaml.TaggedStyle != 0 || !strings.HasPrefix(n.Tag, "!!"): // a lone ! is not marked as a tag
		p.wrong("the tag %s; catalogues have none", clip(strconv.Quote(n.Tag)))
	}
	switch n.Kind {
	case yaml.SequenceNode:
		for i := range n.Content {
			p.item(i).plain(depth + 1)
		}
	case yaml.MappingNode:
		for i := 0; i < len(n.Content); i += 2 {
			k, v := n.Content[i], p.value(i)
			if k.Kind == yaml.ScalarNode && k.Tag == "!!merge" {
				v.wrong("<< is a merge key; write the keys out")
			}
			place{r: p.r, path: v.path, line: k.Line, node: k}.plain(depth + 1)
			v.plain(depth + 1)
		}
	}
}

// item gives the i-th element of a list.
func (p place) item(i int) place {
	n := p.node.Content[i]
	return place{r: p.r, path: fmt.Sprintf("%s[%d]", p.path, i), line: n.Line, node: n}
}

// value gives the value whose key is the i-th node of a mapping.
func (p place) value(i int) place {
	k := p.node.Content[i]
	v := place{r: p.r, key: k.Value, path: k.Value, line: k.Line, node: p.node.Content[i+1]}
	if !validName(k.Value) {
		v.path = strconv.Quote(clip(k.Value))
	}
	if p.path != "" {
		v.path = p.path + "." + v.path
	}
	return v
}

// entries gives the values of a mapping in the order of the document; ok is false where it is no mapping. A key without
// a value ("platform:") has an empty one.
func (p place) entries() (all []place, ok bool) {
	n := p.node
	switch {
	case !p.given() || n.Kind == yaml.ScalarNode && n.Tag == "!!null":
		return nil, true
	case n.Kind != yaml.MappingNode:
		p.wrong("want keys with values, got %s", nodeShape(n))
		return nil, false
	}
	first := make(map[string]int, len(n.Content)/2)
	for i := 0; i < len(n.Content); i += 2 {
		v := p.value(i)
		if k := n.Content[i]; k.Kind != yaml.ScalarNode || k.Tag != "!!str" {
			v.wrong("want a name for a key, got %s", nodeShape(k))
			continue
		}
		if line, twice := first[v.key]; twice {
			v.wrong("this key was given before, on line %d", line)
			continue
		}
		first[v.key] = v.line
		all = append(all, v)
	}
	return all, true
}

// fields gives the values of a mapping that has only these keys; nil where it is no mapping.
func (p place) fields(keys ...string) map[string]place {
	all, ok := p.entries()
	if !ok {
		return nil
	}
	got := make(map[string]place, len(all))
	for _, v := range all {
		if !slices.Contains(keys, v.key) {
			v.wrong("unknown key; %s", p.r.listNames("keys", v.key, slices.Sorted(slices.Values(keys))))
			continue
		}
		got[v.key] = v
	}
	return got
}

// need complains where a required key is missing; f is what fields gave.
func (p place) need(f map[string]place, keys ...string) {
	for _, k := range keys {
		if f != nil && !f[k].given() {
			p.wrong("%s is missing", k)
		}
	}
}

// list gives the elements of a list, or the one value that stands for a list of one.
func (p place) list() []place {
	if !p.given() {
		return nil
	}
	if p.node.Kind != yaml.SequenceNode {
		return []place{p}
	}
	if len(p.node.Content) == 0 {
		p.wrong("the list is empty; name at least one, or leave the key out")
	}
	all := make([]place, len(p.node.Content))
	for i := range all {
		all[i] = p.item(i)
	}
	return all
}

// word gives a text value.
func (p place) word() (string, bool) {
	if p.node.Kind != yaml.ScalarNode || p.node.Tag != "!!str" {
		p.wrong("want a name, got %s", nodeShape(p.node))
		return "", false
	}
	return p.node.Value, true
}

// flag gives true or false; false where the key is not given.
func (p place) flag() bool {
	if !p.given() {
		return false
	}
	if p.node.Kind != yaml.ScalarNode || p.node.Tag != "!!bool" {
		p.wrong("want true or false, got %s", nodeShape(p.node))
	}
	return strings.EqualFold(p.node.Value, "true")
}

// count gives a whole number from 1.
func (p place) count() int {
	if !p.given() {
		return 0
	}
	n, err := strconv.Atoi(p.node.Value)
	if p.node.Kind != yaml.ScalarNode || p.node.Tag != "!!int" || err != nil || n < 1 || n > maxCount {
		p.wrong("want a whole number from 1 to %d, got %s", maxCount, nodeShape(p.node))
	}
	return n
}

// duration gives a time span: what time.ParseDuration reads, or whole days ("7d").
func (p place) duration() time.Duration {
	if !p.given() {
		return 0
	}
	d, err := time.ParseDuration(p.node.Value)
	if days, ok := strings.CutSuffix(p.node.Value, "d"); ok {
		var n uint64
		n, err = strconv.ParseUint(days, 10, 16)
		d = time.Duration(n) * 24 * time.Hour
	}
	if p.node.Kind != yaml.ScalarNode || err != nil || d <= 0 || d > maxDuration {
		p.wrong("want a time like 90m, 8h or 7d, more than none and at most 3660d, got %s", nodeShape(p.node))
	}
	return d
}

// text gives a text by language; a plain one is English.
func (p place) text() Text {
	if !p.given() {
		return nil
	}
	if p.node.Kind == yaml.ScalarNode {
		return Text{"en": p.line1()}
	}
	t := Text{}
	all, _ := p.entries()
	for _, v := range all {
		if !validLanguage(v.key) {
			v.wrong("want a language code such as en or nl")
		}
		t[v.key] = v.line1()
	}
	return t
}

// line1 gives a text of one line for people.
func (p place) line1() string {
	if p.node.Kind != yaml.ScalarNode || p.node.Tag != "!!str" {
		p.wrong("want a text, got %s", nodeShape(p.node))
		return ""
	}
	s := strings.TrimSpace(p.node.Value) // a folded block ends with a line break
	if s == "" || len(s) > MaxText || !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl) {
		p.wrong("want a text of one line and at most %d bytes", MaxText)
	}
	return s
}

// validLanguage accepts the shape of a language code: "nl", "nl-BE".
func validLanguage(s string) bool {
	lang, region, _ := strings.Cut(s, "-")
	letters := func(s string) bool {
		return !strings.ContainsFunc(s, func(c rune) bool { return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') })
	}
	return len(lang) >= 2 && len(lang) <= 3 && lang == strings.ToLower(lang) && letters(lang) &&
		(region == "" && lang == s || len(region) >= 2 && len(region) <= 8 && letters(region))
}

// nodeShape says what a value is, for a mistake that wanted another.
func nodeShape(n *yaml.Node) string {
	switch {
	case n.Kind == yaml.MappingNode:
		return "keys with values"
	case n.Kind == yaml.SequenceNode:
		return "a list"
	case n.Tag == "!!null":
		return "nothing"
	case n.Tag == "!!str":
		return strconv.Quote(clip(n.Value))
	}
	return clip(n.Value)
}

// listNames says which names, given sorted, would have been right, the one meant first where it can be told. It says
// nothing once no more mistakes are reported, so that a document full of them costs no search for each.
func (r *reading) listNames(what, got string, names []string) string {
	if len(r.mistakes) == maxMistakes {
		return ""
	}
	if len(names) == 0 {
		return "there are no " + what
	}
	listed := names
	if len(listed) > maxListed {
		listed = append(slices.Clone(listed[:maxListed]), "…")
	}
	all := fmt.Sprintf("%s are %s", what, strings.Join(listed, ", "))
	if meant := nearestName(got, names); meant != "" {
		return fmt.Sprintf("did you mean %s? %s", meant, all)
	}
	return all
}

// nearestName gives the name that got is most likely a slip of, the more letters the more slips; "" where none is near.
func nearestName(got string, names []string) string {
	best, meant := min(3, (len(got)+1)/3)+1, ""
	if len(got) > MaxName || len(names) > 1000 { // a slip in a hostile document is not worth finding
		return ""
	}
	for _, name := range names {
		if d := EditDistance(got, name); d < best {
			best, meant = d, name
		}
	}
	return meant
}

// EditDistance is the number of bytes to insert, delete or replace to make b of a.
func EditDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replaced := diagonal
			if a[i] != b[j] {
				replaced++
			}
			diagonal = row[j+1]
			row[j+1] = min(replaced, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
