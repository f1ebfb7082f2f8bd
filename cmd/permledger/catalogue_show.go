package main

// A role catalogue as people read it: what there is, and for each type who may do what, on a screen or as Markdown. What
// it shows of permits is domain's matrix; it reads nothing and decides nothing.

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/text"

	"github.com/permledger/permledger/domain"
)

// plainWidth is how wide a matrix may be where there is no terminal to fit.
const plainWidth = 120

// sheet lays out one catalogue in one language.
type sheet struct {
	*domain.Catalogue
	lang  string
	words *sheetWords
	width int // columns that a matrix has room for
}

// section is one table of a sheet. The columns named as flexible may be wrapped.
type section struct {
	title    string // in Markdown; on a screen the headers say it
	headers  []string
	rows     [][]string
	flexible []int
}

func (a *app) sheet(c *domain.Catalogue, s *screen) *sheet {
	sh := &sheet{Catalogue: c, lang: string(a.global.lang.lang()), words: &englishSheet, width: plainWidth}
	if a.global.lang.lang() == domain.Dutch {
		sh.words = &dutchSheet
	}
	if s.tty {
		sh.width = s.width
	}
	return sh
}

// sections gives the whole sheet: what there is, and then the matrices with what their words mean.
func (sh *sheet) sections() []section {
	all := []section{sh.types(), sh.roles(), sh.relations(), sh.grants(), sh.limits(), sh.never(), sh.actions()}
	rows := sh.Matrix()
	all = append(all, sh.legend(rows))
	for len(rows) > 0 {
		n := slices.IndexFunc(rows, func(r domain.MatrixRow) bool { return r.On != rows[0].On })
		if n < 0 {
			n = len(rows)
		}
		all = append(all, sh.matrix(rows[:n]))
		rows = rows[n:]
	}
	return slices.DeleteFunc(all, func(s section) bool { return len(s.rows) == 0 })
}

// about says what something is: its title and its description; without the title where it is the name once more.
func (sh *sheet) about(name string, title, about domain.Text) string {
	t, a := title.In(sh.lang), about.In(sh.lang)
	if a != "" && strings.EqualFold(strings.NewReplacer(" ", "", "-", "", "_", "").Replace(t), strings.NewReplacer("-", "", "_", "").Replace(name)) {
		t = ""
	}
	if t == "" || a == "" {
		return t + a
	}
	return t + ": " + a
}

func (sh *sheet) types() section {
	w := sh.words
	s := section{w.types, []string{w.typ, w.what, w.about}, nil, []int{1, 2}}
	for _, k := range slices.Sorted(maps.Keys(sh.Kinds)) {
		rule, what := sh.Kinds[k], w.account
		switch {
		case rule.Protected:
			what = w.protected
		case rule.Group:
			what = w.group
		}
		s.rows = append(s.rows, []string{string(k), what, sh.about(string(k), rule.Title, rule.About)})
	}
	for _, k := range slices.Sorted(maps.Keys(sh.Resources)) {
		rule, notes := sh.Resources[k], []string{w.resource}
		if rule.Of != "" {
			notes[0] = fmt.Sprintf(w.resourceOf, rule.Of)
			if rule.TrustProperties {
				notes = append(notes, w.trusted)
			}
		}
		if len(rule.RegisteredBy) > 0 {
			notes = append(notes, fmt.Sprintf(w.registeredBy, list(rule.RegisteredBy, w.or)))
		}
		if len(rule.RemovedBy) > 0 {
			notes = append(notes, fmt.Sprintf(w.removedBy, list(rule.RemovedBy, w.or)))
		}
		s.rows = append(s.rows, []string{string(k), strings.Join(notes, "; "), sh.about(string(k), rule.Title, rule.About)})
	}
	return s
}

func (sh *sheet) roles() section {
	w := sh.words
	s := section{w.roles, []string{w.role, w.notes, w.about}, nil, []int{1, 2}}
	for _, name := range slices.Sorted(maps.Keys(sh.Roles)) {
		rule := sh.Roles[name]
		notes := []string{fmt.Sprintf(w.forKind, list(rule.For, w.or))}
		if slices.Contains(sh.Founder, name) {
			notes = append(notes, w.founders)
		}
		if rule.Group != "" {
			notes = append(notes, fmt.Sprintf(w.oneOf, rule.Group))
		}
		if len(rule.Needs) > 0 {
			notes = append(notes, fmt.Sprintf(w.needs, list(rule.Needs, w.or)))
		}
		s.rows = append(s.rows, []string{string(name), strings.Join(notes, "; "), sh.about(string(name), rule.Title, rule.About)})
	}
	return s
}

