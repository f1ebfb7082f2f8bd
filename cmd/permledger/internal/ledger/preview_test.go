package ledger

// Looking ahead: what a preview says comes true when it is recorded, and until then nothing has happened.

import (
	"testing"

	"github.com/permledger/permledger/domain"
)

func TestPreviewSaysWhatRecordingThenDoes(t *testing.T) {
	l := founding(t, Options{Data: t.TempDir()})
	record1(t, l, opens(anna))
	head := l.Head()
	commands := []domain.Command{
		because("she is hired", assigns(anna, "therapist")),
		withID("k1", by(anna, opens("client:c1"))),
		withID("k1", by(anna, opens("client:c1"))), // the same again, in one array
	}
	p, err := l.Preview(t.Context(), commands, 100)
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Gained) != 2 || len(p.Lost) != 0 {
		t.Errorf("gained: got %+v, want what the role gives and what the link gives", p.Gained)
	}
	if l.Head() != head || p.KnownAt != head || len(whoNow(t, l, "view_record", "client:c1")) != 0 {
		t.Fatalf("after the preview: head %d, known at %d, want both %d and nobody to see client:c1", l.Head(), p.KnownAt, head)
	}
	r := record1(t, l, commands[:2]...)
	if len(r.Events) != len(p.Events) {
		t.Fatalf("recorded %d events, the preview had %d", len(r.Events), len(p.Events))
	}
	for i, e := range r.Events {
		if was := p.Events[i]; was.Seq != e.Seq || was.Type != e.Type || was.Actor != e.Actor || was.Reason != e.Reason || was.Org != e.Org {
			t.Errorf("event %d: the preview had %+v, recorded was %+v", i, was, e)
		}
	}
	// What was recorded before would record nothing again, and change nobody's permissions.
	again, err := l.Preview(t.Context(), commands[1:2], 100)
	if err != nil || len(again.Events) != 0 || again.GainedTotal+again.LostTotal+len(again.Warnings) != 0 {
		t.Errorf("the preview of a repeated command: got %+v (%v), want nothing", again, err)
	}
}

func TestPreviewRefusesAsRecordingDoes(t *testing.T) {
	l := founding(t, Options{Data: t.TempDir()})
	record1(t, l, withID("k1", opens(anna)))
	head := l.Head()
	for _, commands := range [][]domain.Command{
		{opens(anna)},
		{opens(bob), opens(bob)},
		{opens(bob), assigns(bob, "wizard")},
		{by(anna, opens(bob))},
		{withID("k1", opens(bob))},
		{withID("k2", opens(bob)), withID("k2", opens("professional:cas"))},
		{assigns(bob, "therapist")},
		{},
	} {
		_, previewed := l.Preview(t.Context(), commands, 100)
		_, recorded := l.Record(t.Context(), commands)
		if previewed == nil || recorded == nil {
			t.Fatalf("%v: previewed %v, recorded %v; want both refused", commands, previewed, recorded)
		}
		p, r := previewed.(*domain.Error), recorded.(*domain.Error)
		if p.Code != r.Code || p.Failure != r.Failure || len(commands) > 0 && p.Message != r.Message {
			t.Errorf("%v:\nthe preview says %s %q\nrecording says   %s %q", commands, p.Code, p.Message, r.Code, r.Message)
		}
	}
	if l.Head() != head {
		t.Errorf("head %d, was %d", l.Head(), head)
	}
}
