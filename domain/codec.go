package domain

// The wire form of events. A stored event is one JSON object whose bytes are a promise: each type has golden files
// under testdata that are kept for ever, a change is a new version of the type, and old versions are lifted when read.
// The form is read strictly: an unknown type, version or field, a field twice, a null, a missing field or anything
// after the object is an error, because a reader that shrugs at what it does not know would give wrong answers about
// people. It is also small (one flat object with one flat object in it), so it has a reader of its own in
// json.go, which is several times as fast as a general one: replay is bounded by it.

import (
	"maps"
	"slices"
	"strconv"
	"unicode/utf8"
)

// newData makes the data of each event type.
var newData = map[EventType]func() Data{
	CatalogueAdopted:   func() Data { return new(CatalogueAdoption) },
	AccountOpened:      func() Data { return new(AccountOpening) },
	AccountDeactivated: func() Data { return new(AccountDeactivation) },
	AccountReactivated: func() Data { return new(AccountReactivation) },
	RoleAssigned:       func() Data { return new(RoleAssignment) },
	RoleRevoked:        func() Data { return new(RoleRevocation) },
	CaseloadLinked:     func() Data { return new(CaseloadLink) },
	CaseloadUnlinked:   func() Data { return new(CaseloadUnlink) },
	TeamJoined:         func() Data { return new(TeamJoin) },
	TeamLeft:           func() Data { return new(TeamLeave) },
	AccessGranted:      func() Data { return new(AccessGrant) },
	AccessRevoked:      func() Data { return new(AccessRevocation) },
	AccessReviewed:     func() Data { return new(AccessReview) },
	PermissionAdded:    func() Data { return new(PermissionAddition) },
	PermissionWithheld: func() Data { return new(PermissionWithholding) },
	PermissionRestored: func() Data { return new(PermissionRestoration) },
	ResourceRegistered: func() Data { return new(ResourceRegistration) },
	ResourceRemoved:    func() Data { return new(ResourceRemoval) },
	SigninFailed:       func() Data { return new(SigninFailure) },
	SigninSucceeded:    func() Data { return new(SigninSuccess) },
	AccountLocked:      func() Data { return new(AccountLock) },
	AccountUnlocked:    func() Data { return new(AccountUnlock) },
	GuestInvited:       func() Data { return new(GuestInvitation) },
	GuestAdmitted:      func() Data { return new(GuestAdmission) },
	CallEnded:          func() Data { return new(CallEnding) },
	FactCorrected:      func() Data { return new(Correction) },
	ValidityStarted:    func() Data { return new(ValidityStart) },
	ValidityEnded:      func() Data { return new(ValidityEnd) },
	SubjectErased:      func() Data { return new(SubjectErasure) },
}

// EventTypes lists the types, sorted.
func EventTypes() []EventType { return slices.Sorted(maps.Keys(newData)) }

// newest is the version of the types whose form has changed; every other is at 1. The older ones are read for ever.
var newest = map[EventType]int{
	GuestInvited:  2, // 1 had no link
	GuestAdmitted: 2, // 1 had no link
}

// newestVersion is the newest version of a type that this program knows.
func newestVersion(typ EventType) int { return max(1, newest[typ]) }

// versionOf gives the version that says all of the data: the oldest that does, so that what needs no new form is written
// as it always was.
func versionOf(d Data) int {
	switch d := d.(type) {
	case *GuestInvitation:
		if d.Link != "" {
			return 2
		}
	case *GuestAdmission:
		if d.Link != "" {
			return 2
		}
	}
	return 1
}

// need says when a field must be there.
type need uint8

const (
	required need = iota // always
	optional             // may be left out anywhere
	filled               // in the log always; whoever asks may leave it out, and the ledger fills it in or checks it
)