func (sh *sheet) relations() section {
	w := sh.words
	s := section{w.relations, []string{w.relation, w.notes, w.about}, nil, []int{1, 2}}
	for _, name := range slices.Sorted(maps.Keys(sh.Relations)) {
		rule := sh.Relations[name]
		notes := []string{fmt.Sprintf(w.links, list(rule.From, w.or), sh.Protected)}
		if len(rule.Roles) > 0 {
			notes = append(notes, fmt.Sprintf(w.forRole, list(rule.Roles, w.or)))
		}
		if rule.By != "" {
			notes = append(notes, fmt.Sprintf(w.madeBy, rule.By))
		}
		if rule.OnOpen {
			notes = append(notes, w.onOpen)
		}
		for _, role := range slices.Sorted(maps.Keys(rule.Most)) {
			notes = append(notes, fmt.Sprintf(w.most, role, rule.Most[role]))
		}
		s.rows = append(s.rows, []string{string(name), strings.Join(notes, "; "), sh.about(string(name), rule.Title, rule.About)})
	}
	return s
}

func (sh *sheet) grants() section {
	w := sh.words
	s := section{w.grants, []string{w.grant, w.notes, w.about}, nil, []int{1, 2}}
	for _, name := range slices.Sorted(maps.Keys(sh.Grants)) {
		rule := sh.Grants[name]
		var notes []string
		if len(rule.Roles) > 0 {
			notes = append(notes, fmt.Sprintf(w.forRole, list(rule.Roles, w.or)))
		}
		if rule.Longest > 0 {
			notes = append(notes, fmt.Sprintf(w.longest, w.duration(rule.Longest)))
		}
		if rule.ReasonRequired {
			notes = append(notes, w.reason)
		}
		if rule.ReviewWithin > 0 {
			notes = append(notes, fmt.Sprintf(w.reviewed, w.duration(rule.ReviewWithin)))
		}
		s.rows = append(s.rows, []string{string(name), strings.Join(notes, "; "), sh.about(string(name), rule.Title, rule.About)})
	}
	return s
}

func (sh *sheet) limits() section {
	w := sh.words
	s := section{w.limits, []string{w.limit, w.notes, w.about}, nil, []int{1, 2}}
	if n := sh.Lockout.FailedSignins; n > 0 {
		s.rows = append(s.rows, []string{w.lockout, fmt.Sprintf(w.failed, n), sh.Lockout.About.In(sh.lang)})
	}
	if sh.Guests.Longest > 0 {
		s.rows = append(s.rows, []string{w.guests, fmt.Sprintf(w.invited, w.duration(sh.Guests.Longest)), sh.Guests.About.In(sh.lang)})
	}
	return s
}

func (sh *sheet) never() section {
	w := sh.words
	s := section{w.never, []string{w.neverTo, strings.ToUpper(w.on), w.action}, nil, []int{0, 1, 2}}
	for _, n := range sh.Never {
		s.rows = append(s.rows, []string{list(n.Roles, ", "), list(n.On, ", "), list(n.Actions, ", ")})
	}
	return s
}

func (sh *sheet) actions() section {
	s := section{sh.words.actions, []string{sh.words.action, sh.words.about}, nil, []int{1}}
	for _, a := range slices.Sorted(maps.Keys(sh.ActionTitles)) {
		s.rows = append(s.rows, []string{string(a), sh.ActionTitles[a].In(sh.lang)})
	}
	return s
}

// reaches are the kinds of reach in the order in which they are told: the farthest first.
var reaches = []domain.By{domain.ByAll, domain.ByCaseload, domain.ByEmergency, domain.ByLinkedBy, domain.BySelf, domain.ByOwn, domain.ByTeam, domain.ByInvited}

