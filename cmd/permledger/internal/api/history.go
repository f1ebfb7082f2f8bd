package api

// History: what was recorded, each event with a sentence for people and with what corrected it, as JSON or as CSV. Which
// events they are is package ledger's to know, and how they are said is domain's.

import (
	"bytes"
	"encoding/csv"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/permledger/permledger/cmd/permledger/internal/ledger"
	"github.com/permledger/permledger/domain"
)

// The orders of a history, and its forms.
const (
	oldestFirst = "oldest"
	newestFirst = "newest"

	formJSON = "json"
	formCSV  = "csv"
)

// historyHead is what a history is of: at most one of the first four.
type historyHead struct {
	About domain.Account `json:"about,omitempty"`
	Role  domain.Role    `json:"role,omitempty"`
	Grant domain.GrantID `json:"grant,omitempty"`
	Actor domain.Account `json:"actor,omitempty"`
	moments
}

// historyTail ends it. Next is what to give as after, where the oldest come first; page goes on in either order, by what
// was known when the first page was asked for.
type historyTail struct {
	Complete bool       `json:"complete"`
	Next     domain.Seq `json:"next,omitempty"`
	Page     string     `json:"page,omitempty"`
}

// toldEvent is an event with what people want to know of it.
type toldEvent struct {
	*domain.Event
	sentence    string
	correctedBy []domain.Seq
}

// MarshalJSON gives the event's own form with two fields more.
func (e toldEvent) MarshalJSON() ([]byte, error) {
	b, err := e.Event.MarshalJSON()
	if err != nil {
		return nil, err
	}
	more := marshal(struct {
		Sentence    string       `json:"sentence"`
		CorrectedBy []domain.Seq `json:"corrected_by,omitempty"`
	}{e.sentence, e.correctedBy})
	return append(append(b[:len(b)-1], ','), more[1:]...), nil
}

// history gives the events of an account, a role or a grant, or by an actor, or all, as far as they were known. at alone
// means known at that moment, as everywhere; with known_at the log up to there is told, corrections included.
func (s *server) history(w http.ResponseWriter, r *http.Request) error {
	p, pg, err := readPage(r, "history", "about", "role", "grant", "actor", "type", "from", "until", "order", "after", "limit", "at", "known_at", "lang", "format")
	if err != nil {
		return err
	}
	trail, err := p.trail()
	if err != nil {
		return err
	}
	if pg.Last != "" {
		past, err := strconv.ParseUint(pg.Last, 10, 63)
		if err != nil {
			return badPage()
		}
		trail.Past = domain.Seq(past)
	}
	limit, err := p.limit(0, maxLimit)
	if err != nil {
		return err
	}
	lang, err := p.lang()
	if err != nil {
		return err
	}
	form, err := historyForm(p, r)
	if err != nil {
		return err
	}
	a, err := pg.ask(s, r, p["at"], p["known_at"])
	if err != nil {
		return err
	}
	defer a.close()
	if err := a.trailKnown(trail); err != nil {
		return err
	}
	t := domain.Teller{Lang: lang, Show: domain.Instant.String}
	w.Header().Add("Vary", "Accept")
	if form == formCSV {
		return a.historyCSV(w, r, trail, t)
	}
	out := openStream(w, historyHead{trail.About, trail.Role, trail.Grant, trail.Actor, a.moments()}, "events")
	var last domain.Seq
	for told, err := range a.History(r.Context(), trail) {
		if err != nil {
			return err
		}
		if limit > 0 && out.n == limit {
			tail := historyTail{Page: pg.next(a, "history", p, strconv.FormatUint(uint64(last), 10))}
			if !trail.Newest {
				tail.Next = last
			}
			return out.close(tail)
		}
		if err := out.add(toldEvent{told.Event, t.Event(told.Event, told.Concern), told.CorrectedBy}); err != nil {
			return err
		}
		last = told.Event.Seq
	}
	return out.close(historyTail{Complete: true})
}

// trail reads which events are wanted.
func (p params) trail() (t ledger.Trail, err error) {
	var of []string
	for _, name := range []string{"about", "role", "grant", "actor"} {
		if p[name] != "" {
			of = append(of, name)
		}
	}
	if len(of) > 1 {
		return t, domain.Errorf(domain.Malformed, "bad_parameter", "query parameters %s: a history is of one of them; or of none, which is all that was recorded", strings.Join(of, " and "))
	}
	if t.About, err = p.optionalAccount("about"); err != nil {
		return t, err
	}
	if t.Actor, err = p.optionalAccount("actor"); err != nil {
		return t, err
	}
	if p["role"] != "" {
		role, err := domain.ParseName("role", p["role"])
		if err != nil {
			return t, err
		}
		t.Role = domain.Role(role)
	}
	t.Grant = domain.GrantID(p["grant"])
	if t.Types, err = p.eventTypes(); err != nil {
		return t, err
	}
	if t.From, err = p.instant("from"); err != nil {
		return t, err
	}
	if t.Until, err = p.instant("until"); err != nil {
		return t, err
	}
	if t.From != 0 && t.Until != 0 && t.From >= t.Until {
		return t, domain.Errorf(domain.Malformed, "bad_interval", "from %s until %s: want from to be before until, which is not itself included", t.From, t.Until)
	}
	switch p["order"] {
	case "", oldestFirst:
	case newestFirst:
		t.Newest = true
	default:
		return t, domain.Errorf(domain.Malformed, "bad_parameter", "query parameter order %q: want %s or %s, which come first", clip(p["order"]), oldestFirst, newestFirst)
	}
	if t.Newest && p["after"] != "" {
		return t, domain.Errorf(domain.Malformed, "bad_parameter", "query parameter after: goes with the oldest first; with order=%s go on with page", newestFirst)
	}
	t.Past, err = p.after()
	return t, err
}