// A binder visits the fields of a Data: to write them, to read them, or to list them.
type binder interface {
	account(name string, v *Account, n need)
	resource(name string, v *Resource, n need)
	kind(name string, v *Kind, n need)
	name(name string, v *string, n need) // a role, relation or profile
	action(name string, v *Action, n need)
	token(name string, v *string, n need)         // a short technical string
	text(name string, v *string, max int, n need) // free text, perhaps about a person
	instant(name string, v *Instant, n need)
	number(name string, v *uint64, n need) // from 1
	link(name string, v *string)           // a one-time link: the Digest of its secret. Since version 2
	flag(name string, v *bool)
}

func (d *CatalogueAdoption) bind(b binder) {
	b.token("catalogue", &d.Catalogue, filled)
	v := uint64(d.Version)
	b.number("version", &v, filled)
	if d.Version != int(v) { // writing only reads: an event may be written from many goroutines at once
		d.Version = int(v)
	}
	b.token("digest", &d.Digest, filled)
	b.text("document", &d.Document, MaxDocument, required)
}

func (d *AccountOpening) bind(b binder) {
	b.account("account", &d.Account, required)
	b.text(displayName, &d.DisplayName, MaxText, optional)
}

func (d *AccountDeactivation) bind(b binder) { b.account("account", &d.Account, required) }
func (d *AccountReactivation) bind(b binder) { b.account("account", &d.Account, required) }

func (d *RoleAssignment) bind(b binder) {
	b.account("principal", &d.Principal, required)
	b.name("role", (*string)(&d.Role), required)
	span(b, &d.From, &d.Until)
}

func (d *RoleRevocation) bind(b binder) {
	b.account("principal", &d.Principal, required)
	b.name("role", (*string)(&d.Role), required)
}

func (d *CaseloadLink) bind(b binder) {
	b.account("principal", &d.Principal, required)
	b.account("client", &d.Client, required)
	b.name("relation", (*string)(&d.Relation), required)
	span(b, &d.From, &d.Until)
}

func (d *CaseloadUnlink) bind(b binder) {
	b.account("principal", &d.Principal, required)
	b.account("client", &d.Client, required)
	b.name("relation", (*string)(&d.Relation), required)
}

func (d *TeamJoin) bind(b binder) {
	b.account("team", &d.Team, required)
	b.account("member", &d.Member, required)
	span(b, &d.From, &d.Until)
}

func (d *TeamLeave) bind(b binder) {
	b.account("team", &d.Team, required)
	b.account("member", &d.Member, required)
}

func (d *AccessGrant) bind(b binder) {
	b.token("grant", (*string)(&d.Grant), filled)
	b.account("principal", &d.Principal, required)
	b.account("client", &d.Client, required)
	b.name("profile", (*string)(&d.Profile), required)
	b.instant("from", &d.From, optional)
	b.instant("until", &d.Until, required)
}

func (d *AccessRevocation) bind(b binder) { b.token("grant", (*string)(&d.Grant), required) }

func (d *AccessReview) bind(b binder) {
	b.token("grant", (*string)(&d.Grant), required)
	b.token("verdict", &d.Verdict, required)
}

func (d *Exception) bind(b binder) {
	b.account("principal", &d.Principal, required)
	b.kind("on", &d.On, required)
	b.action("action", &d.Action, required)
	b.account("client", &d.Client, optional)
}

func (d *ResourceRegistration) bind(b binder) {
	b.resource("resource", &d.Resource, required)
	b.account("client", &d.Client, required)
	b.account("created_by", &d.CreatedBy, required)
}

func (d *ResourceRemoval) bind(b binder) { b.resource("resource", &d.Resource, required) }
func (d *SigninFailure) bind(b binder)   { b.account("principal", &d.Principal, required) }
func (d *SigninSuccess) bind(b binder)   { b.account("principal", &d.Principal, required) }

func (d *AccountLock) bind(b binder) {
	b.account("principal", &d.Principal, required)
	b.token("cause", &d.Cause, optional)
}

