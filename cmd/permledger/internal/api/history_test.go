package api

// Histories over HTTP: of what they are, in which order, page by page, and as CSV.

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// newCorrected is the scenario with a grant, and with a link, seq 12, that was corrected twice, by seqs 18 and 19.
func newCorrected(t *testing.T) *world {
	w := newReviewed(t)
	until := w.ledger.Now().Add(3600e9).String()
	w.record(
		fmt.Sprintf(`access.grant {"grant":"a","principal":"user:root","client":"record:record-1","profile":"emergency","until":"%s"} =1+1`, until), // 16
		`role.revoke {"principal":"user:bob","role":"admin"}`,
		`fact.correct {"corrects":12,"from":"2026-01-01T00:00:00Z"} began in January`,
		`fact.correct {"corrects":12,"void":true} it was somebody else`,
		`fact.correct {"corrects":16,"void":true} by mistake`,
	)
	return w
}

type toldJSON struct {
	Seq         int
	Type        string
	Sentence    string
	CorrectedBy []int `json:"corrected_by"`
}

func (a answer) told() (list []toldJSON) {
	a.t.Helper()
	if err := json.Unmarshal([]byte(a.field("events")), &list); err != nil {
		a.t.Fatal(err)
	}
	return list
}

func seqsOf(list []toldJSON) string {
	seqs := make([]string, len(list))
	for i, e := range list {
		seqs[i] = fmt.Sprint(e.Seq)
	}
	return strings.Join(seqs, " ")
}

func TestHistoryOf(t *testing.T) {
	w := newCorrected(t)
	for _, c := range []struct{ q, head, want string }{
		{"", `{}`, "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20"},
		{"about=user:bob", `{"about":"user:bob"}`, "5 9 10 12 17 18 19"},
		{"about=team:archive", `{"about":"team:archive"}`, "6 10 13"},
		{"role=admin", `{"role":"admin"}`, "9 17"},
		{"role=owner", `{"role":"owner"}`, "3 15"},
		{"grant=a", `{"grant":"a"}`, "16 20"},
		{"actor=user:root&from=" + w.recordedAt(11) + "&until=" + w.recordedAt(14), `{"actor":"user:root"}`, "11 12 13"},
		{"actor=user:bob", `{"actor":"user:bob"}`, ""},
		{"about=user:bob&order=newest", `{"about":"user:bob"}`, "19 18 17 12 10 9 5"},
		{"about=user:bob&order=oldest&type=role.*", `{"about":"user:bob"}`, "9 17"},
		{"type=fact.corrected,access.*", `{}`, "16 18 19 20"},
		{"order=newest&type=catalogue.adopted", `{}`, "14 1"},
		{"grant=a&known_at=16", `{"grant":"a"}`, "16"},
		{"grant=a&known_at=15", `{"grant":"a"}`, ""},
		{"role=admin&at=" + w.recordedAt(10), `{"role":"admin"}`, "9"},
	} {
		a := w.do(http.MethodGet, "/orgs/acme/history?"+c.q, "")
		if got := seqsOf(a.told()); got != c.want || a.field("complete") != "true" || a.field("next") != "" || a.field("page") != "" {
			t.Errorf("%s: got events %s, complete %s; want %s, all", a.asked, got, a.field("complete"), c.want)
		}
		head := map[string]string{}
		for _, name := range []string{"about", "role", "grant", "actor"} {
			if s := a.text(name); s != "" {
				head[name] = s
			}
		}
		if got := string(marshal(head)); got != c.head {
			t.Errorf("%s: it says that it is of %s, want %s", a.asked, got, c.head)
		}
	}
}

