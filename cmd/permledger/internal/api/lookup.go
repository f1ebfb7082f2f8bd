package api

// Looking things up: the temporary access there was, who holds a role, and which roles somebody holds. What counts as one
// is domain's; here it is asked at the right moments, completed with what only the log has (who, when, for what reason),
// and written down.

import (
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/permledger/permledger/domain"
)

// grantEntry is one temporary access in the answer to grants.
type grantEntry struct {
	Grant     domain.GrantID    `json:"grant"`
	Principal domain.Account    `json:"principal"`
	Client    domain.Account    `json:"client"`
	Profile   domain.Profile    `json:"profile"`
	From      domain.Instant    `json:"from"`
	Until     domain.Instant    `json:"until"`
	State     domain.GrantState `json:"state"`
	Granted   struct {
		act
		Reason string `json:"reason"` // "" where none was given, or it was erased
	} `json:"granted"`
	Revoked   *act `json:"revoked"`   // what gave it its end, where something did
	Corrected *act `json:"corrected"` // what gave it these bounds, or voided it, where something did
	Review    *struct {
		Verdict string `json:"verdict"`
		act
	} `json:"review"`
	ReviewDue *domain.Instant `json:"review_due"` // null where no review is asked for
	Overdue   bool            `json:"overdue"`
}

// act is who recorded an event, and when.
type act struct {
	Seq domain.Seq     `json:"seq"`
	By  domain.Account `json:"by"`
	At  domain.Instant `json:"at"`
}

// grants lists temporary access, the last recorded first.
func (s *server) grants(w http.ResponseWriter, r *http.Request) error {
	p, pg, err := readPage(r, "grants", "principal", "client", "profile", "state", "unreviewed", "overdue", "limit", "at", "known_at")
	if err != nil {
		return err
	}
	q, err := p.grants()
	if err != nil {
		return err
	}
	limit, err := p.limit(0, maxLimit)
	if err != nil {
		return err
	}
	before, err := strconv.ParseUint(pg.Last, 10, 63)
	if pg.Last != "" && err != nil {
		return badPage()
	}
	a, err := pg.ask(s, r, p["at"], p["known_at"])
	if err != nil {
		return err
	}
	defer a.close()
	if err := a.grantsKnow(q); err != nil {
		return err
	}
	out := openStream(w, a.moments(), "results")
	var last domain.Seq
	for g, err := range domain.Grants(a, q, a.At, domain.Seq(before)) {
		if err == nil {
			err = r.Context().Err()
		}
		if err != nil {
			return err
		}
		if limit > 0 && out.n == limit {
			return out.close(pageTail{Next: pg.next(a, "grants", p, strconv.FormatUint(uint64(last), 10))})
		}
		entry, err := a.grantEntry(r, g)
		if err != nil {
			return err
		}
		if err := out.add(entry); err != nil {
			return err
		}
		last = g.Interval.Began
	}
	return out.close(pageTail{Complete: true})
}

// grants reads which grants are wanted.
func (p params) grants() (q domain.GrantQuery, err error) {
	if q.Principal, err = p.optionalAccount("principal"); err != nil {
		return q, err
	}
	if q.Client, err = p.optionalAccount("client"); err != nil {
		return q, err
	}
	if p["profile"] != "" {
		name, err := domain.ParseName("profile", p["profile"])
		if err != nil {
			return q, err
		}
		q.Profile = domain.Profile(name)
	}
	if q.State = domain.GrantState(p["state"]); q.State != "" && !slices.Contains(domain.GrantStates(), q.State) {
		return q, domain.Errorf(domain.Malformed, "unknown_state", "state %q: temporary access has no such state; it has %s", clip(p["state"]), joined(domain.GrantStates()))
	}
	if q.Unreviewed, err = p.flag("unreviewed"); err != nil {
		return q, err
	}
	q.Overdue, err = p.flag("overdue")
	return q, err
}

func joined[T ~string](names []T) string {
	all := make([]string, len(names))
	for i, n := range names {
		all[i] = string(n)
	}
	return strings.Join(all, ", ")
}

