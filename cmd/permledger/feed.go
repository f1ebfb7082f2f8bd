package main

// feed: how the change feed stands, and how long its changes are kept.

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/permledger/permledger/domain"
)

// feedAnswer is what GET /feed gives.
type feedAnswer struct {
	From      string        `json:"from"`
	Position  domain.Seq    `json:"position"`
	Head      domain.Seq    `json:"head"`
	Lag       uint64        `json:"lag"`
	Changes   uint64        `json:"changes"`
	Bytes     uint64        `json:"bytes"`
	Retention feedRetention `json:"retention"`
}

// feedRetention is how long changes are kept; without a field where that is to stay as it is.
type feedRetention struct {
	Age  string `json:"age,omitempty"`
	Size *int64 `json:"size,omitempty"`
}

func newFeedCommand(a *app) *cobra.Command {
	var (
		age  age
		size size
	)
	cmd := &cobra.Command{
		Use:     "feed",
		Short:   "How the change feed stands, and how long its changes are kept",
		GroupID: groupLedger,
		Long: `feed says how far the change feed is published, how much of it is kept and from which cursor on it can be followed. --age and
--size set how long changes are kept; whoever comes back with a cursor from before has to begin again with a snapshot. The
ledger itself keeps everything.`,
		Example: `  permledger feed
  permledger feed --age 30d --size 1GiB`,
		Args:              arguments(0),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withFeed(cmd.Context(), func(c *client) error {
				body, err := a.feed(cmd.Context(), c, feedRetention{age.text, size.bytes})
				if err != nil {
					return err
				}
				return a.print(body, func(s *screen, body []byte) error {
					var d feedAnswer
					if err := read(body, &d); err != nil || a.global.json {
						return err
					}
					s.feed(d)
					return nil
				})
			})
		},
	}
	cmd.Flags().Var(&age, "age", "keep changes for so long, e.g. 30d or 720h; 0 for ever")
	cmd.Flags().Var(&size, "size", "keep so much of them at most, e.g. 1GiB or 500MB; 0 for any size")
	cmd.RegisterFlagCompletionFunc("age", cobra.NoFileCompletions)
	cmd.RegisterFlagCompletionFunc("size", cobra.NoFileCompletions)
	return cmd
}

// feed asks how the feed stands, after it set what is given.
func (a *app) feed(ctx context.Context, c *client, r feedRetention) ([]byte, error) {
	if r == (feedRetention{}) {
		return c.get(ctx, "feed", nil)
	}
	body, err := json.Marshal(map[string]feedRetention{"retention": r})
	if err != nil {
		return nil, err
	}
	return c.ask(ctx, http.MethodPut, c.path("feed", nil), body)
}

func (s *screen) feed(d feedAnswer) {
	w := s.words.feed
	s.line(w.kept, d.Changes, inBytes(d.Bytes), d.From)
	if d.Lag == 0 {
		s.line(w.published, d.Position)
	} else {
		s.line(w.behind, d.Position, d.Head, d.Lag)
	}
	kept, most := w.forever, w.unlimited
	if age, err := time.ParseDuration(d.Retention.Age); err == nil && age > 0 {
		kept = inTime(age)
	}
	if size := d.Retention.Size; size != nil && *size > 0 {
		most = inBytes(uint64(*size))
	}
	s.line(w.retained, kept, most)
}

// age is a duration as a flag, in days too; "" is not given.
type age struct{ text string }

func (a *age) String() string { return a.text }
func (a *age) Type() string   { return "duration" }

func (a *age) Set(s string) error {
	d, err := time.ParseDuration(s)
	if days, ok := strings.CutSuffix(s, "d"); ok {
		var n uint64
		n, err = strconv.ParseUint(days, 10, 16)
		d = time.Duration(n) * day
	}
	if err != nil || d < 0 || d > 0 && d < time.Second {
		return fmt.Errorf("want a second or more, e.g. 30d, 720h or 90m, or 0 for ever")
	}
	a.text = d.String()
	return nil
}

const day = 24 * time.Hour

// size is a number of bytes as a flag; nil is not given.
type size struct{ bytes *int64 }

func (b *size) String() string {
	if b.bytes == nil {
		return ""
	}
	return strconv.FormatInt(*b.bytes, 10)
}

func (b *size) Type() string { return "size" }

// units of sizes, the longer names first.
var units = []struct {
	name  string
	bytes int64
}{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1 << 40}, {"kB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"TB", 1e12}, {"B", 1}, {"", 1}}

func (b *size) Set(s string) error {
	for _, u := range units {
		digits, ok := strings.CutSuffix(s, u.name)
		if !ok {
			continue
		}
		if n, err := strconv.ParseInt(strings.TrimSpace(digits), 10, 64); err == nil && n >= 0 && n <= math.MaxInt64/u.bytes {
			n *= u.bytes
			b.bytes = &n
			return nil
		}
		break
	}
	return fmt.Errorf("want a whole number and a unit, e.g. 1GiB or 500MB, or 0 for any size")
}

// inBytes writes a size for people.
func inBytes(n uint64) string {
	for _, u := range []struct {
		name  string
		bytes float64
	}{{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}} {
		if v := float64(n) / u.bytes; v >= 1 {
			return strconv.FormatFloat(math.Round(v*10)/10, 'f', -1, 64) + " " + u.name
		}
	}
	return fmt.Sprint(n) + " B"
}

// inTime writes a duration for people: in whole days and hours where it is days, and else to the second.
func inTime(d time.Duration) string {
	if d < day {
		return d.Round(time.Second).String()
	}
	days, hours := d/day, d%day/time.Hour
	if hours == 0 {
		return fmt.Sprintf("%dd", days)
	}
	return fmt.Sprintf("%dd%dh", days, hours)
}