func (d *AccountUnlock) bind(b binder) {
	b.account("principal", &d.Principal, required)
	b.token("cause", &d.Cause, optional)
}

func (d *GuestInvitation) bind(b binder) {
	b.account("guest", &d.Guest, required)
	b.resource("call", &d.Call, required)
	b.instant("until", &d.Until, required)
	b.link("link", &d.Link)
}

func (d *GuestAdmission) bind(b binder) {
	b.account("guest", &d.Guest, required)
	b.resource("call", &d.Call, required)
	b.link("link", &d.Link)
}

func (d *CallEnding) bind(b binder) { b.resource("call", &d.Call, required) }

func (d *Correction) bind(b binder) {
	b.number("corrects", (*uint64)(&d.Corrects), required)
	span(b, &d.From, &d.Until)
	b.flag("void", &d.Void)
}

func (d *ValidityStart) bind(b binder)  { b.number("of", (*uint64)(&d.Of), required) }
func (d *ValidityEnd) bind(b binder)    { b.number("of", (*uint64)(&d.Of), required) }
func (d *SubjectErasure) bind(b binder) { b.account("account", &d.Account, required) }

func span(b binder, from, until *Instant) {
	b.instant("from", from, optional)
	b.instant("until", until, optional)
}

// displayName is the one field of any data that is about a person and therefore sealed.
const displayName = "display_name"

// AppendEvent appends the stored form of e to b: what the log keeps. e.Seq is not part of it.
func AppendEvent(b []byte, e *Event) []byte { return appendEvent(b, e, false) }

// MarshalJSON gives the form in which events are shown: the stored form with seq.
func (e *Event) MarshalJSON() ([]byte, error) { return appendEvent(nil, e, true), nil }

// DataJSON gives the data alone, as the event's form has it.
func (e *Event) DataJSON() []byte { return appendData(nil, e.Data) }

func appendEvent(b []byte, e *Event, shown bool) []byte {
	w := writer{b: append(b, '{')}
	w.str("id", string(e.ID))
	w.str("org", string(e.Org))
	if shown {
		w.uint("seq", uint64(e.Seq))
	}
	w.str("type", string(e.Type))
	w.uint("v", uint64(e.Version))
	w.instant("recorded_at", &e.RecordedAt, required)
	w.instant("occurred_at", &e.OccurredAt, optional)
	w.str("actor", string(e.Actor))
	w.text("reason", &e.Reason, 0, optional)
	w.token("source", &e.Source, optional)
	w.token("request_id", &e.RequestID, optional)
	w.account("sealed_for", &e.SealedFor, optional)
	w.key("data")
	return append(appendData(w.b, e.Data), '}')
}

// appendData appends the data's own object.
func appendData(b []byte, d Data) []byte {
	w := writer{b: append(b, '{')}
	d.bind(&w)
	return append(w.b, '}')
}

// DecodeEvent reads the stored form. Whoever reads the log turns its error into an Integrity failure: what the ledger
// wrote it can read.
func DecodeEvent(seq Seq, stored []byte) (*Event, error) {
	r, err := readObject(string(stored))
	if err != nil {
		return nil, err
	}
	e := &Event{Seq: seq}
	var id, org, typ string
	var version uint64
	r.token("id", &id, required)
	r.token("org", &org, required)
	r.token("type", &typ, required)
	r.number("v", &version, required)
	r.instant("recorded_at", &e.RecordedAt, required)
	if r.err == nil && !validOrg(org) {
		r.fail("bad_org", "organisation %q: want 1 to 63 of a-z, 0-9 and -", clip(org))
	}
	e.ID, e.Org, e.Version = EventID(id), Org(org), int(version)
	r.account("sealed_for", &e.SealedFor, optional)
	r.sealed = e.SealedFor != ""
	r.account("actor", &e.Actor, required)
	r.envelope(e)
	e.Data = r.data(EventType(typ), e.Version, inLog)
	e.Type = EventType(typ)
	return e, r.end()
}