// grantsKnow refuses what never was: none, as an answer to a slip, would be misleading.
func (a *asking) grantsKnow(q domain.GrantQuery) error {
	if q.Principal != "" {
		if err := a.Account("principal", q.Principal); err != nil {
			return err
		}
	}
	if q.Client != "" {
		if err := a.Account("client", q.Client); err != nil {
			return err
		}
	}
	if q.Profile == "" {
		return nil
	}
	cats, err := a.catalogues()
	if err != nil {
		return err
	}
	if had, err := a.had(cats, func(c *domain.Catalogue) bool { _, ok := c.Grants[q.Profile]; return ok }); had || err != nil {
		return err
	}
	return domain.Errorf(domain.Malformed, "unknown_profile", "profile %s: no catalogue has or had such temporary access; there is %s", q.Profile,
		list(cats, func(c *domain.Catalogue) []domain.Profile { return slices.Collect(maps.Keys(c.Grants)) }))
}

// had tells whether one of cats, which are the moment's and the newest, or else any catalogue there ever was, has it: what
// was given under a catalogue is asked about after that is gone.
func (a *asking) had(cats []*domain.Catalogue, has func(*domain.Catalogue) bool) (bool, error) {
	if slices.ContainsFunc(cats, has) {
		return true, nil
	}
	now, err := a.now()
	if err != nil {
		return false, err
	}
	adopted, err := now.Fact(domain.Fact{Family: domain.FamilyCatalogue, Subject: domain.CatalogueRef})
	if err != nil {
		return false, err
	}
	for _, iv := range adopted.Intervals {
		if cat, err := now.Catalogue(iv.Began); err != nil || has(cat) {
			return err == nil, err
		}
	}
	return false, nil
}

// roleKnown refuses a role that no catalogue has or had, cats being the moment's and the newest.
func (a *asking) roleKnown(cats []*domain.Catalogue, role domain.Role) error {
	if had, err := a.had(cats, func(c *domain.Catalogue) bool { _, ok := c.Roles[role]; return ok }); had || err != nil {
		return err
	}
	return domain.Errorf(domain.Malformed, "unknown_role", "role %s: no catalogue has or had such a role; there is %s", role,
		list(cats, func(c *domain.Catalogue) []domain.Role { return slices.Collect(maps.Keys(c.Roles)) }))
}

func (a *asking) grantEntry(r *http.Request, g domain.Grant) (entry grantEntry, err error) {
	iv := g.Interval
	entry = grantEntry{Grant: g.ID, Principal: g.Principal, Client: g.Client, Profile: g.Profile, From: iv.From, Until: iv.Until, State: g.State, Overdue: g.Overdue}
	granted, err := a.l.Event(r.Context(), iv.Began)
	if err != nil {
		return entry, err
	}
	entry.Granted.act, entry.Granted.Reason = act{granted.Seq, granted.Actor, granted.RecordedAt}, granted.Reason
	if entry.Revoked, err = a.act(r, iv.Ended); err != nil {
		return entry, err
	}
	if entry.Corrected, err = a.act(r, iv.Corrected); err != nil {
		return entry, err
	}
	if g.Reviewed() {
		reviewed, err := a.act(r, g.Review.Began)
		if err != nil {
			return entry, err
		}
		entry.Review = &struct {
			Verdict string `json:"verdict"`
			act
		}{g.Review.Detail, *reviewed}
	}
	if g.Due != 0 {
		entry.ReviewDue = &g.Due
	}
	return entry, nil
}

// act reads who recorded the event; nil for seq 0.
func (a *asking) act(r *http.Request, seq domain.Seq) (*act, error) {
	if seq == 0 {
		return nil, nil
	}
	e, err := a.l.Event(r.Context(), seq)
	if err != nil {
		return nil, err
	}
	return &act{e.Seq, e.Actor, e.RecordedAt}, nil
}

// span is when a role is held; Until is null where no end is known.
type span struct {
	From  domain.Instant  `json:"from"`
	Until *domain.Instant `json:"until"`
}

func spanOf(iv domain.Interval) span {
	s := span{From: iv.From}
	if iv.Until != domain.Forever {
		s.Until = &iv.Until
	}
	return s
}

// standing says whether roles count for anything.
type standing struct {
	Active bool `json:"active"`
	Locked bool `json:"locked"`
}

