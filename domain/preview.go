package domain

// What commands would do if they were recorded now: the events that would follow, who would gain and lose what by them,
// and what people would want to be warned of. It decides as recording does, on a draft, and records nothing.

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// A Preview takes commands one after another, each judged as if those before it had been recorded. Build it with
// NewPreview.
type Preview struct {
	Events []*Event // those that would be recorded so far

	before Reader
	after  *Draft
	now    Instant
	newID  func() EventID
}

// NewPreview looks ahead from r at the moment now. newID gives ids for events that will never be recorded.
func NewPreview(r Reader, now Instant, newID func() EventID) *Preview {
	return &Preview{before: r, after: NewDraft(r), now: now, newID: newID}
}

// Add decides one more command. The errors are Decide's.
func (p *Preview) Add(c Command) error {
	events, err := Decide(p.after, c, p.now, p.newID)
	if err != nil {
		return err
	}
	for _, e := range events {
		if err := p.after.Apply(e); err != nil {
			return err
		}
		e.Seq = p.after.KnownAt()
	}
	p.Events = append(p.Events, events...)
	return nil
}

// Foreseen is what all commands of a preview would come to.
type Foreseen struct {
	Gained, Lost           []ForeseenEffect // as many as were asked for, those of now first
	GainedTotal, LostTotal int              // how many there are
	Warnings               []Warning
}

// A ForeseenEffect is an effect, and from when on where it is one only later.
type ForeseenEffect struct {
	Effect
	From Instant // 0: at once
}

// Foresee compares the ledger with and without what was added, now and at every later moment at which some of it begins
// to hold. It gives at most limit gains and limit losses, and counts all.
func (p *Preview) Foresee(limit int) (Foreseen, error) {
	var f Foreseen
	type told struct {
		gained   bool
		subject  Account
		resource Resource
		action   Action
	}
	moments := p.moments()
	seen := map[told]bool{} // what holds from an earlier moment on is not said again of a later one
	for i, at := range moments {
		for e, err := range Effects(p.before, p.after, p.after.Changed(), at) {
			if err != nil {
				return f, err
			}
			if e.Restated {
				continue
			}
			effect := ForeseenEffect{Effect: e}
			if i > 0 {
				effect.From = at
			}
			if len(moments) > 1 {
				effect.Actions = slices.DeleteFunc(slices.Clone(e.Actions), func(a Action) bool {
					t := told{e.Gained, e.Subject, e.Resource, a}
					was := seen[t]
					seen[t] = true
					return was
				})
			}
			if len(effect.Actions) == 0 {
				continue
			}
			list, total := &f.Lost, &f.LostTotal
			if e.Gained {
				list, total = &f.Gained, &f.GainedTotal
			}
			if *total++; len(*list) < limit {
				*list = append(*list, effect)
			}
		}
	}
	var err error
	f.Warnings, err = p.warnings(f.GainedTotal+f.LostTotal == 0)
	return f, err
}

// moments are now and each later one at which some of the events begins to hold.
func (p *Preview) moments() []Instant {
	at := []Instant{p.now}
	for _, e := range p.Events {
		if d, ok := e.Data.(interface{ begins() Instant }); ok && d.begins() > p.now {
			at = append(at, d.begins())
		}
	}
	slices.Sort(at)
	return slices.Compact(at)
}

func (d *RoleAssignment) begins() Instant { return d.From }
func (d *CaseloadLink) begins() Instant   { return d.From }
func (d *TeamJoin) begins() Instant       { return d.From }
func (d *AccessGrant) begins() Instant    { return d.From }
func (d *Correction) begins() Instant     { return d.From }

// A Warning is what a command is allowed to do, and people would want to know before it does.
type Warning struct {
	Code     string    // stable: one of warningTexts
	Accounts []Account // whom it is about, all of them, sorted
	Name     string    // the relation, role or temporary access it is about; "" where none
	Title    Text      // of Name, in the catalogue
	Count    int       // how many links, where the text says so
}

// warningTexts says each warning in each language. {who} is the accounts, {name} and {count} the fields of that name.
var warningTexts = map[string]Text{
	"left_without": {"en": "{who} would be left without any {name}", "nl": "er blijft geen {name} over voor {who}"},
	"one_founder_left": {"en": "{who} would be the only one left who runs this ledger; the last one can't be revoked",
		"nl": "{who} zou de enige overgebleven beheerder van dit grootboek zijn; de laatste kan niet worden ingetrokken"},
	"idle_links": {"en": "{who} would keep open links as {name} ({count}), which give nothing without the role; unlink or hand over",
		"nl": "{who} zou open koppelingen als {name} houden ({count}), die zonder de rol niets geven; ontkoppel of draag over"},
	"links_stay": {"en": "{who} would keep open links ({count}), which count again once the account is open and unlocked; unlink or hand over",
		"nl": "{who} zou open koppelingen houden ({count}), die weer gelden zodra het account open en ontgrendeld is; ontkoppel of draag over"},
	"has_access": {"en": "{who} has open temporary access ({name}) to the same client already",
		"nl": "{who} heeft al open tijdelijke toegang ({name}) tot dezelfde cliënt"},
	"inactive":       {"en": "{who} is deactivated or locked, and gets nothing by it until that ends", "nl": "{who} is gedeactiveerd of vergrendeld en krijgt hierdoor niets tot dat voorbij is"},
	"role_gone":      {"en": "{who} would hold role {name}, which the new catalogue does not have", "nl": "{who} zou rol {name} houden, die de nieuwe catalogus niet kent"},
	"no_effect":      {"en": "nobody would gain or lose anything by it now", "nl": "niemand krijgt of verliest hierdoor nu iets"},
	"catalogue_odds": {"en": "the new catalogue: {name}", "nl": "de nieuwe catalogus: {name}"},
}