func TestHistoryTellsCorrections(t *testing.T) {
	w := newCorrected(t)
	for _, c := range []struct {
		q    string
		want []toldJSON
	}{
		{"about=user:bob&type=caseload.linked,fact.corrected", []toldJSON{
			{12, "caseload.linked", "user:bob was linked to record:record-1 as reader", []int{18, 19}},
			{18, "fact.corrected", "what seq 12 (caseload.linked) says was corrected, from 2026-01-01T00:00:00.000Z (was " + w.recordedAt(12) + ")", nil},
			{19, "fact.corrected", "what seq 12 (caseload.linked) says was corrected, it never was (was from 2026-01-01T00:00:00.000Z)", nil},
		}},
		{"about=user:bob&type=caseload.linked&known_at=18&lang=nl", []toldJSON{
			{12, "caseload.linked", "user:bob is als reader gekoppeld aan record:record-1", []int{18}},
		}},
		{"about=user:bob&type=caseload.linked&known_at=17", []toldJSON{
			{12, "caseload.linked", "user:bob was linked to record:record-1 as reader", nil},
		}},
	} {
		a := w.do(http.MethodGet, "/orgs/acme/history?"+c.q, "")
		if got, want := string(marshal(a.told())), string(marshal(c.want)); got != want {
			t.Errorf("%s:\ngot  %s\nwant %s", a.asked, got, want)
		}
	}
}

// The pages of a history are one history in either order, whatever is recorded between them.
func TestHistoryPages(t *testing.T) {
	w := newCorrected(t)
	for i, q := range []string{"", "about=user:bob", "actor=user:root", "type=account.opened,caseload.*", "role=admin"} {
		for _, order := range []string{"oldest", "newest"} {
			first := "/orgs/acme/history?order=" + order + "&" + q
			want := seqsOf(w.do(http.MethodGet, first, "").told())
			var got []string
			pages := 0
			for ask := first + "&limit=1&lang=nl"; ask != ""; pages++ {
				a := w.do(http.MethodGet, ask, "")
				got = append(got, seqsOf(a.told()))
				page := a.text("page")
				if complete := a.field("complete"); complete != fmt.Sprint(page == "") {
					t.Fatalf("%s: complete %s with page %q", a.asked, complete, page)
				}
				if next := a.field("next"); (next != "") != (page != "" && order == "oldest") {
					t.Fatalf("%s: next %q with page %q", a.asked, next, page)
				}
				ask = ""
				if page != "" {
					ask = "/orgs/acme/history?page=" + page
					w.do(http.MethodGet, ask+"&limit=2", "").problem(400, "page_mismatch")
					w.do(http.MethodGet, ask+"&format=csv", "").problem(400, "page_mismatch")
				}
				if pages == 0 {
					w.record(fmt.Sprintf(`account.open {"account":"user:new%d%s"}`, i, order),
						`role.assign {"principal":"user:bob","role":"admin"}`, `role.revoke {"principal":"user:bob","role":"admin"}`)
				}
			}
			if got := strings.Join(got, " "); got != want || pages < 2 {
				t.Errorf("%s in %d pages: got %s, want %s", first, pages, got, want)
			}
		}
	}
	page := w.do(http.MethodGet, "/orgs/acme/history?limit=1", "").text("page")
	w.do(http.MethodGet, "/orgs/acme/who?page="+page, "").problem(400, "bad_page")
}