// legend says what the words of the matrices mean, of those that occur.
func (sh *sheet) legend(rows []domain.MatrixRow) section {
	said := map[domain.By]bool{}
	for _, row := range rows {
		for _, cell := range row.Cells {
			for _, way := range cell.Ways {
				for _, c := range slices.Concat(way.Reach, way.Unless) {
					said[c.By] = true
				}
			}
		}
	}
	s := section{sh.words.matrices, []string{sh.words.reach, sh.words.meaning}, nil, []int{1}}
	team := "" // links count for the members of a group, where there are groups
	for _, rule := range sh.Kinds {
		if rule.Group {
			team = sh.words.byTeam
		}
	}
	for _, by := range reaches {
		if said[by] {
			s.rows = append(s.rows, []string{sh.words.reaches[by], strings.NewReplacer("{client}", string(sh.Protected), "{team}", team).Replace(sh.words.meanings[by])})
		}
	}
	return s
}

// matrix says who may do what on one type: an action a row, a holder a column, and in the cells how. Where that is too
// wide, even with the holders' names broken, each action has its ways below one another and the holders beside them.
func (sh *sheet) matrix(rows []domain.MatrixRow) section {
	var holders []string // in the order of cells: roles, kinds, anyone
	for _, rank := range []func(domain.MatrixCell) bool{
		func(c domain.MatrixCell) bool { return c.Role != "" },
		func(c domain.MatrixCell) bool { return c.Kind != "" },
		func(c domain.MatrixCell) bool { return c.Role == "" && c.Kind == "" },
	} {
		names := map[string]bool{}
		for _, row := range rows {
			for _, cell := range row.Cells {
				if rank(cell) {
					names[sh.holder(cell)] = true
				}
			}
		}
		holders = append(holders, slices.Sorted(maps.Keys(names))...)
	}
	on := sh.words.on + " " + string(rows[0].On)
	grid := section{title: strings.ToUpper(on[:1]) + on[1:], headers: append([]string{on}, holders...)}
	for _, row := range rows {
		line := slices.Repeat([]string{"-"}, len(grid.headers))
		line[0] = string(row.Action)
		for _, cell := range row.Cells {
			ways, _ := sh.ways(cell)
			line[1+slices.Index(holders, sh.holder(cell))] = strings.Join(ways, "\n")
		}
		grid.rows = append(grid.rows, line)
	}
	if grid.width() <= sh.width {
		return grid
	}
	whole := grid.headers
	grid.headers = slices.Clone(whole)
	for i, h := range holders {
		grid.headers[1+i] = strings.NewReplacer("_", "_\n", " ", "\n").Replace(h)
	}
	if grid.width() <= sh.width {
		return grid
	}
	turned := section{title: grid.title, headers: []string{whole[0], sh.words.reach, sh.words.who}, flexible: []int{1, 2}}
	for _, row := range rows {
		turned.rows = append(turned.rows, sh.beside(row)...)
	}
	return turned
}

// width is what the table takes on a screen.
func (s *section) width() (total int) {
	for i, h := range s.headers {
		widest := text.LongestLineLen(h)
		for _, row := range s.rows {
			widest = max(widest, text.LongestLineLen(row[i]))
		}
		total += widest + len("  ")
	}
	return total
}

// beside says a row of the matrix one way a line, with those who have it beside it.
func (sh *sheet) beside(row domain.MatrixRow) (lines [][]string) {
	rank := map[string]int{} // of a way, by what it reaches in the first place
	by := map[string][]string{}
	for _, cell := range row.Cells {
		ways, first := sh.ways(cell)
		for i, way := range ways {
			rank[way] = slices.Index(reaches, first[i])
			by[way] = append(by[way], sh.holder(cell))
		}
	}
	ways := slices.SortedFunc(maps.Keys(by), func(a, b string) int { return cmp.Or(rank[a]-rank[b], strings.Compare(a, b)) })
	for _, way := range ways {
		lines = append(lines, []string{"", way, strings.Join(by[way], ", ")})
	}
	if len(ways) == 0 {
		lines = [][]string{{"", "-", sh.words.nobody}}
	}
	lines[0][0] = string(row.Action)
	return lines
}

// holder names a column.
func (sh *sheet) holder(cell domain.MatrixCell) string {
	switch {
	case cell.Role != "":
		return string(cell.Role)
	case cell.Kind != "":
		return fmt.Sprintf(sh.words.any, cell.Kind)
	}
	return sh.words.anyone
}