// maxNamed is how many accounts the text of a warning names; the others are counted, and all are in Accounts.
const maxNamed = 5

// In says the warning in a language, as a sentence without a full stop.
func (w Warning) In(lang Lang) string {
	names := make([]string, 0, maxNamed)
	for _, a := range w.Accounts[:min(len(w.Accounts), maxNamed)] {
		names = append(names, string(a))
	}
	who := strings.Join(names, ", ")
	if more := len(w.Accounts) - len(names); more > 0 {
		who += fmt.Sprintf(map[Lang]string{English: " and %d more", Dutch: " en nog %d"}[lang], more)
	}
	name := w.Name
	if lang == Dutch {
		name = Teller{Lang: lang}.name(w.Name, w.Title)
	}
	return strings.NewReplacer("{who}", who, "{name}", name, "{count}", fmt.Sprint(w.Count)).Replace(warningTexts[w.Code].In(string(lang)))
}

// warnings compares the two sides for what no rule forbids and nobody means. It looks only near what changed.
func (p *Preview) warnings(nothing bool) ([]Warning, error) {
	c, err := newComparison(Side{p.before, p.now}, Side{p.after, p.now})
	if err != nil {
		return nil, err
	}
	w := &warner{comparison: c, found: map[warningKey][]Account{}}
	for f := range p.after.Changed() {
		w.fact(f)
	}
	var adopted *Catalogue
	for _, e := range p.Events {
		w.event(e)
		if e.Type == CatalogueAdopted {
			adopted = c.after.cat
		}
	}
	var list []Warning
	for _, k := range slices.SortedFunc(maps.Keys(w.found), func(a, b warningKey) int {
		return cmp.Or(strings.Compare(a.code, b.code), strings.Compare(a.name, b.name), a.count-b.count)
	}) {
		accounts := w.found[k]
		slices.Sort(accounts)
		list = append(list, Warning{Code: k.code, Accounts: slices.Compact(accounts), Name: k.name, Title: w.title(k), Count: k.count})
	}
	if adopted != nil {
		for _, text := range adopted.Warnings() {
			list = append(list, Warning{Code: "catalogue_odds", Name: text})
		}
	}
	if nothing && len(p.Events) > 0 {
		list = append(list, Warning{Code: "no_effect"})
	}
	return list, cmp.Or(w.err, err)
}

// A warner collects warnings; those that differ in their accounts alone are one.
type warner struct {
	*comparison
	found map[warningKey][]Account
}

type warningKey struct {
	code, name string
	count      int
}

// title gives what the catalogue calls what a warning is about.
func (w *warner) title(k warningKey) Text {
	switch k.code {
	case "left_without", "idle_links":
		return w.before.cat.Relations[Relation(k.name)].Title
	case "role_gone":
		return w.before.cat.Roles[Role(k.name)].Title
	case "has_access":
		return w.before.cat.Grants[Profile(k.name)].Title
	}
	return nil
}

func (w *warner) warn(code, name string, count int, a Account) {
	k := warningKey{code, name, count}
	w.found[k] = append(w.found[k], a)
}

// fact looks at one fact that changed.
func (w *warner) fact(f Fact) {
	if w.before.cat == nil || w.after.cat == nil || w.err != nil {
		return
	}
	lost := w.holds(w.before, f) && !w.holds(w.after, f)
	gained := !w.holds(w.before, f) && w.holds(w.after, f)
	switch f.Family {
	case FamilyLink:
		w.without(f.Object, Relation(f.Name))
	case FamilyMember:
		w.before.each(w.before.factsOf(FamilyLink, f.Object), &w.err, func(link Fact, _ Interval) { w.without(link.Object, Relation(link.Name)) })
	case FamilyRole:
		if lost {
			w.linksOf(f.Subject, Role(f.Name))
		}
	case FamilyActive:
		if lost {
			w.linksOf(f.Subject, "")
		}
	case FamilyLocked:
		if gained {
			w.linksOf(f.Subject, "")
		}
	case FamilyCatalogue:
		for role := range w.before.cat.Roles {
			if _, stays := w.after.cat.Roles[role]; !stays {
				w.after.each(w.after.factsOn(FamilyRole, RoleRef(role)), &w.err, func(held Fact, _ Interval) { w.warn("role_gone", string(role), 0, held.Subject) })
			}
		}
	}
	if f.Family == FamilyRole || f.Family == FamilyActive || f.Family == FamilyLocked {
		w.founders(f.Subject)
	}
}

