package main

// What watch, feed and subscribers say in each language; the rest of the screen's words is in words.go.

// feedWords are the words of these three verbs. Where a text has verbs of fmt, what they stand for is said beside it.
type feedWords struct {
	gains, loses, may string // the subject, the actions and the resource
	until             string // a time
	because           string // a sentence and its seq
	began, ranOut     string // in its place: the sentence that says what did
	from              string // a seq: where following begins
	all               string // a moment and a seq: what stands above was all
	level             string // a seq

	kept               string // how many changes, how much, and the oldest cursor
	published, behind  string // the seq; the seq, the head's and how many there are between
	retained           string // for how long and how much
	forever, unlimited string

	// Headers of columns.
	name, sort, state, cursor, lag, lastError string

	sorts, states, reasons map[string]string // where they are not the data's own words
	nextTry                string            // a time
	events                 counted
	lagging                string // how many events and for how long
	subscribers            counted
	atLeast                string // how many have seen a seq, and of how many
	notSeen                string // names
	registered             string // the name and where its deliveries begin
	secret                 string // the secret
	removed, subscriber    string // the name; the name, its state and its cursor
}

var englishFeed = feedWords{
	gains: "%s gains %s on %s", loses: "%s loses %s on %s", may: "%s may %s on %s",
	until: ", until %s", because: ", because %s (seq %d)", began: "%s, and that began", ranOut: "%s, and that ran out",
	from:  "Following what changes after seq %d. Stop it with Ctrl-C.",
	all:   "This is all that is permitted as of %s, seq %d.",
	level: "This is all up to seq %d.",

	kept:      "%d changes are kept, %s. The oldest cursor to go on from is %s.",
	published: "All are published, up to seq %d.", behind: "They are published up to seq %d of %d: %d events are to come.",
	retained: "Changes are kept for %s and up to %s.",
	forever:  "ever", unlimited: "any size",

	name: "NAME", sort: "SORT", state: "STATE", cursor: "CURSOR", lag: "BEHIND", lastError: "LAST ERROR",
	nextTry: "next try at %s",
	events:  counted{"no events", "1 event", "%d events"}, lagging: "%s, %s",
	subscribers: counted{"No subscribers.", "1 subscriber.", "%d subscribers."},
	atLeast:     "%d of %d have seen everything up to seq %d.",
	notSeen:     "Not yet: %s.",
	registered:  "Registered webhook %s; it gets what comes after cursor %s.",
	secret:      "Its secret, which is not shown again: %s",
	removed:     "Removed subscriber %s.",
	subscriber:  "Subscriber %s is %s, at cursor %s.",
}

var dutchFeed = feedWords{
	gains: "%s krijgt %s bij %s", loses: "%s verliest %s bij %s", may: "%s mag %s bij %s",
	until: ", tot %s", because: ", want %s (seq %d)", began: "%s, en dat is ingegaan", ranOut: "%s, en dat is verlopen",
	from:  "Gevolgd wordt wat er verandert na seq %d. Stoppen kan met Ctrl-C.",
	all:   "Dit is alles wat is toegestaan, stand van %s, seq %d.",
	level: "Dit is alles tot en met seq %d.",

	kept:      "%d wijzigingen zijn bewaard, %s. De oudste cursor om vanaf te volgen is %s.",
	published: "Alles is gepubliceerd, tot en met seq %d.", behind: "Gepubliceerd is tot en met seq %d van %d: %d gebeurtenissen volgen nog.",
	retained: "Wijzigingen worden %s bewaard, tot %s.",
	forever:  "voor altijd", unlimited: "elke omvang",

	name: "NAAM", sort: "SOORT", state: "STAND", cursor: "CURSOR", lag: "ACHTER", lastError: "LAATSTE FOUT",
	sorts:   map[string]string{"follower": "volger"},
	states:  map[string]string{"active": "actief", "retrying": "opnieuw", "disabled": "uit"},
	reasons: map[string]string{"gone": "bestaat niet meer", "exhausted": "te lang mislukt", "must_refetch": "moet opnieuw beginnen", "by hand": "met de hand"},
	nextTry: "volgende poging om %s",
	events:  counted{"geen gebeurtenissen", "1 gebeurtenis", "%d gebeurtenissen"}, lagging: "%s, %s",
	subscribers: counted{"Geen abonnees.", "1 abonnee.", "%d abonnees."},
	atLeast:     "%d van %d hebben alles gezien tot en met seq %d.",
	notSeen:     "Nog niet: %s.",
	registered:  "Webhook %s is aangemeld en krijgt wat er na cursor %s komt.",
	secret:      "Het geheim, dat niet nog eens wordt getoond: %s",
	removed:     "Abonnee %s is verwijderd.",
	subscriber:  "Abonnee %s is %s, bij cursor %s.",
}