// ways says how the holder of a cell may, each way once, and what each reaches in the first place.
func (sh *sheet) ways(cell domain.MatrixCell) (said []string, first []domain.By) {
	self := string(cell.Role) + string(cell.Kind) // one of them is ""
	for _, way := range cell.Ways {
		words := sh.conditions(way.Reach, self, sh.words.and)
		if len(way.Unless) > 0 {
			words += ", " + sh.words.unless + " " + sh.conditions(way.Unless, "", sh.words.or)
		}
		if !slices.Contains(said, words) {
			said, first = append(said, words), append(first, way.Reach[0].By)
		}
	}
	return said, first
}

// conditions names them. A relation of the holder's own name, and temporary access of the name emergency, need not be
// named: a therapist's caseload is that of relation therapist.
func (sh *sheet) conditions(all []domain.Condition, self, between string) string {
	words := ""
	for i, c := range all {
		word := sh.words.reaches[c.By]
		named := c.By == domain.ByCaseload && slices.Equal(c.Of, []string{self}) || c.By == domain.ByEmergency && slices.Equal(c.Of, []string{"emergency"})
		switch {
		case len(c.Of) == 0 || named:
		case c.By == domain.ByKind && between == sh.words.or: // of an unless
			word = sh.words.a + " " + strings.Join(c.Of, sh.words.or)
		case c.By == domain.ByCaseload || c.By == domain.ByEmergency:
			word += " (" + strings.Join(c.Of, sh.words.or) + ")"
		default:
			word += " " + strings.Join(c.Of, sh.words.or)
		}
		switch {
		case i == 0:
		case c.By == domain.ByKind && between == sh.words.and: // all as staff
			words += " "
		default:
			words += between
		}
		words += word
	}
	return words
}

func list[T ~string](names []T, between string) string {
	words := make([]string, len(names))
	for i, n := range names {
		words[i] = string(n)
	}
	return strings.Join(words, between)
}

// inForce is what an answer says of the catalogue in force besides what the catalogue says; Seq is 0 of any other.
type inForce struct {
	Version    int    `json:"version"`
	Digest     string `json:"digest"`
	Seq        uint64 `json:"seq"`
	AdoptedAt  string `json:"adopted_at"`
	AsOf       string `json:"as_of"`
	KnownAtSeq uint64 `json:"known_at_seq"`
	Document   string `json:"document"`
}

// showCatalogue shows {"name","digest","document"} and, of the one in force, since when it is.
func (a *app) showCatalogue(markdown bool) func(*screen, []byte) error {
	return func(s *screen, body []byte) error {
		if a.global.json {
			return nil
		}
		var d inForce
		if err := read(body, &d); err != nil {
			return err
		}
		c, err := domain.ParseCatalogue([]byte(d.Document))
		if err != nil {
			return err
		}
		sh := a.sheet(c, s)
		since := ""
		if d.Seq > 0 {
			since = fmt.Sprintf(sh.words.inForce, d.Version, d.Seq, s.time(d.AdoptedAt))
		}
		if markdown {
			s.markdown(sh, d.Digest, since)
			return nil
		}
		s.line("%s", sh.heading())
		if about := c.About.In(sh.lang); about != "" {
			s.line("%s", about)
		}
		s.dim("%s", d.Digest)
		if since != "" {
			s.dim("%s", since)
		}
		for _, t := range sh.sections() {
			s.line("")
			s.table(t.headers, t.rows, t.flexible...)
		}
		if d.Seq > 0 {
			s.line("")
			s.dim(s.words.wouldBeAt, s.moment(d.AsOf), d.KnownAtSeq)
		}
		return nil
	}
}

func (sh *sheet) heading() string {
	if title := sh.Title.In(sh.lang); title != "" {
		return title + " (" + sh.Name + ")"
	}
	return sh.Name
}

// markdown writes the sheet as GitHub reads it.
func (s *screen) markdown(sh *sheet, digest, since string) {
	fmt.Fprintf(s.w, "# %s\n", escaped(sh.heading()))
	for _, paragraph := range []string{escaped(sh.About.In(sh.lang)), escaped(since), "`" + digest + "`"} {
		if paragraph != "" {
			fmt.Fprintf(s.w, "\n%s\n", paragraph)
		}
	}
	row := func(cells []string) {
		for _, c := range cells {
			fmt.Fprintf(s.w, "| %s ", strings.ReplaceAll(escaped(c), "\n", "<br>"))
		}
		fmt.Fprintln(s.w, "|")
	}
	for _, t := range sh.sections() {
		fmt.Fprintf(s.w, "\n## %s\n\n", escaped(t.title))
		headers := make([]string, len(t.headers))
		for i, h := range t.headers { // broken for a screen; a browser breaks them itself
			headers[i] = strings.NewReplacer("_\n", "_", "\n", " ").Replace(h)
		}
		row(headers)
		fmt.Fprintln(s.w, strings.Repeat("| --- ", len(headers))+"|")
		for _, r := range t.rows {
			row(r)
		}
	}
}

