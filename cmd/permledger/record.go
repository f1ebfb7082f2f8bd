package main

// record: one command, sent to the ledger, which decides. What is malformed is refused here, with the same rules
// (package domain), so that a mistake is found without a service too.

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/permledger/permledger/domain"
)

// command is a command as it is sent (contract §3).
type command struct {
	Command domain.Action   `json:"command"`
	Actor   string          `json:"actor"`
	Data    json.RawMessage `json:"data"`
	Reason  string          `json:"reason,omitempty"`
	ID      string          `json:"id,omitempty"`
	Source  string          `json:"source,omitempty"`
}

func newRecordCommand(a *app) *cobra.Command {
	var (
		actor, reason, id, source string
		dry                       dryRun
	)
	cmd := &cobra.Command{
		Use:     "record --actor ACCOUNT COMMAND key=value…",
		Short:   "Record a command, if the actor may",
		GroupID: groupLedger,
		Long: `record asks the ledger to record one command. The ledger decides: the actor must be permitted the command's name as
an action on the account that it is about (exit code 4 where not), and it must not contradict what stands (1).

A value may be @FILE, for the contents of a file. The times from and until are written as --at is.
With --dry-run nothing is recorded: it says who would gain and lose what, and warns of what people would want to know.
With --id, the same command sent again gives the same answer and records nothing.`,
		Example: `  permledger record --actor professional:root account.open account=professional:anna
  permledger record --actor professional:root role.assign principal=professional:anna role=therapist
  permledger record --actor professional:anna access.grant principal=professional:anna client=client:c1 profile=emergency until="2026-03-01 17:00" --reason "acute admission"`,
		ValidArgsFunction: completeRecord,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return domain.Errorf(domain.Malformed, "bad_arguments", "record: the command is missing; want COMMAND key=value…, see permledger record --help")
			}
			if err := dry.check(); err != nil {
				return err
			}
			if actor == "" {
				return domain.Errorf(domain.Malformed, "bad_flag", "record: --actor is missing; say who does it, e.g. --actor professional:root")
			}
			if _, err := domain.ParseAccount(actor); err != nil {
				return err
			}
			data, err := commandData(domain.Action(args[0]), args[1:], &a.global.zone)
			if err != nil {
				return err
			}
			body, err := json.Marshal(command{domain.Action(args[0]), actor, data, reason, id, source})
			if err != nil {
				return err
			}
			if _, err := domain.DecodeCommand(body); err != nil { // the reason, id and source
				return err
			}
			return a.withClient(cmd.Context(), func(c *client) error {
				if dry.run {
					return a.preview(cmd.Context(), c, body, dry)
				}
				got, err := c.post(cmd.Context(), "commands", nil, body)
				if err != nil {
					return err
				}
				return a.print(got, a.showRecorded)
			})
		},
	}
	dry.register(cmd)
	cmd.Flags().StringVar(&actor, "actor", "", "the account that does it")
	cmd.Flags().StringVar(&reason, "reason", "", "why; kept encrypted, for the person it is about")
	cmd.Flags().StringVar(&id, "id", "", "your own key for this command: sent again, it is recorded once")
	cmd.Flags().StringVar(&source, "source", "cli", "where the command comes from")
	for _, name := range []string{"actor", "reason", "id", "source"} {
		cmd.RegisterFlagCompletionFunc(name, cobra.NoFileCompletions)
	}
	usual := cmd.HelpFunc()
	cmd.SetHelpFunc(func(cmd *cobra.Command, args []string) {
		if name := cmd.Flags().Arg(0); name != "" {
			a.commandHelp(domain.Action(name))
			return
		}
		usual(cmd, args)
		fmt.Fprintln(a.out, "\nCommands (permledger record COMMAND --help says more):")
		for _, name := range domain.Commands() {
			fmt.Fprintf(a.out, "  %-20s %s\n", name, strings.Join(fieldList(name), " "))
		}
	})
	return cmd
}

// commandData reads key=value pairs as the data of the command, in the form in which it is sent.
func commandData(name domain.Action, args []string, z *zone) (json.RawMessage, error) {
	typ, err := domain.EventOf(name)
	if err != nil {
		return nil, err
	}
	pairs := make([][2]string, len(args))
	for i, arg := range args {
		key, value, ok := strings.Cut(arg, "=")
		if !ok || key == "" {
			return nil, domain.Errorf(domain.Malformed, "bad_arguments", "%s: %q: want key=value, with the keys %s", name, arg, strings.Join(fieldList(name), " "))
		}
		if value, err = fieldValue(key, value, z); err != nil {
			return nil, err
		}
		pairs[i] = [2]string{key, value}
	}
	data, err := domain.CommandData(typ, pairs)
	if err != nil {
		return nil, domain.Errorf(domain.Malformed, "bad_data", "%s: %v; its keys are %s", name, err, strings.Join(fieldList(name), " "))
	}
	return data, nil
}