// instant reads a time; 0 where none is given.
func (p params) instant(name string) (domain.Instant, error) {
	if p[name] == "" {
		return 0, nil
	}
	i, err := domain.ParseInstant(p[name])
	return i, within(name, err)
}

// eventTypes reads a list of types, or of their beginnings with a "*", and refuses what there is none of.
func (p params) eventTypes() ([]string, error) {
	if p["type"] == "" {
		return nil, nil
	}
	all := domain.EventTypes()
	types := strings.Split(p["type"], ",")
	for _, want := range types {
		if !slices.ContainsFunc(all, func(typ domain.EventType) bool { return ledger.Matches(want, typ) }) {
			return nil, domain.Errorf(domain.Malformed, "unknown_type", "type %q: there are no such events; want a list, separated by commas, of beginnings such as role.* or of %s", clip(want), joined(all))
		}
	}
	return types, nil
}

// historyForm says whether JSON is wanted or CSV: by format, or else by Accept, where it names CSV and not JSON.
func historyForm(p params, r *http.Request) (string, error) {
	form := p["format"]
	switch form {
	case formJSON, formCSV:
	case "":
		form = formJSON
		if accepts(r, "text/csv") && !accepts(r, "application/json") {
			form = formCSV
		}
	default:
		return "", domain.Errorf(domain.Malformed, "bad_parameter", "query parameter format %q: want %s or %s", clip(form), formJSON, formCSV)
	}
	if form == formCSV && p["limit"] != "" {
		return "", domain.Errorf(domain.Malformed, "bad_parameter", "query parameter limit: CSV is given whole, as it has no place to say that there is more; leave it out, or ask for JSON")
	}
	return form, nil
}

func accepts(r *http.Request, media string) bool {
	for _, header := range r.Header.Values("Accept") {
		for one := range strings.SplitSeq(header, ",") {
			if accepted, _, err := mime.ParseMediaType(one); err == nil && accepted == media {
				return true
			}
		}
	}
	return false
}

// trailKnown refuses what never was, as far as is known today: no events, as an answer to a slip, would be misleading.
func (a *asking) trailKnown(t ledger.Trail) error {
	switch {
	case t.About != "":
		return a.Account("about", t.About)
	case t.Role != "":
		cats, err := a.catalogues()
		if err != nil {
			return err
		}
		return a.roleKnown(cats, t.Role)
	case t.Grant == "" && t.Actor == "":
		return nil
	}
	now, err := a.now()
	if err != nil {
		return err
	}
	if t.Grant != "" {
		ref, err := now.Fact(domain.Fact{Family: domain.FamilyGrantRef, Subject: domain.GrantRef(t.Grant), Object: domain.GrantsRef})
		if err == nil && len(ref.Intervals) == 0 {
			err = domain.Errorf(domain.Unknown, "unknown_grant", "grant %q: there never was such a grant", clip(string(t.Grant)))
		}
		return err
	}
	// Who acts need not have an account: a sign-in service has none, and neither has who is named in an imported history.
	did, err := now.Did(t.Actor)
	if did || err != nil {
		return err
	}
	return a.Account("actor", t.Actor)
}

// historyColumns head a history as CSV. data is the event's data as JSON.
var historyColumns = []string{"seq", "recorded_at", "type", "actor", "reason", "source", "sentence", "data"}

// historyCSV gives a history as RFC 4180 has it.
func (a *asking) historyCSV(w http.ResponseWriter, r *http.Request, trail ledger.Trail, t domain.Teller) error {
	w.Header().Set("Content-Type", "text/csv; charset=utf-8; header=present")
	var b bytes.Buffer
	c := csv.NewWriter(&b)
	c.UseCRLF = true
	add := func(row []string) error {
		if err := c.Write(row); err != nil {
			return err
		}
		c.Flush()
		if b.Len() < sendAt {
			return nil
		}
		_, err := b.WriteTo(w)
		return err
	}
	if err := add(historyColumns); err != nil {
		return err
	}
	for told, err := range a.History(r.Context(), trail) {
		if err != nil {
			return err
		}
		e := told.Event
		reason := e.Reason
		if reason == "" && e.SealedFor != "" {
			reason = t.Erased()
		}
		row := []string{strconv.FormatUint(uint64(e.Seq), 10), e.RecordedAt.String(), string(e.Type), string(e.Actor), reason, e.Source, t.Event(e, told.Concern), string(e.DataJSON())}
		for i := range row {
			row[i] = harmless(row[i])
		}
		if err := add(row); err != nil {
			return err
		}
	}
	_, err := b.WriteTo(w)
	return err
}

// harmless keeps a spreadsheet from running a cell as a formula: what would begin one gets an apostrophe before it.
func harmless(cell string) string {
	if cell != "" && strings.ContainsRune("=+-@\t\r", rune(cell[0])) {
		return "'" + cell
	}
	return cell
}
