// Package eventstore is the log: one JetStream stream for each organisation, embedded in this process or on an
// external server, written at an expected sequence and read in order.
//
// It owns how events get to disk and back, and the keys that personal texts are sealed under (Keys). It never looks
// into an event's body, never decides whether something may be recorded, and never waits for a projection.
//
// What a caller can count on:
//
//   - An acknowledged event survives kill -9 and power loss: the embedded server syncs each write before it answers
//     (but for Options.Relaxed, where nothing counts before Importer.Commit or Store.Close has returned).
//   - An event is recorded at exactly the sequence after the one it was decided against, or not at all. That is what
//     makes any number of servers exact; ids only tell a lost acknowledgement from a conflict.
//   - A reader gets every event once, in order, without a gap, or an error. It may see the first events of a command
//     before the last: the rest always follows, since the server commits a batch whole.
//   - A new ledger that is imported is there whole after Importer.Commit, and not at all before.
//
// The commit points are marked in the code: publish.go for commands, import.go for imports.
package eventstore
