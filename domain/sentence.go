package domain

// Decisions said to people, in the languages there are: why, what is lacking, the verdict, and in what other ways the
// catalogue would have allowed it. What is the same in each language is here, the words are in sentence_en.go and
// sentence_nl.go. Nothing is decided here, and nothing read but whose a resource is.

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Lang is a language to be answered in; "" is English.
type Lang string

// The languages.
const (
	English Lang = "en"
	Dutch   Lang = "nl"
)

// ParseLang reads a language's code.
func ParseLang(s string) (Lang, error) {
	if l := Lang(s); l == English || l == Dutch {
		return l, nil
	}
	return "", Errorf(Malformed, "unknown_lang", "language %q: want en (English) or nl (Dutch)", clip(s))
}

// A Teller says what was decided in one language. The zero Teller but for Show says it in English, by ids alone.
type Teller struct {
	Lang Lang
	// Catalogue gives the titles: the one in force at the moment. In Dutch everything is named by its title, with the id in
	// brackets; in English by its id, but in Sentence and Ways. nil where none was in force.
	Catalogue *Catalogue
	// Show writes times, in whatever zone it likes.
	Show func(Instant) string

	titled bool // English with titles
}

// tongue is what each language has of its own.
type tongue interface {
	// fact says a fact that stands, bars, ended or is to come.
	fact(t Teller, r Reason) string
	// lack says what is lacking.
	lack(t Teller, w Want) string
	// never is what a role that bars an individual permission has behind it.
	never() string
	// and stands between the sentences of one answer.
	and() string
	// verdict says the yes or no.
	verdict(t Teller, q Question, yes bool) string
	// plain says, of who meets the selectors, what no event could say.
	plain(q Question, s *Selectors) string
	// way says whom a permit line with these selectors, and these that take it away, is for on the resource.
	way(t Teller, s, unless Selectors, res thing) string
}

func (t Teller) tongue() tongue {
	if t.Lang == Dutch {
		return dutch{}
	}
	return english{}
}

// Why is a reason as a sentence without a full stop.
func (t Teller) Why(r Reason) string {
	if r.State == Missing || r.State == NoPermit {
		return t.tongue().lack(t, r.Want)
	}
	s := t.tongue().fact(t, r)
	if r.Want.Lack == LackNever {
		s += t.tongue().never()
	}
	return s
}

// Missing says what a no lacks, a sentence each; nothing for a yes.
func (t Teller) Missing(d Decision) []string {
	sentences := []string{}
	for _, r := range d.Basis {
		if !d.Allowed && r.State != Stands {
			sentences = append(sentences, t.Why(r))
		}
	}
	return sentences
}

// WhyNot is what a no lacks in one sentence; "" for a yes.
func (t Teller) WhyNot(d Decision) string { return strings.Join(t.Missing(d), t.tongue().and()) }

// Sentence is the whole answer in one: yes or no, who, what, and by what or for want of what.
func (t Teller) Sentence(q Question, d Decision) string {
	t.titled = true
	parts := t.Missing(d)
	if d.Allowed {
		if d.Permit != nil {
			if plain := t.tongue().plain(q, &d.Permit.Selectors); plain != "" {
				parts = append(parts, plain)
			}
		}
		for _, r := range d.Basis {
			if len(parts) == 0 || r.Fact != activeFact(q.Subject) { // an open account says nothing where more is said
				parts = append(parts, t.Why(r))
			}
		}
	}
	return t.tongue().verdict(t, q, d.Allowed) + ": " + strings.Join(parts, t.tongue().and()) + "."
}