// DecodeLine reads one line of an import (contract §6): at, type, actor, source, reason, occurred_at, request_id and
// data. The event's ID, Org and Seq are the importer's to set.
func DecodeLine(line []byte) (*Event, error) {
	r, err := readObject(string(line))
	if err != nil {
		return nil, err
	}
	e := &Event{}
	var typ string
	r.instant("at", &e.RecordedAt, required)
	r.token("type", &typ, required)
	r.account("actor", &e.Actor, required)
	r.envelope(e)
	e.Data = r.data(EventType(typ), newestVersion(EventType(typ)), inLine)
	e.Type, e.Version = EventType(typ), versionOf(e.Data)
	return e, r.end()
}

// envelope reads the fields that events, import lines and commands share.
func (r *fields) envelope(e *Event) {
	r.text("reason", &e.Reason, MaxText, optional)
	r.token("source", &e.Source, optional)
	r.token("request_id", &e.RequestID, optional)
	r.instant("occurred_at", &e.OccurredAt, optional)
}

// data reads the "data" object of an event of the type; from tells where it stands.
func (r *fields) data(typ EventType, version int, from origin) Data {
	raw, ok := r.take("data", required)
	if !ok {
		return nil
	}
	make, known := newData[typ]
	switch {
	case !known:
		r.fail("unknown_type", "type %q: there is no such event type; they are %s", clip(string(typ)), sortedNames(newData))
		return nil
	case version < 1 || version > newestVersion(typ):
		r.fail("unknown_version", "version %d of %s: this program knows version %d and what was before it", version, typ, newestVersion(typ))
		return nil
	case raw.is != isObject:
		r.fail("bad_data", "data: want an object")
		return nil
	}
	inner, err := readObject(raw.s)
	if err != nil {
		r.err = err
		return nil
	}
	inner.within, inner.from, inner.version, inner.sealed = "data.", from, version, r.sealed
	d := make()
	d.bind(inner)
	r.err = inner.end()
	return d
}

// DataFields reads the data that a command for the event type brings from loose key=value pairs, as a command line gives
// them. The same names, rules and errors as everywhere.
func DataFields(typ EventType, pairs [][2]string) (Data, error) {
	return dataOfPairs(typ, pairs, inCommand)
}

// CommandData reads pairs as DataFields does, and gives the object in which a command sends them: with the secret of a
// one-time link, of which events have but the hash.
func CommandData(typ EventType, pairs [][2]string) ([]byte, error) {
	d, err := dataOfPairs(typ, pairs, beforeSending)
	if err != nil {
		return nil, err
	}
	return appendData(nil, d), nil
}

func dataOfPairs(typ EventType, pairs [][2]string, from origin) (Data, error) {
	make, known := newData[typ]
	if !known {
		return nil, Errorf(Malformed, "unknown_type", "type %q: there is no such event type; they are %s", clip(string(typ)), sortedNames(newData))
	}
	r := &fields{loose: true, from: from}
	for _, p := range pairs {
		if r.has(p[0]) {
			return nil, Errorf(Malformed, "bad_data", "%s: given twice", clip(p[0]))
		}
		if !utf8.ValidString(p[1]) {
			return nil, Errorf(Malformed, "bad_data", "%s: not valid UTF-8", clip(p[0]))
		}
		r.list = append(r.list, field{name: p[0], is: isString, s: p[1]})
	}
	d := make()
	d.bind(r)
	return d, r.end()
}

// A FieldName is a field that a command's data takes, for help texts and completion.
type FieldName struct {
	Name     string
	Required bool
}

// FieldNames lists the fields of an event type's data, in the order of contract §2.
func FieldNames(typ EventType) []FieldName {
	make, known := newData[typ]
	if !known {
		return nil
	}
	var l lister
	make().bind(&l)
	return l
}