func TestHistoryAsCSV(t *testing.T) {
	w := newCorrected(t)
	w.record(`account.open {"account":"user:eve","display_name":"=HYPERLINK(\"http://x\"), \"Eve\""} -1 for
	the "list"`)
	w.record(`subject.erase {"account":"record:record-1"}`)
	a := w.do(http.MethodGet, "/orgs/acme/history?format=csv", "").want(200)
	if got := a.header.Get("Content-Type"); got != "text/csv; charset=utf-8; header=present" {
		t.Errorf("Content-Type %q", got)
	}
	r := csv.NewReader(strings.NewReader(a.body))
	rows, err := r.ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(rows[0], historyColumns) || strings.Count(a.body, "\r\n") < len(rows) {
		t.Errorf("%s: the header is %q, want %q with every row ended by CRLF", a.asked, rows[0], historyColumns)
	}
	told := w.get("/orgs/acme/history")
	var events []struct {
		toldJSON
		RecordedAt string `json:"recorded_at"`
		Actor      string
		Reason     string
		Source     string
		Data       json.RawMessage
	}
	if err := json.Unmarshal([]byte(told.field("events")), &events); err != nil {
		t.Fatal(err)
	}
	if len(rows) != len(events)+1 {
		t.Fatalf("%d rows for %d events", len(rows), len(events))
	}
	for i, e := range events {
		want := []string{fmt.Sprint(e.Seq), e.RecordedAt, e.Type, e.Actor, e.Reason, e.Source, e.Sentence, string(e.Data)}
		switch e.Seq {
		case 16, 18, 19, 20: // they were about the record
			want[4] = "(erased)"
		case 21:
			want[4] = "'-1 for\n\tthe \"list\""
		}
		if !slices.Equal(rows[i+1], want) {
			t.Errorf("row %d:\ngot  %q\nwant %q", i+1, rows[i+1], want)
		}
	}
	for accept, csv := range map[string]bool{
		"text/csv": true, "text/csv;q=0.9, */*;q=0.1": true, "application/json, text/csv": false, "*/*": false, "": false, "text/html": false,
	} {
		a := w.do(http.MethodGet, "/orgs/acme/history?role=admin", "", "Accept", accept).want(200)
		if got := strings.HasPrefix(a.header.Get("Content-Type"), "text/csv"); got != csv || a.header.Get("Vary") != "Accept" {
			t.Errorf("Accept %q: got %s, Vary %q; want CSV: %t", accept, a.header.Get("Content-Type"), a.header.Get("Vary"), csv)
		}
	}
	if a := w.do(http.MethodGet, "/orgs/acme/history?role=admin&format=json", "", "Accept", "text/csv"); a.text("role") != "admin" {
		t.Errorf("%s with Accept text/csv: got %s, want JSON, as format says", a.asked, a.body)
	}
}

func TestHarmlessCells(t *testing.T) {
	for cell, want := range map[string]string{
		"": "", "a=b": "a=b", "=1": "'=1", "+1": "'+1", "-1": "'-1", "@x": "'@x", "\tx": "'\tx", "\rx": "'\rx", "'=": "'=", "é": "é",
	} {
		if got := harmless(cell); got != want {
			t.Errorf("%q: got %q, want %q", cell, got, want)
		}
	}
}

func TestHistoryBadInput(t *testing.T) {
	w := newCorrected(t)
	for _, c := range []struct {
		q      string
		status int
		code   string
		detail string
	}{
		{"about=user:bob&role=admin", 400, "bad_parameter", "about and role"},
		{"grant=a&actor=user:bob", 400, "bad_parameter", "grant and actor"},
		{"about=user:carol", 404, "unknown_account", "user:carol"},
		{"actor=user:carol", 404, "unknown_account", "user:carol"},
		{"role=king", 400, "unknown_role", "admin, owner"},
		{"role=!", 400, "bad_role", ""},
		{"grant=z", 404, "unknown_grant", `"z"`},
		{"type=role.assigned,role.given", 400, "unknown_type", "role.revoked"},
		{"type=moon.*", 400, "unknown_type", `"moon.*"`},
		{"type=role.assigned,", 400, "unknown_type", `""`},
		{"order=random", 400, "bad_parameter", "oldest or newest"},
		{"order=newest&after=3", 400, "bad_parameter", "page"},
		{"from=2026-01-05", 400, "bad_time", "from"},
		{"until=yesterday", 400, "bad_time", "until"},
		{"from=2026-01-05T00:00:00Z&until=2026-01-05T00:00:00Z", 400, "bad_interval", "before until"},
		{"format=xml", 400, "bad_parameter", "csv"},
		{"format=csv&limit=2", 400, "bad_parameter", "whole"},
		{"limit=0", 400, "bad_limit", ""},
		{"lang=fr", 400, "unknown_lang", ""},
		{"who=me", 400, "unknown_parameter", "actor"},
	} {
		p := w.do(http.MethodGet, "/orgs/acme/history?"+c.q, "").problem(c.status, c.code)
		if !strings.Contains(p.Detail, c.detail) {
			t.Errorf("%s: detail %q, want it to say %q", c.q, p.Detail, c.detail)
		}
	}
}
