package consumers

// A filter: which changes somebody wants. What is about a resource is the ledger's to say (Ledger.About).

import (
	"context"
	"slices"
	"strings"

	"github.com/permledger/permledger/domain"
)

// A Filter says which changes are wanted; the zero Filter wants all.
type Filter struct {
	About   domain.Resource `json:"about,omitempty"`   // only changes about this resource or account, resolved for it
	Subject domain.Account  `json:"subject,omitempty"` // only what this subject gains and loses
	Kinds   []string        `json:"kinds,omitempty"`   // only of these: "gained", "lost", or a kind of subject, e.g. "professional"
}

// ParseKinds reads a list of kinds, joined by commas.
func ParseKinds(s string) ([]string, error) {
	var kinds []string
	for k := range strings.SplitSeq(s, ",") {
		if _, err := domain.ParseName("kind", k); err != nil {
			return nil, err
		}
		if !slices.Contains(kinds, k) {
			kinds = append(kinds, k)
		}
	}
	return kinds, nil
}

// Of gives the changes of one step that are wanted.
func (f Filter) Of(ctx context.Context, l Ledger, changes []Change) ([]Change, error) {
	wanted := changes
	if f.Subject != "" || len(f.Kinds) > 0 {
		wanted = nil
		for _, c := range changes {
			if f.Wants(c) {
				wanted = append(wanted, c)
			}
		}
	}
	if f.About == "" || len(wanted) == 0 {
		return wanted, nil
	}
	wanted, err := l.About(ctx, f.About, wanted)
	if err != nil || len(f.Kinds) == 0 { // resolving says of each what it comes to there
		return wanted, err
	}
	return slices.DeleteFunc(wanted, func(c Change) bool { return !f.Wants(c) }), nil
}

// Wants tells whether the filter wants a change as it is; what it is about is not looked at.
func (f Filter) Wants(c Change) bool {
	if f.Subject != "" && c.Subject != f.Subject {
		return false
	}
	kind, of := false, false // of: some kind of subject is named; of change: likewise
	wantsKind, wantsOf := true, true
	for _, k := range f.Kinds {
		if k == Gained || k == Lost {
			kind, wantsKind = kind || k == c.Kind, false
		} else {
			of, wantsOf = of || k == string(c.Subject.Kind()), false
		}
	}
	return (wantsKind || kind) && (wantsOf || of)
}
