package main

// How answers look to people: text, tables, colours and local times. On a terminal there are colours, rules and
// wrapping to its width; anywhere else plain text with the same columns, never cut. It knows nothing of what it shows.

import (
	"bufio"
	"fmt"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
	"golang.org/x/term"
)

// screen writes for people. Its errors come out at flush.
type screen struct {
	w     *bufio.Writer
	tty   bool
	width int // columns of the terminal; 0 where it is none
	zone  *time.Location
	words *words
}

func (a *app) screen() *screen {
	s := &screen{w: bufio.NewWriter(a.out), zone: a.global.zone.location(), words: a.global.lang.words()}
	s.width, s.tty = terminal(a.out)
	if s.tty && a.global.colours() {
		text.EnableColors()
	} else {
		text.DisableColors()
	}
	return s
}

// terminal tells whether w is one, and how many columns it has.
func terminal(w any) (width int, ok bool) {
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return 0, false
	}
	width, _, err := term.GetSize(int(f.Fd()))
	if err != nil || width <= 0 {
		width = 80
	}
	return width, true
}

func (s *screen) flush() error {
	if err := s.w.Flush(); err != nil {
		return fmt.Errorf("writing the answer: %w", err)
	}
	return nil
}

// line prints a line, wrapped to the terminal.
func (s *screen) line(format string, args ...any) { s.styled(nil, fmt.Sprintf(format, args...)) }

// dim prints a line that is there when looked for: as of when, what to ask next.
func (s *screen) dim(format string, args ...any) {
	s.styled(text.Colors{text.Faint}, fmt.Sprintf(format, args...))
}

// next prints the next useful command. It is not wrapped, to be pasted whole.
func (s *screen) next(command string) {
	fmt.Fprintln(s.w, text.Colors{text.Faint}.Sprint(s.words.next+command))
}

func (s *screen) styled(c text.Colors, l string) {
	if s.width > 0 {
		l = text.WrapSoft(l, s.width)
	}
	for part := range strings.SplitSeq(l, "\n") {
		fmt.Fprintln(s.w, c.Sprint(strings.TrimRight(part, " ")))
	}
}

// verdict is a yes or a no.
func (s *screen) verdict(yes bool) string {
	if yes {
		return text.Colors{text.Bold, text.FgGreen}.Sprint(s.words.yes)
	}
	return text.Colors{text.Bold, text.FgRed}.Sprint(s.words.no)
}

// minWidth is what a column keeps when the terminal is narrow.
const minWidth = 16

// table prints rows under headers. The columns named as flexible give way, evenly, where the terminal is too narrow.
func (s *screen) table(headers []string, rows [][]string, flexible ...int) {
	widths := make([]int, len(headers))
	for i, h := range headers {
		widths[i] = text.StringWidthWithoutEscSequences(h)
		for _, row := range rows {
			widths[i] = max(widths[i], text.LongestLineLen(row[i]))
		}
	}
	var configs []table.ColumnConfig
	if s.width > 0 {
		s.shrink(widths, flexible)
		for _, i := range flexible {
			configs = append(configs, table.ColumnConfig{Number: i + 1, WidthMax: widths[i], WidthMaxEnforcer: text.WrapSoft})
		}
	}

	t := table.NewWriter()
	t.SetColumnConfigs(configs)
	style := table.StyleLight
	style.Options = table.OptionsNoBordersAndSeparators
	style.Options.SeparateHeader = s.tty
	style.Box.PaddingLeft, style.Box.PaddingRight = "", "  "
	style.Format.Header = text.FormatDefault
	style.Color.Header = text.Colors{text.Bold}
	if s.width > 0 {
		style.Size.WidthMax = s.width
	}
	t.SetStyle(style)
	t.AppendHeader(cells(headers))
	for _, row := range rows {
		t.AppendRow(cells(row))
	}
	for l := range strings.SplitSeq(t.Render(), "\n") {
		fmt.Fprintln(s.w, strings.TrimRight(l, " "))
	}
}

// shrink takes from the widest flexible column, one at a time, until the row fits or none can give more.
func (s *screen) shrink(widths []int, flexible []int) {
	total := 0
	for _, w := range widths {
		total += w + len("  ")
	}
	for ; total > s.width; total-- {
		widest := -1
		for _, i := range flexible {
			if widths[i] > minWidth && (widest < 0 || widths[i] > widths[widest]) {
				widest = i
			}
		}
		if widest < 0 {
			return
		}
		widths[widest]--
	}
}

func cells(values []string) table.Row {
	row := make(table.Row, len(values))
	for i, v := range values {
		row[i] = v
	}
	return row
}

// time shows an RFC 3339 time in the caller's zone, to the second.
func (s *screen) time(rfc3339 string) string {
	t, err := time.Parse(time.RFC3339Nano, rfc3339)
	if err != nil {
		return rfc3339
	}
	return t.In(s.zone).Format("2006-01-02 15:04:05 MST")
}

// moment shows a time in full: what an answer says that it is about.
func (s *screen) moment(rfc3339 string) string {
	t, err := time.Parse(time.RFC3339Nano, rfc3339)
	if err != nil {
		return rfc3339
	}
	layout := "2006-01-02 15:04:05.999 MST (UTC-07:00)"
	if name, _ := t.In(s.zone).Zone(); name == "UTC" {
		layout = "2006-01-02 15:04:05.999 MST"
	}
	return t.In(s.zone).Format(layout)
}

// utc finds the times in the sentences of a basis.
var utc = regexp.MustCompile(`\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z`)

// local shows the times of a sentence in the caller's zone.
func (s *screen) local(sentence string) string { return utc.ReplaceAllStringFunc(sentence, s.time) }