func (w *warner) holds(ev *Evaluator, f Fact) bool {
	v, err := ev.fact(f)
	w.err = cmp.Or(w.err, err)
	return v.Holds(ev.at)
}

// works tells whether what the account holds counts: it is open and not locked.
func (w *warner) works(ev *Evaluator, a Account) bool {
	return w.holds(ev, activeFact(a)) && !w.holds(ev, lockedFact(a))
}

// linksOf looks at the open links of who lost a role, or with role "" everything.
func (w *warner) linksOf(a Account, role Role) {
	idle := map[Relation]int{}
	all := 0
	w.after.asLinked(a, &w.err, func(link Fact) {
		rel := Relation(link.Name)
		w.without(link.Object, rel)
		if link.Subject != a {
			return
		}
		all++
		rule := w.after.cat.Relations[rel]
		if slices.Contains(rule.Roles, role) && !slices.ContainsFunc(rule.Roles, func(r Role) bool { return w.holds(w.after, roleFact(a, r)) }) {
			idle[rel]++
		}
	})
	if role == "" && all > 0 {
		w.warn("links_stay", "", all, a)
	}
	for rel, n := range idle {
		w.warn("idle_links", string(rel), n, a)
	}
}

// without warns where a client has nobody left who is linked to it so. A relation that the client's own side makes
// (by), or that permits nothing, is nobody's charge.
func (w *warner) without(client Account, rel Relation) {
	rule, ok := w.before.cat.Relations[rel]
	if !ok || rule.By != "" || !w.before.cat.permitsByLink(rel) || !w.works(w.after, client) {
		return
	}
	if w.served(w.before, client, rel) && !w.served(w.after, client, rel) && !slices.Contains(w.found[warningKey{"left_without", string(rel), 0}], client) {
		w.warn("left_without", string(rel), 0, client)
	}
}

// served tells whether anybody whose permissions count is linked to the client so, or is in a team that is.
func (w *warner) served(ev *Evaluator, client Account, rel Relation) bool {
	served := false
	rule := ev.cat.Relations[rel]
	by := func(a Account) {
		served = served || w.works(ev, a) &&
			(len(rule.Roles) == 0 || slices.ContainsFunc(rule.Roles, func(r Role) bool { return w.holds(ev, roleFact(a, r)) }))
	}
	ev.each(ev.factsOn(FamilyLink, client), &w.err, func(f Fact, _ Interval) {
		if Relation(f.Name) != rel {
			return
		}
		if !ev.cat.Kinds[f.Subject.Kind()].Group {
			by(f.Subject)
			return
		}
		ev.each(ev.factsOn(FamilyMember, f.Subject), &w.err, func(m Fact, _ Interval) { by(m.Subject) })
	})
	return served
}

// permitsByLink tells whether some permit asks for the relation.
func (c *Catalogue) permitsByLink(rel Relation) bool {
	return slices.ContainsFunc(c.Permits, func(p Permit) bool { return slices.Contains(p.Links, rel) || slices.Contains(p.LinkedBy, rel) })
}

// founders warns where a founder goes and one is left.
func (w *warner) founders(gone Account) {
	was, err := isFounder(w.before.r, w.before.cat, gone, w.before.at)
	if w.err = cmp.Or(w.err, err); !was {
		return
	}
	if is, err := isFounder(w.after.r, w.after.cat, gone, w.after.at); is || err != nil {
		w.err = cmp.Or(w.err, err)
		return
	}
	var left []Account
	w.after.each(w.after.factsOn(FamilyRole, RoleRef(w.after.cat.Founder[0])), &w.err, func(f Fact, _ Interval) {
		is, err := isFounder(w.after.r, w.after.cat, f.Subject, w.after.at)
		if w.err = cmp.Or(w.err, err); is {
			left = append(left, f.Subject)
		}
	})
	if len(left) == 1 {
		w.warn("one_founder_left", "", 0, left[0])
	}
}

// event looks at one event that would be recorded.
func (w *warner) event(e *Event) {
	if w.after.cat == nil {
		return
	}
	inactive := func(accounts ...Account) {
		for _, a := range accounts {
			if !w.after.cat.Kinds[a.Kind()].Group && !w.works(w.after, a) {
				w.warn("inactive", "", 0, a)
			}
		}
	}
	switch d := e.Data.(type) {
	case *RoleAssignment:
		inactive(d.Principal)
	case *CaseloadLink:
		inactive(d.Principal)
	case *TeamJoin:
		inactive(d.Member)
	case *PermissionAddition:
		inactive(d.Principal)
	case *AccessGrant:
		inactive(d.Principal)
		w.before.each(w.before.factsOf(FamilyGrant, d.Principal), &w.err, func(f Fact, _ Interval) {
			if f.Object == d.Client && f.Name == string(d.Profile) {
				w.warn("has_access", string(d.Profile), 0, d.Principal)
			}
		})
	}
}