// escaped writes a text so that Markdown takes every character of it for itself, in a table too. A _ inside a word is
// left as it is: it means nothing there, and names are full of them.
func escaped(plain string) string {
	var b strings.Builder
	letter := func(i int) bool {
		return i >= 0 && i < len(plain) && (plain[i] >= 'a' && plain[i] <= 'z' || plain[i] >= 'A' && plain[i] <= 'Z' || plain[i] >= '0' && plain[i] <= '9')
	}
	for i := range len(plain) {
		switch c := plain[i]; {
		case c == '_' && letter(i-1) && letter(i+1):
		case strings.IndexByte("\\`*_[]<>|#~&!$@", c) >= 0:
			b.WriteByte('\\')
		}
		b.WriteByte(plain[i])
	}
	return b.String()
}

// sheetWords are what a sheet says in one language, besides what the catalogue itself says. Where a text has verbs of
// fmt, what they stand for is said beside it.
type sheetWords struct {
	inForce string // a version, a seq and a time

	// Titles in Markdown.
	types, roles, relations, grants, limits, never, actions, matrices string

	// Headers of columns.
	typ, what, about, role, notes, relation, grant, limit, neverTo, on, action, reach, meaning, who string

	account, protected, group   string
	resource, resourceOf        string // of what kind
	trusted                     string
	registeredBy, removedBy     string // actions
	forKind                     string // kinds
	founders                    string
	oneOf                       string // a group
	needs                       string // roles
	links                       string // kinds, and the protected one
	forRole                     string // roles
	madeBy                      string // an action
	onOpen                      string
	most                        string // a role and a number
	longest, reviewed           string // a time span
	reason                      string
	lockout, guests             string
	failed                      string // a number
	invited                     string // a time span
	any                         string // a kind
	anyone, nobody              string
	and, or, unless, a          string
	day, days, hour, hours, min string

	reaches, meanings map[domain.By]string // {client} is the protected kind, and {team} is byTeam where there are groups
	byTeam            string
}

// duration writes a bound of a catalogue: whole days where it is some, whole hours, minutes otherwise.
func (w *sheetWords) duration(d time.Duration) string {
	switch {
	case d%(24*time.Hour) == 0:
		return plural(int(d/(24*time.Hour)), w.day, w.days)
	case d%time.Hour == 0:
		return plural(int(d/time.Hour), w.hour, w.hours)
	case d%time.Minute == 0:
		return fmt.Sprintf("%d %s", d/time.Minute, w.min)
	}
	return d.String()
}

