package domain

// What if: the ledger as it is, under another role catalogue. Who holds what stays what was recorded; only what it
// permits is another document's. It decides nothing: whoever decides reads through it.

import "iter"

// WhatIf reads as r does, but cat is the catalogue in force at every moment, and no event adopted it: decisions by it have
// Catalogue 0. What was recorded under the real one stays, though cat might have refused it: somebody of a kind that it
// lacks may do nothing, a role that it lacks gives nothing.
func WhatIf(r Reader, cat *Catalogue) Reader { return supposed{r, cat} }

type supposed struct {
	Reader
	cat *Catalogue
}

// always is since before every moment that a question may be about.
const always Instant = 0

func (s supposed) version() Version {
	return Version{Intervals: []Interval{{From: always, Until: Forever, Detail: s.cat.Name}}}
}

func (s supposed) Fact(f Fact) (Version, error) {
	if f == catalogueFact() {
		return s.version(), nil
	}
	return s.Reader.Fact(f)
}

func (s supposed) FactsOf(family Family, subject Account) iter.Seq2[Held, error] {
	if f := catalogueFact(); family == f.Family && subject == f.Subject {
		return func(yield func(Held, error) bool) { yield(Held{f, s.version()}, nil) }
	}
	return s.Reader.FactsOf(family, subject)
}

// Catalogue gives cat for the event 0, which began its time in force; of the events there are, what they adopted.
func (s supposed) Catalogue(seq Seq) (*Catalogue, error) {
	if seq == 0 {
		return s.cat, nil
	}
	return s.Reader.Catalogue(seq)
}

// WhatIfAlways is WhatIf for questions about an interval.
func WhatIfAlways(h History, cat *Catalogue) History { return supposedAlways{supposed{h, cat}, h} }

type supposedAlways struct {
	supposed
	h History
}

func (s supposedAlways) Versions(f Fact) iter.Seq2[Version, error] {
	if f == catalogueFact() {
		return func(yield func(Version, error) bool) { yield(s.version(), nil) }
	}
	return s.h.Versions(f)
}

func (s supposedAlways) SeqAt(t Instant) (Seq, error) { return s.h.SeqAt(t) }
