package domain

// The names of the model, each its own type, parsed once at the edge and trusted from there on. Nothing in this file
// knows what a name stands for; the catalogue does.

import (
	"fmt"
	"strings"
)

type (
	// Org names an organisation: [a-z0-9][a-z0-9-]{0,62} (contract §1). One organisation has one ledger.
	Org string
	// Account is "kind:id", e.g. professional:anna. It may act (a principal) or be acted on (a resource).
	Account string
	// Resource is "type:id": an account, a registered resource (journal:j1) or a thing there is one of (platform:main).
	Resource string
	// Kind is the part of an account or resource before the colon; the catalogue says which exist.
	Kind string
	// Role is a role's name in the catalogue.
	Role string
	// Relation is how a principal is linked to a protected account: a name in the catalogue.
	Relation string
	// Profile is a kind of temporary access, e.g. emergency: a name in the catalogue's grants.
	Profile string
	// Action is what a principal does to a resource, e.g. view_record, or a command's name, e.g. role.assign.
	Action string
	// GrantID names one temporary access: the caller's choice, or the id of the event that granted it.
	GrantID string
	// EventID is a ULID in its text form, 26 characters.
	EventID string
	// Seq is an event's place in its ledger, from 1: the only order there is. 0 is before the first event.
	Seq uint64
)

// Limits of what a caller may send, in bytes. They bound memory and keep every stored event well under NATS's
// default message limit of 1 MiB.
const (
	MaxID       = 128       // an account's or resource's id
	MaxName     = 63        // a kind, role, relation, profile, organisation
	MaxAction   = 128       // an action
	MaxToken    = 128       // a request id, a grant id, a source, a cause
	MaxText     = 4096      // a reason, a display name
	MaxDocument = 512 << 10 // a catalogue document
)

// ParseOrg reads an organisation's name.
func ParseOrg(s string) (Org, error) {
	if !validOrg(s) {
		return "", Errorf(Malformed, "bad_org", "organisation %q: want 1 to 63 of a-z, 0-9 and -, not beginning with -", clip(s))
	}
	return Org(s), nil
}

func validOrg(s string) bool {
	if s == "" || len(s) > MaxName || s[0] == '-' {
		return false
	}
	for i := range len(s) {
		if c := s[i]; !lowerOrDigit(c) && c != '-' {
			return false
		}
	}
	return true
}

// ParseAccount reads "kind:id". It does not say whether the kind exists or the account was ever opened.
func ParseAccount(s string) (Account, error) {
	if err := checkRef("account", s); err != nil {
		return "", err
	}
	return Account(s), nil
}

// ParseResource reads "type:id".
func ParseResource(s string) (Resource, error) {
	if err := checkRef("resource", s); err != nil {
		return "", err
	}
	return Resource(s), nil
}

func checkRef(what, s string) error {
	kind, id, ok := strings.Cut(s, ":")
	switch {
	case !ok:
		return Errorf(Malformed, "bad_"+what, "%s %q: want kind:id, e.g. professional:anna", what, clip(s))
	case !validName(kind):
		return Errorf(Malformed, "bad_"+what, "%s %q: the kind before the colon must be 1 to 63 of a-z, 0-9, _ and -, beginning with a letter", what, clip(s))
	case !validID(id):
		return Errorf(Malformed, "bad_"+what, "%s %q: the id after the colon must be 1 to 128 of A-Z a-z 0-9 . _ ~ @ / + = -", what, clip(s))
	}
	return nil
}

// ParseName reads a role, relation, profile or kind; what says which, for the error.
func ParseName(what, s string) (string, error) {
	if !validName(s) {
		return "", Errorf(Malformed, "bad_"+what, "%s %q: want 1 to 63 of a-z, 0-9, _ and -, beginning with a letter", what, clip(s))
	}
	return s, nil
}

// ParseAction reads an action: a name that may have dots in it.
func ParseAction(s string) (Action, error) {
	if s == "" || len(s) > MaxAction {
		return "", badAction(s)
	}
	for part := range strings.SplitSeq(s, ".") {
		if !validName(part) {
			return "", badAction(s)
		}
	}
	return Action(s), nil
}

func badAction(s string) error {
	return Errorf(Malformed, "bad_action", "action %q: want names of a-z, 0-9, _ and - joined by dots, e.g. view_record or role.assign", clip(s))
}

func validName(s string) bool {
	if s == "" || len(s) > MaxName || s[0] < 'a' || s[0] > 'z' {
		return false
	}
	for i := 1; i < len(s); i++ {
		if c := s[i]; !lowerOrDigit(c) && c != '_' && c != '-' {
			return false
		}
	}
	return true
}

func lowerOrDigit(c byte) bool { return c >= 'a' && c <= 'z' || c >= '0' && c <= '9' }

func validID(s string) bool {
	if s == "" || len(s) > MaxID {
		return false
	}
	for i := range len(s) {
		if !idByte[s[i]] {
			return false
		}
	}
	return true
}

// idByte marks the bytes that an id may have: [A-Za-z0-9._~@/+=-] (contract §1).
var idByte = func() (t [256]bool) {
	for _, c := range []byte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._~@/+=-") {
		t[c] = true
	}
	return t
}()

// validToken accepts a grant id, request id or source: printable ASCII without surrounding spaces.
func validToken(s string) bool {
	if s == "" || len(s) > MaxToken || s != strings.TrimSpace(s) {
		return false
	}
	for i := range len(s) {
		if s[i] < 0x20 || s[i] > 0x7e {
			return false
		}
	}
	return true
}

// The length of a one-time link's secret. A shorter one could be guessed from its hash.
const minSecret, maxSecret = 16, 128

// validSecret accepts printable ASCII without spaces.
func validSecret(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return minSecret <= len(s) && len(s) <= maxSecret
}

// validDigest accepts what Digest gives.
func validDigest(s string) bool {
	hex, ok := strings.CutPrefix(s, "sha256:")
	return ok && len(hex) == 64 && strings.Trim(hex, "0123456789abcdef") == ""
}

// Kind is the part before the colon.
func (a Account) Kind() Kind { return Kind(before(string(a))) }

// ID is the part after the colon.
func (a Account) ID() string { return string(a)[len(before(string(a)))+1:] }

// Kind is the part before the colon: the resource's type.
func (r Resource) Kind() Kind { return Kind(before(string(r))) }

// ID is the part after the colon.
func (r Resource) ID() string { return string(r)[len(before(string(r)))+1:] }

func before(s string) string {
	if i := strings.IndexByte(s, ':'); i >= 0 {
		return s[:i]
	}
	panic(fmt.Sprintf("domain: %q was never parsed", s))
}

// clip shortens what a caller sent so that an error stays one readable line.
func clip(s string) string {
	if len(s) > 80 {
		return strings.ToValidUTF8(s[:77], "") + "..."
	}
	return s
}
