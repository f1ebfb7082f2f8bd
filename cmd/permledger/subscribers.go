package main

// subscribers: who follows the change feed and how far each has come; and adding, removing, stopping and acknowledging. What
// is kept of a subscriber and what becomes of a delivery is package consumers' to say.

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/permledger/permledger/consumers"
	"github.com/permledger/permledger/domain"
)

// subscriber is one of what GET /subscribers gives.
type subscriber struct {
	Name      string `json:"name"`
	Sort      string `json:"sort"`
	Cursor    string `json:"cursor"`
	State     string `json:"state"`
	Reason    string `json:"reason"`
	LastError string `json:"last_error"`
	NextTry   string `json:"next_try"`
	Lag       struct {
		Events  int     `json:"events"`
		Seconds float64 `json:"seconds"`
	} `json:"lag"`
	Secret string `json:"secret"` // once, where it was registered
}

func newSubscribersCommand(a *app) *cobra.Command {
	var atLeast number
	cmd := &cobra.Command{
		Use:     "subscribers",
		Short:   "Who follows the change feed, and how far each has come",
		GroupID: groupLedger,
		Long: `subscribers lists who follows the change feed: the webhooks that were registered, and the followers that acknowledge what they
have seen. With --at-least SEQ it says which have seen everything up to and with that event, e.g. a revocation; its exit
code is 1 where some have not.`,
		Example: `  permledger subscribers
  permledger subscribers --at-least 120
  permledger subscribers add records --url https://records.example/permissions
  permledger subscribers ack gateway 120`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return unknownVerb(cmd, args[0])
			}
			q := url.Values{}
			setNumber(q, "at_least", atLeast)
			return a.withFeed(cmd.Context(), func(c *client) error {
				body, err := c.get(cmd.Context(), "subscribers", q)
				if err != nil {
					return err
				}
				return a.print(body, a.showSubscribers)
			})
		},
		Args:              cobra.ArbitraryArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	cmd.Flags().Var(&atLeast, "at-least", "say which have seen everything up to and with this seq")
	cmd.RegisterFlagCompletionFunc("at-least", cobra.NoFileCompletions)
	cmd.AddCommand(newSubscribersAddCommand(a),
		a.newSubscriberCommand("remove NAME", "Forget a subscriber, and a webhook's secret with it", http.MethodDelete, ""),
		a.newSubscriberCommand("enable NAME", "Let a webhook's deliveries go on from its cursor, at once", http.MethodPost, "/enable"),
		a.newSubscriberCommand("disable NAME", "Stop a webhook's deliveries; its cursor stays", http.MethodPost, "/disable"),
		newSubscribersAckCommand(a))
	return cmd
}

// showSubscribers shows the list. Its error is errNo where some have not seen what was asked for.
func (a *app) showSubscribers(s *screen, body []byte) error {
	var d struct {
		Subscribers []subscriber `json:"subscribers"`
		AtLeast     uint64       `json:"at_least"`
		Seen        []string     `json:"seen"`
		NotSeen     []string     `json:"not_seen"`
	}
	if err := read(body, &d); err != nil {
		return err
	}
	if !a.global.json {
		s.subscribers(d.Subscribers)
		if d.AtLeast > 0 {
			s.line(s.words.feed.atLeast, len(d.Seen), len(d.Subscribers), d.AtLeast)
		}
		if len(d.NotSeen) > 0 {
			s.line(s.words.feed.notSeen, strings.Join(d.NotSeen, ", "))
		}
	}
	if len(d.NotSeen) > 0 {
		return errNo
	}
	return nil
}

func (s *screen) subscribers(list []subscriber) {
	w := s.words.feed
	rows := make([][]string, len(list))
	for i, sub := range list {
		state := in(w.states, sub.State)
		if sub.Reason != "" {
			state += " (" + in(w.reasons, sub.Reason) + ")"
		}
		failed := sub.LastError
		if sub.NextTry != "" {
			failed += "; " + fmt.Sprintf(w.nextTry, s.time(sub.NextTry))
		}
		rows[i] = []string{sub.Name, in(w.sorts, sub.Sort), state, sub.Cursor, s.lag(sub), printable(strings.TrimPrefix(failed, "; "))}
	}
	s.list(rows, []string{w.name, w.sort, w.state, w.cursor, w.lag, w.lastError}, 5)
	s.line("%s", w.subscribers.of(len(list)))
}

// in gives what a language calls it; its own name where it has no other.
func in(names map[string]string, name string) string {
	if said, ok := names[name]; ok {
		return said
	}
	return name
}

// lag is how far a subscriber is behind.
func (s *screen) lag(sub subscriber) string {
	events := s.words.feed.events.of(sub.Lag.Events)
	if sub.Lag.Events == 0 {
		return "-"
	}
	return fmt.Sprintf(s.words.feed.lagging, events, inTime(time.Duration(sub.Lag.Seconds*float64(time.Second))))
}

// subscriberPath is one subscriber's path, or one under it.
func subscriberPath(c *client, name, of string) string {
	return c.path("subscribers/"+url.PathEscape(name)+of, nil)
}

