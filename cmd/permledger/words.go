package main

// The screen's own words, one table a language. What a service says of an answer (why, what is missing) comes from it in
// the language that was asked for; help and errors are English.

import (
	"fmt"
	"net/url"

	"github.com/permledger/permledger/domain"
)

// words are what a screen says in one language. Where a text has verbs of fmt, what they stand for is said beside it.
type words struct {
	lang        domain.Lang
	yes, no     string
	may, mayNot string // the verdict, the subject, the action and the resource, in that order
	whyNot      string // a sentence
	until       string // a time
	line        string // the line, the catalogue's name and which that is: what a yes rests on
	nearest     string // the same, of a no
	byCatalogue string // the name and which that is, where there is no line
	version     string // which: an adopted one; a number
	notInForce  string // which: one that was supposed
	inForce     string // which: one that was supposed and is in force
	ways        string
	asOf        string // a moment and a seq
	next        string
	onThisPage  string
	correctedBy string // seqs
	recordedAs  string // a seq, a time and an event's sentence

	// Headers of columns.
	seq, recorded, event, actor, reason string
	because, whatThereIs                string
	account, by, resource, mayDo        string

	who                                                                    counted // the action, the resource and onThisPage
	what                                                                   counted // the subject and onThisPage
	history                                                                counted // what of, in one of these:
	ends                                                                   string  // a time
	historyOf, historyOfRole, historyOfGrant, historyOfActor, historyOfAll string  // the account, role and so on
	filtered                                                               string
	verdicts                                                               map[string]string // of reviews, where they are not the data's own words
	lookup                                                                 lookupWords

	during duringWords
	feed   feedWords

	// Previews.
	notRecorded, comesTo, wouldRecord, nothingToRecord string // wouldRecord: a sentence
	gains, loses, noChange, warning                    string // warning: a sentence
	except, later, listed                              string // some resources; a time; how many of how many
	changeHeader, whoseHeader, actionsHeader           string
	conditionsHeader, wouldBeAt                        string // wouldBeAt: a moment and a seq
}

// counted is a sentence about none, one or many. The count is the first of many's verbs; the others have none of it.
type counted struct{ none, one, many string }

func (c counted) of(n int, args ...any) string {
	switch n {
	case 0:
		return fmt.Sprintf(c.none, args...)
	case 1:
		return fmt.Sprintf(c.one, args...)
	}
	return fmt.Sprintf(c.many, append([]any{n}, args...)...)
}

var english = words{
	lang: domain.English,
	yes:  "Yes", no: "No",
	may: "%s: %s may %s %s", mayNot: "%s: %s may not %s %s",
	whyNot:      "Why not: %s.",
	until:       "By what is known, until %s.",
	line:        "By line %d of role catalogue %s%s.",
	nearest:     "Nearest to a yes is line %d of role catalogue %s%s.",
	byCatalogue: "By role catalogue %s%s.",
	version:     ", version %d",
	notInForce:  ", which is not the one in force",
	inForce:     ", which is the one in force",
	ways:        "The catalogue also allows it to:",
	asOf:        "As of %s, known at seq %d. This is who could, not who did.",
	next:        "Next: ",
	onThisPage:  " on this page",
	correctedBy: " (corrected by seq %s)",
	recordedAs:  "Recorded as seq %d at %s: %s.",

	seq: "SEQ", recorded: "RECORDED", event: "EVENT", actor: "ACTOR", reason: "REASON",
	because: "BECAUSE", whatThereIs: "WHAT THERE IS",
	account: "ACCOUNT", by: "BY", resource: "RESOURCE", mayDo: "MAY",

	who:       counted{"No accounts may %s %s%s.", "1 account may %s %s%s.", "%d accounts may %s %s%s."},
	what:      counted{"No resources are within reach of %s%s.", "1 resource is within reach of %s%s.", "%d resources are within reach of %s%s."},
	history:   counted{"No events %s.", "1 event %s.", "%d events %s."},
	historyOf: "about %s", historyOfRole: "that gave or took role %s", historyOfGrant: "of temporary access %s", historyOfActor: "by %s",
	historyOfAll: "in the ledger", filtered: ", filtered",

	ends:   "until %s",
	lookup: englishLookup,

	during: englishDuring,
	feed:   englishFeed,

	comesTo:     "This is what it comes to:",
	notRecorded: "Nothing was recorded. This is what it would come to:", wouldRecord: "Would record: %s.",
	nothingToRecord: "There would be nothing to record.",
	gains:           "+ gains", loses: "- loses", noChange: "Nobody would gain or lose anything.", warning: "Warning: %s.",
	except: "except %s", later: "from %s", listed: "Shown are %d of %d changes; --limit shows more.",
	changeHeader: "CHANGE", whoseHeader: "WHO", actionsHeader: "ACTIONS", conditionsHeader: "NOTES",
	wouldBeAt: "By what was known at %s, seq %d.",
}

