package domain

// Commands: what a caller asks to have recorded (contract §3). A command is named by the imperative of its event, and
// has that event's data.

// A Command asks for an event; the ledger decides (Decide).
type Command struct {
	Name       Action
	Actor      Account
	Data       Data // of the event type that the name asks for
	Reason     string
	ID         string // the caller's own idempotency key; "" for none
	Source     string
	OccurredAt Instant
}

// commands gives the event that each command asks for. validity.* has none: only the ledger's own clock records it.
var commands = map[Action]EventType{
	"account.open": AccountOpened, "account.deactivate": AccountDeactivated, "account.reactivate": AccountReactivated,
	"role.assign": RoleAssigned, "role.revoke": RoleRevoked,
	"caseload.link": CaseloadLinked, "caseload.unlink": CaseloadUnlinked,
	"team.join": TeamJoined, "team.leave": TeamLeft,
	"access.grant": AccessGranted, "access.revoke": AccessRevoked, "access.review": AccessReviewed,
	"permission.add": PermissionAdded, "permission.withhold": PermissionWithheld, "permission.restore": PermissionRestored,
	"resource.register": ResourceRegistered, "resource.remove": ResourceRemoved,
	"signin.fail": SigninFailed, "signin.succeed": SigninSucceeded,
	"account.lock": AccountLocked, "account.unlock": AccountUnlocked,
	"guest.invite": GuestInvited, "guest.admit": GuestAdmitted, "call.end": CallEnded,
	"fact.correct": FactCorrected, "catalogue.adopt": CatalogueAdopted, "subject.erase": SubjectErased,
}

// EventOf gives the event type that a command asks for.
func EventOf(command Action) (EventType, error) {
	t, ok := commands[command]
	if !ok {
		return "", Errorf(Malformed, "unknown_command", "command %q: there is no such command; they are %s", clip(string(command)), sortedNames(commands))
	}
	return t, nil
}

// Commands lists the commands in the order of their names.
func Commands() []Action { return sortedKeys(commands) }

// DecodeCommand reads one command from JSON: {"command","actor","data","reason","id","source","occurred_at"}.
func DecodeCommand(object []byte) (Command, error) {
	r, err := readObject(string(object))
	if err != nil {
		return Command{}, err
	}
	var c Command
	r.action("command", &c.Name, required)
	if r.err != nil {
		return c, r.err
	}
	typ, err := EventOf(c.Name)
	if err != nil {
		return c, err
	}
	r.account("actor", &c.Actor, required)
	r.text("reason", &c.Reason, MaxText, optional)
	r.token("id", &c.ID, optional)
	r.token("source", &c.Source, optional)
	r.instant("occurred_at", &c.OccurredAt, optional)
	c.Data = r.data(typ, newestVersion(typ), inCommand)
	return c, r.end()
}

// Asked tells whether e is what the command asked for: the same kind of event by the same actor, and every field that
// the command gave as it gave it. What was erased since is not held against it.
func (c *Command) Asked(e *Event) bool {
	if e.Type != c.Data.Type() || e.Actor != c.Actor || e.SealedFor == "" && e.Reason != c.Reason || versionOf(e.Data) != versionOf(c.Data) {
		return false // of another version: one has a one-time link, which is not to be left out
	}
	is, asked := dataFields(e.Data), dataFields(c.Data)
	for _, f := range asked.list {
		got, ok := is.take(f.name, optional)
		if !(f.name == displayName && e.SealedFor != "") && (!ok || got.s != f.s) {
			return false
		}
	}
	return true
}

// dataFields gives the data as the fields of its wire form.
func dataFields(d Data) *fields {
	r, err := readObject(string(appendData(nil, d)))
	if err != nil {
		panic("domain: what the codec writes it can't read: " + err.Error())
	}
	return r
}