// lister lists the fields it is shown.
type lister []FieldName

func (l *lister) add(name string, n need)                    { *l = append(*l, FieldName{name, n == required}) }
func (l *lister) account(name string, _ *Account, n need)    { l.add(name, n) }
func (l *lister) resource(name string, _ *Resource, n need)  { l.add(name, n) }
func (l *lister) kind(name string, _ *Kind, n need)          { l.add(name, n) }
func (l *lister) name(name string, _ *string, n need)        { l.add(name, n) }
func (l *lister) action(name string, _ *Action, n need)      { l.add(name, n) }
func (l *lister) token(name string, _ *string, n need)       { l.add(name, n) }
func (l *lister) text(name string, _ *string, _ int, n need) { l.add(name, n) }
func (l *lister) instant(name string, _ *Instant, n need)    { l.add(name, n) }
func (l *lister) number(name string, _ *uint64, n need)      { l.add(name, n) }
func (l *lister) link(name string, _ *string)                { l.add(name, optional) }
func (l *lister) flag(name string, _ *bool)                  { l.add(name, optional) }

// Texts gives the parts of the event that are about a person and sealed in the log, by field name, for whoever seals
// or opens them. Empty ones are left out.
func (e *Event) Texts() map[string]*string {
	d, opening := e.Data.(*AccountOpening)
	opening = opening && d.DisplayName != ""
	if e.Reason == "" && !opening {
		return nil
	}
	texts := make(map[string]*string, 2)
	if e.Reason != "" {
		texts["reason"] = &e.Reason
	}
	if opening {
		texts[displayName] = &d.DisplayName
	}
	return texts
}

// Clone copies the event, and its data where that holds a personal text: sealing and opening change those in a copy.
func (e *Event) Clone() *Event {
	c := *e
	if d, ok := e.Data.(*AccountOpening); ok {
		opening := *d
		c.Data = &opening
	}
	return &c
}

// writer writes fields as JSON. Its b ends in '{' before the first field of an object.
type writer struct{ b []byte }

func (w *writer) key(name string) {
	if w.b[len(w.b)-1] != '{' {
		w.b = append(w.b, ',')
	}
	w.b = append(w.b, '"')
	w.b = append(w.b, name...)
	w.b = append(w.b, '"', ':')
}

func (w *writer) str(name, v string) { w.key(name); w.b = appendString(w.b, v) }

func (w *writer) opt(name, v string, n need) {
	if v != "" || n == required {
		w.str(name, v)
	}
}

func (w *writer) uint(name string, v uint64) { w.key(name); w.b = strconv.AppendUint(w.b, v, 10) }

func (w *writer) account(name string, v *Account, n need)   { w.opt(name, string(*v), n) }
func (w *writer) resource(name string, v *Resource, n need) { w.opt(name, string(*v), n) }
func (w *writer) kind(name string, v *Kind, n need)         { w.opt(name, string(*v), n) }
func (w *writer) name(name string, v *string, n need)       { w.opt(name, *v, n) }
func (w *writer) action(name string, v *Action, n need)     { w.opt(name, string(*v), n) }
func (w *writer) token(name string, v *string, n need)      { w.opt(name, *v, n) }

func (w *writer) text(name string, v *string, _ int, n need) { w.opt(name, *v, n) }

func (w *writer) instant(name string, v *Instant, n need) {
	if *v == 0 && n != required {
		return
	}
	w.key(name)
	w.b = append(w.b, '"')
	w.b = v.append(w.b)
	w.b = append(w.b, '"')
}

func (w *writer) number(name string, v *uint64, n need) {
	if *v != 0 || n == required {
		w.uint(name, *v)
	}
}

func (w *writer) link(name string, v *string) { w.opt(name, *v, optional) }

func (w *writer) flag(name string, v *bool) {
	if *v {
		w.key(name)
		w.b = append(w.b, "true"...)
	}
}