var dutch = words{
	lang: domain.Dutch,
	yes:  "Ja", no: "Nee",
	may: "%s: %s mag %s bij %s", mayNot: "%s: %s mag niet %s bij %s",
	whyNot:      "Waarom niet: %s.",
	until:       "Voor zover bekend, tot %s.",
	line:        "Volgens regel %d van rollencatalogus %s%s.",
	nearest:     "Het dichtst bij een ja komt regel %d van rollencatalogus %s%s.",
	byCatalogue: "Volgens rollencatalogus %s%s.",
	version:     ", versie %d",
	notInForce:  ", die niet van kracht is",
	inForce:     ", die van kracht is",
	ways:        "De catalogus staat het ook toe aan:",
	asOf:        "Stand van %s, bekend tot en met seq %d. Dit zegt wie het kon, niet wie het deed.",
	next:        "Hierna: ",
	onThisPage:  " op deze pagina",
	correctedBy: " (gecorrigeerd door seq %s)",
	recordedAs:  "Vastgelegd als seq %d op %s: %s.",

	seq: "SEQ", recorded: "VASTGELEGD", event: "GEBEURTENIS", actor: "DOOR", reason: "REDEN",
	because: "OMDAT", whatThereIs: "WAT ER WEL IS",
	account: "ACCOUNT", by: "OP GROND VAN", resource: "OBJECT", mayDo: "MAG",

	who:       counted{"Geen enkel account mag %s bij %s%s.", "1 account mag %s bij %s%s.", "%d accounts mogen %s bij %s%s."},
	what:      counted{"Geen enkel object is binnen bereik van %s%s.", "1 object is binnen bereik van %s%s.", "%d objecten zijn binnen bereik van %s%s."},
	history:   counted{"Geen gebeurtenissen %s.", "1 gebeurtenis %s.", "%d gebeurtenissen %s."},
	historyOf: "over %s", historyOfRole: "rond de rol %s", historyOfGrant: "van tijdelijke toegang %s", historyOfActor: "door %s",
	historyOfAll: "in het grootboek", filtered: " die aan de filters voldoen",

	ends:   "tot %s",
	during: dutchDuring,
	feed:   dutchFeed,

	comesTo:     "Dit komt ervan:",
	notRecorded: "Er is niets vastgelegd. Dit zou ervan komen:", wouldRecord: "Zou worden vastgelegd: %s.",
	nothingToRecord: "Er zou niets vast te leggen zijn.",
	gains:           "+ krijgt", loses: "- verliest", noChange: "Niemand zou iets krijgen of verliezen.", warning: "Let op: %s.",
	except: "behalve %s", later: "vanaf %s", listed: "Getoond zijn %d van %d wijzigingen; --limit toont er meer.",
	changeHeader: "WIJZIGING", whoseHeader: "WIE", actionsHeader: "HANDELINGEN", conditionsHeader: "BIJZONDERHEDEN",
	wouldBeAt: "Naar wat bekend was op %s, seq %d.",
	verdicts:  map[string]string{"justified": "terecht", "unjustified": "onterecht", "unclear": "onduidelijk"},
	lookup:    dutchLookup,
}

// language is --lang: the one it was given, or English.
type language struct{ given domain.Lang }

func (l *language) String() string { return string(l.given) }
func (l *language) Type() string   { return "language" }

func (l *language) Set(s string) (err error) {
	l.given, err = domain.ParseLang(s)
	return err
}

// lang is the language to answer in.
func (l *language) lang() domain.Lang {
	if l.given != "" {
		return l.given
	}
	return domain.English
}

func (l *language) words() *words {
	if l.lang() == domain.Dutch {
		return &dutch
	}
	return &english
}

// set asks for the answer's sentences in the language. English, which is what comes unasked, is left out.
func (l *language) set(q url.Values) {
	if lang := l.lang(); lang != domain.English {
		q.Set("lang", string(lang))
	}
}