// fieldValue reads @FILE, and the times that a fact holds between.
func fieldValue(key, value string, z *zone) (string, error) {
	if file, ok := strings.CutPrefix(value, "@"); ok {
		b, err := readFile(file, domain.MaxDocument)
		if key != "document" { // whose every byte counts; elsewhere a file's last newline is the editor's
			b = bytes.TrimSuffix(b, []byte("\n"))
		}
		return string(b), err
	}
	if key == "from" || key == "until" {
		t, err := z.moment(key, value)
		return t.String(), err
	}
	return value, nil
}

// fieldList gives the keys of a command, the optional ones in brackets.
func fieldList(name domain.Action) []string {
	typ, err := domain.EventOf(name)
	if err != nil {
		return nil
	}
	var list []string
	for _, f := range domain.FieldNames(typ) {
		if f.Required {
			list = append(list, f.Name+"=…")
		} else {
			list = append(list, "["+f.Name+"=…]")
		}
	}
	return list
}

// fieldHelp says what a key of some command's data wants.
var fieldHelp = map[string]string{
	"principal":    "the account that it is given to or taken from, e.g. professional:anna",
	"account":      "the account, e.g. client:c1",
	"client":       "the protected account, e.g. client:c1",
	"member":       "the account in the team, e.g. professional:anna",
	"team":         "the team, e.g. team:night",
	"role":         "a role of the catalogue",
	"relation":     "a relation of the catalogue",
	"profile":      "a kind of temporary access of the catalogue, e.g. emergency",
	"grant":        "the temporary access's id",
	"verdict":      strings.Join(verdicts, ", "),
	"from":         "since when it holds, e.g. 2026-03-01 or \"2026-03-01 09:00\"",
	"until":        "until when it holds, the moment itself not included",
	"on":           "a type of resource, e.g. client",
	"action":       "an action, e.g. view_record",
	"resource":     "a resource, e.g. journal:j1",
	"created_by":   "the account that created it",
	"cause":        "why, in a word",
	"guest":        "the guest's account, e.g. guest:g1",
	"call":         "the call, e.g. call:k1",
	"link":         "the secret of a one-time link, 16 to 128 characters; only a hash of it is kept",
	"corrects":     "the seq of the event that is wrong",
	"void":         "true: it never was",
	"display_name": "how people call it; kept encrypted",
	"document":     "the catalogue, e.g. @roles.yaml",
	"catalogue":    "its name, to be checked against the document",
	"version":      "its version, to be checked",
	"digest":       "its digest, to be checked",
}

// verdicts are the ways in which an access can be reviewed.
var verdicts = []string{"justified", "unjustified", "unclear"}

// commandHelp prints what a command takes.
func (a *app) commandHelp(name domain.Action) {
	typ, err := domain.EventOf(name)
	if err != nil {
		fmt.Fprintln(a.out, err)
		return
	}
	fmt.Fprintf(a.out, "%s asks for the event %s.\n\nUsage:\n  permledger record --actor ACCOUNT %s %s\n\nKeys:\n", name, typ, name, strings.Join(fieldList(name), " "))
	for _, f := range domain.FieldNames(typ) {
		need := "optional"
		if f.Required {
			need = "required"
		}
		fmt.Fprintf(a.out, "  %-13s %s  %s\n", f.Name, need, fieldHelp[f.Name])
	}
}

// showRecorded shows what was recorded.
func (a *app) showRecorded(s *screen, body []byte) error {
	if a.global.json {
		return nil
	}
	var d struct {
		Events []event `json:"events"`
		Seq    uint64  `json:"seq"`
	}
	if err := read(body, &d); err != nil {
		return err
	}
	if len(d.Events) == 0 {
		s.line("There was nothing to record; the ledger is at seq %d.", d.Seq)
		return nil
	}
	for _, e := range d.Events {
		s.line(s.words.recordedAs, e.Seq, s.time(e.RecordedAt), s.sentence(e))
	}
	if about := d.Events[0].about(); about != "" {
		s.next(a.global.again("history", about))
	}
	return nil
}

// about is the account whose history has the event; "" where it is about none.
func (e event) about() string {
	for _, field := range []string{"principal", "account", "member", "guest", "client"} {
		if account, ok := e.Data[field].(string); ok {
			return account
		}
	}
	return ""
}