// Ways says for a no in what other ways than the nearest the catalogue would allow it: whom each other permit line on the
// action is for. Lines that hold for nobody on this resource are left out. There are none where no line would help: the
// account is closed, locked or not there, the resource is not, or the permission is individually withheld.
func (ev *Evaluator) Ways(t Teller, q Question, d Decision) ([]string, error) {
	ways := []string{}
	if d.Allowed || ev.cat == nil || d.Permit == nil && !slices.ContainsFunc(d.Basis, func(r Reason) bool { return r.Want.Lack == LackNever }) {
		return ways, nil
	}
	res, _, err := ev.resource(q)
	if err != nil {
		return nil, err
	}
	t.titled = true
	for _, p := range ev.cat.Lines(q.Resource.Kind(), q.Action) {
		if p == d.Permit || !p.reaches(res) {
			continue
		}
		s, unless := p.Selectors, Selectors{}
		if s.Self {
			s.Kinds = nil // reaches has seen to it
		}
		if p.Unless != nil {
			unless = p.Unless.within(res)
		}
		if way := t.tongue().way(t, s, unless, res); !slices.Contains(ways, way) {
			ways = append(ways, way)
		}
	}
	return ways, nil
}

// reaches tells whether somebody could meet the selectors on the resource.
func (s *Selectors) reaches(res thing) bool {
	self := res.self()
	switch {
	case res.client == "" && len(s.Links)+len(s.Grants) > 0:
	case self == "" && (s.Self || s.Team):
	case s.Self && len(s.Kinds) > 0 && !slices.Contains(s.Kinds, self.Kind()):
	case s.Own && res.creator == "":
	default:
		return true
	}
	return false
}

// within gives those of the selectors, each for itself, that somebody could meet on the resource.
func (s Selectors) within(res thing) Selectors {
	if res.client == "" {
		s.Links, s.Grants = nil, nil
	}
	s.Self, s.Team, s.Own = s.Self && res.self() != "", s.Team && res.self() != "", s.Own && res.creator != ""
	return s
}

// self is the account that the resource is or belongs to; "" where there is none.
func (res thing) self() Account {
	if res.client == "" && res.account {
		return Account(res.Resource)
	}
	return res.client
}

// The names that a catalogue gives titles to.

func (t Teller) role(r Role) string         { return t.name(string(r), t.titles().Roles[r].Title) }
func (t Teller) relation(r Relation) string { return t.name(string(r), t.titles().Relations[r].Title) }
func (t Teller) profile(p Profile) string   { return t.name(string(p), t.titles().Grants[p].Title) }
func (t Teller) action(a Action) string     { return t.name(string(a), t.titles().ActionTitles[a]) }

func (t Teller) kind(k Kind) string {
	if rule, ok := t.titles().Kinds[k]; ok {
		return t.name(string(k), rule.Title)
	}
	return t.name(string(k), t.titles().Resources[k].Title)
}

var untitled Catalogue

func (t Teller) titles() *Catalogue {
	if t.Catalogue == nil || t.Lang != Dutch && !t.titled {
		return &untitled
	}
	return t.Catalogue
}

// name is "title (id)", or the id alone where there is no title in the language or it says no more than the id does.
func (t Teller) name(id string, title Text) string {
	lang := t.Lang
	if lang == "" {
		lang = English
	}
	s := title[string(lang)]
	if s == "" || strings.EqualFold(separated.Replace(s), separated.Replace(id)) {
		return id
	}
	return inSentence(s) + " (" + id + ")"
}

var separated = strings.NewReplacer("_", " ", "-", " ", ".", " ")

// adopted names a role catalogue by the Detail of its fact, without the digest.
func adopted(detail, version string) string {
	parts := strings.SplitN(detail, " ", 3)
	if len(parts) < 3 {
		return detail
	}
	return parts[0] + ", " + version + " " + parts[1] + ","
}

// inSentence is a title as it stands within a sentence: its first letter is small, unless there are other capitals in it.
func inSentence(title string) string {
	first, n := utf8.DecodeRuneInString(title)
	if strings.ContainsFunc(title[n:], unicode.IsUpper) {
		return title
	}
	return string(unicode.ToLower(first)) + title[n:]
}

// anyOf lists names, any of which would do.
func anyOf[N ~string](names []N, say func(N) string, or string) string {
	said := make([]string, len(names))
	for i, n := range names {
		said[i] = say(n)
	}
	return strings.Join(said, or)
}

// oneOf writes "role therapist or supervisor".
func oneOf[S ~string](prefix string, names []S) string {
	return prefix + anyOf(names, func(n S) string { return string(n) }, " or ")
}
