// Package domain is permledger's model: the names of things, the events and their codec, the role catalogue, the
// facts that events make true, and the two questions about them, "may this be recorded?" (Decide) and "may P do A
// to R?" (Evaluate).
//
// It owns every rule. It never reads a clock, draws a random number or does I/O: the time is an argument, ids are
// handed in, and what it has to know of the past it reads through Reader, an interface that the caller implements.
// It imports nothing else of permledger.
//
// How the pieces follow from one another:
//
//	Command ──Decide──▶ Event ──Fold──▶ []Change (facts and the intervals on which they hold) ──Evaluate──▶ Decision
//
// A Fact is what an event says about somebody (anna holds the role therapist), a Version of it is what was known of
// it at one place of the log: the half-open intervals on which it held, holds or will hold, each with the seqs of
// the events that say so. Reading a fact "as of T, known at S" is reading its newest version at or before S and
// testing T against the intervals: the same read for now and for ten years ago.
//
// Whatever else is asked is made of the one decision. Who and What propose whom and what is worth asking about, and decide
// (search.go). A Sweep decides at each moment at which something that the decision read is another, and so knows exact
// intervals (during.go). Effects decide on two sides of a change whatever the changed facts bear on (effects.go): a Preview
// holds the ledger against a Draft of it, with events on top that are not recorded, and a Diff one moment against another.
package domain