// holders lists who holds a role, by name. Whoever is deactivated or locked holds it still, and is marked.
func (s *server) holders(w http.ResponseWriter, r *http.Request) error {
	p, pg, err := readPage(r, "holders", "role", "kind", "limit", "at", "known_at", "lang")
	if err != nil {
		return err
	}
	name, err := p.required("role")
	if err != nil {
		return err
	}
	if name, err = domain.ParseName("role", name); err != nil {
		return err
	}
	role := domain.Role(name)
	kind, err := p.kind("kind")
	if err != nil {
		return err
	}
	limit, err := p.limit(0, maxLimit)
	if err != nil {
		return err
	}
	lang, err := p.lang()
	if err != nil {
		return err
	}
	a, err := pg.ask(s, r, p["at"], p["known_at"])
	if err != nil {
		return err
	}
	defer a.close()
	a.lang = lang
	cats, err := a.catalogues()
	if err != nil {
		return err
	}
	if err := a.roleKnown(cats, role); err != nil {
		return err
	}
	if err := kindKnown(cats, kind); err != nil {
		return err
	}
	out := openStream(w, struct {
		Role  domain.Role `json:"role"`
		Title string      `json:"title,omitempty"`
		moments
	}{role, roleTitle(cats, role, lang), a.moments()}, "results")
	var last domain.Account
	for h, err := range domain.Holders(a, role, kind, a.At, domain.Account(pg.Last)) {
		if err == nil {
			err = r.Context().Err()
		}
		if err != nil {
			return err
		}
		if limit > 0 && out.n == limit {
			return out.close(pageTail{Next: pg.next(a, "holders", p, string(last))})
		}
		basis, err := a.basis(r, []domain.Reason{h.Reason})
		if err != nil {
			return err
		}
		if err := out.add(struct {
			Subject domain.Account `json:"subject"`
			span
			standing
			Basis []basisEntry `json:"basis"`
		}{h.Account, spanOf(h.Reason.Interval), standing(h.Standing), basis}); err != nil {
			return err
		}
		last = h.Account
	}
	return out.close(pageTail{Complete: true})
}

// roleTitle is what the first of the catalogues that has the role calls it.
func roleTitle(cats []*domain.Catalogue, role domain.Role, lang domain.Lang) string {
	for _, c := range cats {
		if rule, ok := c.Roles[role]; ok {
			return rule.Title.In(string(lang))
		}
	}
	return ""
}

// roleEntry is one role in the answer to roles.
type roleEntry struct {
	Role  domain.Role `json:"role"`
	Title string      `json:"title,omitempty"`
	State string      `json:"state"` // held or scheduled
	span
	Basis []basisEntry `json:"basis"`
}

// roles lists the roles that somebody holds, and those given already for later.
func (s *server) roles(w http.ResponseWriter, r *http.Request) error {
	p, err := readParams(r, "account", "at", "known_at", "lang")
	if err != nil {
		return err
	}
	account, err := p.account("account")
	if err != nil {
		return err
	}
	lang, err := p.lang()
	if err != nil {
		return err
	}
	a, err := s.ask(r, p["at"], p["known_at"])
	if err != nil {
		return err
	}
	defer a.close()
	a.lang = lang
	if err := a.Account("account", account); err != nil {
		return err
	}
	cats, err := a.catalogues()
	if err != nil {
		return err
	}
	has, err := domain.StandingOf(a, account, a.At)
	if err != nil {
		return err
	}
	reasons, err := domain.RolesOf(a, account, a.At)
	if err != nil {
		return err
	}
	roles := make([]roleEntry, len(reasons))
	for i, reason := range reasons {
		role := domain.Role(reason.Fact.Name)
		roles[i] = roleEntry{Role: role, Title: roleTitle(cats, role, lang), State: "held", span: spanOf(reason.Interval)}
		if reason.State == domain.NotYet {
			roles[i].State = "scheduled"
		}
		if roles[i].Basis, err = a.basis(r, []domain.Reason{reason}); err != nil {
			return err
		}
	}
	return writeJSON(w, struct {
		Account domain.Account `json:"account"`
		moments
		standing
		Roles []roleEntry `json:"roles"`
	}{account, a.moments(), standing(has), roles})
}
