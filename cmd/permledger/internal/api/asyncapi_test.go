package api

// The description of what can be subscribed to is true: it holds together, and real messages are what it says, with no field
// that it does not name.

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/permledger/permledger/consumers"
	"github.com/permledger/permledger/domain"
)

func TestAsyncAPIServed(t *testing.T) {
	w := newWorld(t)
	a := w.get("/asyncapi.json").want(200)
	if got := a.header.Get("Content-Type"); got != "application/vnd.aai.asyncapi+json;version=3.0.0" {
		t.Errorf("Content-Type %q", got)
	}
	var info struct{ Version string }
	if err := json.Unmarshal([]byte(a.field("info")), &info); err != nil || info.Version != programVersion() || a.text("asyncapi") != "3.0.0" {
		t.Errorf("info %+v (%v), want the version %s of an AsyncAPI 3.0.0", info, err, programVersion())
	}
	w.get("/asyncapi.json", "version", "2").problem(400, "unknown_parameter")
}

// asyncAPI reads the document.
func asyncAPI(t *testing.T) map[string]any {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(asyncAPIDocument))
	if err != nil {
		t.Fatal(err)
	}
	return doc.(map[string]any)
}

// within calls visit for every object in v.
func eachObject(v any, visit func(map[string]any)) {
	switch v := v.(type) {
	case map[string]any:
		visit(v)
		for _, name := range slices.Sorted(maps.Keys(v)) {
			eachObject(v[name], visit)
		}
	case []any:
		for _, e := range v {
			eachObject(e, visit)
		}
	}
}

func TestAsyncAPIReferences(t *testing.T) {
	doc, refs, used := asyncAPI(t), 0, map[string]bool{}
	eachObject(doc, func(o map[string]any) {
		ref, ok := o["$ref"].(string)
		if !ok {
			return
		}
		refs++
		used[ref] = true
		var at any = doc
		for name := range strings.SplitSeq(strings.TrimPrefix(ref, "#/"), "/") {
			in, _ := at.(map[string]any)
			if at, ok = in[name]; !ok {
				t.Fatalf("%s: there is no %s", ref, name)
			}
		}
		if len(o) > 1 {
			t.Errorf("%s: what stands beside it counts for nothing: %v", ref, o)
		}
	})
	for name := range doc["components"].(map[string]any)["schemas"].(map[string]any) {
		if !used["#/components/schemas/"+name] {
			t.Errorf("schema %s: nothing is of it", name)
		}
	}
	if refs < 100 {
		t.Errorf("only %d references were looked at", refs)
	}
}

// schemas compiles the schemas of the document by name, each made strict: a field that is not named in it is an error.
func schemas(t *testing.T) func(name string, body []byte) error {
	t.Helper()
	doc := asyncAPI(t)
	eachObject(doc["components"], func(o map[string]any) {
		if _, ok := o["properties"]; ok && o["type"] == "object" {
			o["additionalProperties"] = false
		}
	})
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft7)
	c.AssertFormat()
	if err := c.AddResource("asyncapi.json", doc); err != nil {
		t.Fatal(err)
	}
	return func(name string, body []byte) error {
		schema, err := c.Compile("asyncapi.json#/components/schemas/" + name)
		if err != nil {
			t.Fatal(err)
		}
		v, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
		if err != nil {
			return err
		}
		return schema.Validate(v)
	}
}

func TestAsyncAPISaysWhatIsSent(t *testing.T) {
	w := newFed(t, Options{})
	server := w.serve()
	head := w.record(told...)
	holds := schemas(t)
	is := func(name, body string) {
		t.Helper()
		if err := holds(name, []byte(body)); err != nil {
			t.Errorf("%s: %v\n%s", name, err, body)
		}
	}
	changes := changesOf(followed(t, server.Client(), server.URL, "after=0", "").upTo(head))
	for _, e := range changes {
		is("Change", e.data)
	}
	until := domain.Instant(1)
	is("Change", string(marshal(consumers.Change{Cursor: consumers.Cursor{Seq: 7, N: 2, Mark: "9f2c01ab"}, Seq: 7, At: 1, Kind: consumers.Gained,
		Subject: "user:alice", Resource: "record:*", Actions: []domain.Action{"read"}, ValidUntil: &until,
		Cause: consumers.Cause{Seq: 7, Type: domain.ValidityStarted, Actor: domain.ClockActor, Of: 3}})))
	if len(changes) < 10 {
		t.Errorf("only %d changes", len(changes))
	}
	alice := []string{"subject", "user:alice", "action", "write", "resource", "record:record-1"}
	is("CheckAnswer", w.get("/orgs/acme/check", alice...).want(200).body)
	is("CheckAnswer", w.get("/orgs/acme/check", append(alice, "at", began.AddDate(-1, 0, 0).Format("2006-01-02T15:04:05Z"))...).want(200).body)
	is("CheckAnswer", w.get("/orgs/acme/check", append(alice, "catalogue", "minddistrict")...).want(200).body)
	who := []string{"action", "read", "resource", "record:record-1"}
	is("WhoAnswer", w.get("/orgs/acme/who", who...).want(200).body)
	is("WhoAnswer", w.get("/orgs/acme/who", "action", "greet", "resource", "user:bob", "limit", "1").want(200).body)
	from, until2 := began.Format("2006-01-02T15:04:05Z"), began.AddDate(0, 0, 1).Format("2006-01-02T15:04:05Z")
	is("WhoDuringAnswer", w.get("/orgs/acme/who", append(who, "from", from, "until", until2)...).want(200).body)
	is("Problem", w.get("/orgs/acme/check", "subject", "x").body)
	is("Problem", w.get("/orgs/acme/who", append(who, "known_at", "999")...).body)

	// What is not so is told from what is.
	for name, body := range map[string]string{
		"Change":      strings.Replace(changes[0].data, `"kind"`, `"kinds"`, 1),
		"CheckAnswer": `{"decision":"yes"}`,
		"WhoRequest":  `{"colour":"red"}`,
		"Event":       `{"id":"1"}`,
	} {
		if holds(name, []byte(body)) == nil {
			t.Errorf("%s: takes %s", name, body)
		}
	}

	// Every parameter of a request is one that HTTP takes, and the other way round.
	doc := asyncAPI(t)["components"].(map[string]any)["schemas"].(map[string]any)
	for schema, paths := range map[string][]string{"CheckRequest": {"/orgs/acme/check"}, "WhoRequest": {"/orgs/acme/who", "/orgs/acme/who?from=x"}} {
		var taken []string
		for _, path := range paths {
			sep := "?"
			if strings.Contains(path, sep) {
				sep = "&"
			}
			p := w.do("GET", path+sep+"none=x", "").problem(400, "unknown_parameter")
			_, list, _ := strings.Cut(p.Detail, "takes ")
			taken = append(taken, strings.Split(list, ", ")...)
		}
		slices.Sort(taken)
		got := slices.Sorted(maps.Keys(doc[schema].(map[string]any)["properties"].(map[string]any)))
		if want := slices.Compact(taken); !slices.Equal(got, want) {
			t.Errorf("%s has %v, HTTP takes %v", schema, got, want)
		}
	}
}

// The events are those of the golden files, which are kept for ever.
func TestAsyncAPIEvents(t *testing.T) {
	files, err := filepath.Glob("../../../../domain/testdata/events/*.json")
	if err != nil || len(files) < len(domain.EventTypes()) {
		t.Fatalf("%d golden events (%v)", len(files), err)
	}
	holds := schemas(t)
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if err := holds("Event", b); err != nil {
			t.Errorf("%s: %v", f, err)
		}
	}
}