var englishSheet = sheetWords{
	inForce: "In force: version %d, adopted as seq %d at %s.",

	types: "Types", roles: "Roles", relations: "Relations", grants: "Temporary access", limits: "Limits",
	never: "Never given individually", actions: "Actions", matrices: "Who may do what",

	typ: "TYPE", what: "WHAT", about: "ABOUT", role: "ROLE", notes: "NOTES", relation: "RELATION", grant: "TEMPORARY ACCESS", limit: "LIMIT",
	neverTo: "NEVER GIVEN TO", on: "on", action: "ACTION", reach: "REACH", meaning: "MEANING", who: "WHO",

	account: "account", protected: "account, protected", group: "account, group",
	resource: "resource", resourceOf: "resource of %s", trusted: "may be brought in a question",
	registeredBy: "registered by who may %s", removedBy: "removed by who may %s",
	forKind: "for %s", founders: "the founder's", oneOf: "one of %s", needs: "needs %s",
	links: "%s to %s", forRole: "for role %s", madeBy: "made by %s", onOpen: "given to who opens the account", most: "%s has %d at most",
	longest: "for %s at most", reviewed: "reviewed within %s", reason: "with a reason",
	lockout: "lockout", guests: "guests", failed: "after %d failed sign-ins", invited: "invited for %s at most",
	any: "any %s", anyone: "anyone", nobody: "nobody", and: " and ", or: " or ", unless: "unless", a: "a",
	day: "day", days: "days", hour: "hour", hours: "hours", min: "minutes",

	reaches: map[domain.By]string{
		domain.ByAll: "all", domain.ByCaseload: "caseload", domain.ByEmergency: "emergency", domain.ByLinkedBy: "linked by", domain.BySelf: "self",
		domain.ByOwn: "own", domain.ByTeam: "team", domain.ByInvited: "invited", domain.ByKind: "as", domain.ByRole: "role",
	},
	meanings: map[domain.By]string{
		domain.ByAll:       "every one there is",
		domain.ByCaseload:  "those of a {client} that the holder has a link to{team}; the relation is named where it is not called as the holder is",
		domain.ByEmergency: "those of a {client} that the holder has temporary access to",
		domain.ByLinkedBy:  "who has such a link to the holder{team}",
		domain.BySelf:      "the holder itself, and what belongs to it",
		domain.ByOwn:       "what the holder created",
		domain.ByTeam:      "those of who is in one team with the holder",
		domain.ByInvited:   "what the holder is invited to",
	},
	byTeam: ", itself or by a team",
}

var dutchSheet = sheetWords{
	inForce: "Van kracht: versie %d, in gebruik genomen als seq %d op %s.",

	types: "Soorten", roles: "Rollen", relations: "Relaties", grants: "Tijdelijke toegang", limits: "Grenzen",
	never: "Nooit afzonderlijk toegekend", actions: "Handelingen", matrices: "Wie mag wat",

	typ: "SOORT", what: "WAT", about: "OMSCHRIJVING", role: "ROL", notes: "BIJZONDERHEDEN", relation: "RELATIE", grant: "TIJDELIJKE TOEGANG", limit: "GRENS",
	neverTo: "NOOIT TOEGEKEND AAN", on: "bij", action: "HANDELING", reach: "BEREIK", meaning: "BETEKENIS", who: "WIE",

	account: "account", protected: "account, beschermd", group: "account, groep",
	resource: "object", resourceOf: "object van %s", trusted: "kan in een vraag worden meegegeven",
	registeredBy: "geregistreerd door wie mag: %s", removedBy: "verwijderd door wie mag: %s",
	forKind: "voor %s", founders: "van de oprichter", oneOf: "één van %s", needs: "vereist %s",
	links: "%s bij %s", forRole: "voor rol %s", madeBy: "gelegd met %s", onOpen: "voor wie het account opent", most: "%s heeft er hoogstens %d",
	longest: "hoogstens %s", reviewed: "beoordeeld binnen %s", reason: "met een reden",
	lockout: "vergrendeling", guests: "gasten", failed: "na %d mislukte aanmeldingen", invited: "hoogstens %s uitgenodigd",
	any: "elke %s", anyone: "iedereen", nobody: "niemand", and: " en ", or: " of ", unless: "tenzij", a: "een",
	day: "dag", days: "dagen", hour: "uur", hours: "uur", min: "minuten",

	reaches: map[domain.By]string{
		domain.ByAll: "alle", domain.ByCaseload: "caseload", domain.ByEmergency: "nood", domain.ByLinkedBy: "gekoppeld door", domain.BySelf: "zelf",
		domain.ByOwn: "eigen", domain.ByTeam: "team", domain.ByInvited: "genodigd", domain.ByKind: "als", domain.ByRole: "rol",
	},
	meanings: map[domain.By]string{
		domain.ByAll:       "alle die er zijn",
		domain.ByCaseload:  "die van een {client} waaraan de houder gekoppeld is{team}; de relatie staat erbij waar zij niet heet als de houder",
		domain.ByEmergency: "die van een {client} waartoe de houder tijdelijk toegang heeft",
		domain.ByLinkedBy:  "wie zo aan de houder gekoppeld is{team}",
		domain.BySelf:      "de houder zelf, en wat van hem of haar is",
		domain.ByOwn:       "wat de houder heeft gemaakt",
		domain.ByTeam:      "die van wie met de houder in één team zit",
		domain.ByInvited:   "waarvoor de houder is uitgenodigd",
	},
	byTeam: ", zelf of door een team",
}