// changeSubscriber asks for something about one subscriber, and says what it is then.
func (a *app) changeSubscriber(ctx context.Context, method, name, of string, body []byte, show func(*screen, subscriber)) error {
	if name == "" {
		return domain.Errorf(domain.Malformed, "bad_subscriber_name", "subscriber: its name is empty")
	}
	return a.withFeed(ctx, func(c *client) error {
		got, err := c.ask(ctx, method, subscriberPath(c, name, of), body)
		if err != nil {
			return err
		}
		return a.print(got, func(s *screen, body []byte) error {
			var sub subscriber
			if err := read(body, &sub); err != nil || a.global.json {
				return err
			}
			show(s, sub)
			return nil
		})
	})
}

// showSubscriber says how one stands.
func showSubscriber(s *screen, sub subscriber) {
	s.line(s.words.feed.subscriber, sub.Name, in(s.words.feed.states, sub.State), sub.Cursor)
}

// newSubscriberCommand is a command about one subscriber that sends nothing but its name.
func (a *app) newSubscriberCommand(use, short, method, of string) *cobra.Command {
	verb, _, _ := strings.Cut(use, " ")
	return &cobra.Command{
		Use:               use,
		Short:             short,
		Example:           "  permledger subscribers " + verb + " records",
		Args:              arguments(1, "NAME"),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			show := showSubscriber
			if method == http.MethodDelete {
				show = func(s *screen, _ subscriber) { s.line(s.words.feed.removed, args[0]) }
			}
			return a.changeSubscriber(cmd.Context(), method, args[0], of, nil, show)
		},
	}
}

func newSubscribersAckCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "ack NAME CURSOR",
		Short: "Note that a follower has seen everything up to CURSOR",
		Long: `ack notes that a follower has seen, and done what follows from, everything that it wants up to a cursor or seq. Who is not
there yet becomes a subscriber by it.`,
		Example:           `  permledger subscribers ack gateway 120`,
		Args:              arguments(2, "NAME", "CURSOR"),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			cursor, err := consumers.ParseCursor(args[1])
			if err != nil {
				return err
			}
			body, err := json.Marshal(map[string]consumers.Cursor{"cursor": cursor})
			if err != nil {
				return err
			}
			return a.changeSubscriber(cmd.Context(), http.MethodPost, args[0], "/ack", body, showSubscriber)
		},
	}
}

// maxSecret bounds a file with a secret, in bytes.
const maxSecret = 1 << 10

func newSubscribersAddCommand(a *app) *cobra.Command {
	var (
		f                     changeFilter
		target, secret, after string
	)
	cmd := &cobra.Command{
		Use:   "add NAME --url URL",
		Short: "Register a webhook",
		Long: `add registers a webhook: what changes from now on, or after a cursor (--after), is delivered to its URL, signed as Standard
Webhooks has it. Its secret is shown this once, unless it is given (--secret-file): whoever receives the deliveries needs
it to tell them from forged ones.`,
		Example: `  permledger subscribers add records --url https://records.example/permissions
  permledger subscribers add cache --url http://127.0.0.1:9000/hook --kind lost --secret-file ./secret`,
		Args:              arguments(1, "NAME"),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			if target == "" {
				return domain.Errorf(domain.Malformed, "bad_flag", "subscribers add: --url is missing; give where to deliver, e.g. --url https://records.example/permissions")
			}
			x := struct {
				URL    string           `json:"url"`
				Secret string           `json:"secret,omitempty"`
				Filter consumers.Filter `json:"filter,omitzero"`
				After  string           `json:"after,omitempty"`
			}{URL: target, After: after}
			var err error
			if x.Filter, err = f.check(); err != nil {
				return err
			}
			if after != "" {
				if _, err := consumers.ParseCursor(after); err != nil {
					return err
				}
			}
			if secret != "" {
				b, err := readFile(secret, maxSecret)
				if err != nil {
					return err
				}
				if x.Secret = strings.TrimSpace(string(b)); x.Secret == "" {
					return domain.Errorf(domain.Malformed, "no_secret", "reading %s: it holds no secret", secret)
				}
			}
			body, err := json.Marshal(x)
			if err != nil {
				return err
			}
			return a.changeSubscriber(cmd.Context(), http.MethodPut, args[0], "", body, func(s *screen, sub subscriber) {
				s.line(s.words.feed.registered, sub.Name, sub.Cursor)
				if secret == "" {
					s.line(s.words.feed.secret, sub.Secret)
				}
			})
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&target, "url", "", "where to deliver: https, or http on this machine")
	flags.StringVar(&secret, "secret-file", "", "file that holds the secret, whsec_…, to sign deliveries by (default: a new one)")
	flags.StringVar(&after, "after", "", "deliver what comes after this cursor or seq; 0 is the beginning (default: from now on)")
	cmd.RegisterFlagCompletionFunc("url", cobra.NoFileCompletions)
	cmd.RegisterFlagCompletionFunc("after", cobra.NoFileCompletions)
	f.register(a, cmd)
	return cmd
}
