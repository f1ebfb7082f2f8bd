package ledger

// Comparing a live projection with one made from its log, at one seq: everything they hold, by digest and where that
// differs key by key, and what they answer. It changes neither.

import (
	"context"
	"math/rand/v2"
	"reflect"

	"github.com/permledger/permledger/domain"
	"github.com/permledger/permledger/projections"
)

// compare pins both at one seq and compares them, and writes both to tables where they are to be swapped. tail keeps what
// the new one commits from then on. Where the live one is not to be compared it only writes the new one's tables.
func (r *rebuild) compare(ctx context.Context, out *Rebuilt, tail *projections.Tail) error {
	r.update(func(st *RebuildState) { st.Phase = PhaseComparing })
	if r.kind == "replace" {
		return r.write(ctx, out, tail)
	}
	c, seq, err := r.sideBySide(ctx, tail, r.kind != "verify" && !r.o.DryRun)
	out.Seq, out.Comparison = seq, c
	return err
}

// write writes the new projection's tables, as it is now.
func (r *rebuild) write(ctx context.Context, out *Rebuilt, tail *projections.Tail) error {
	pin, err := r.new.Pin()
	if err != nil {
		return err
	}
	defer pin.Close()
	r.new.KeepTail(tail)
	out.Seq = pin.Position().Seq
	_, err = r.digest(ctx, pin, "new", nil)
	return err
}

// digest gives the digest of what is pinned; with a name it writes it to tables of that name as well.
func (r *rebuild) digest(ctx context.Context, pin *projections.Pinned, name string, progress func(int64)) (projections.Digest, error) {
	if name == "" {
		return pin.Digest(ctx, nil, progress)
	}
	tables, err := pin.NewTables(r.s.db, r.tables(name))
	if err != nil {
		return projections.Digest{}, err
	}
	d, err := pin.Digest(ctx, tables, progress)
	if err == nil {
		err = tables.Finish(r.l.Org(), d)
	}
	if err != nil {
		tables.Abandon()
	}
	return d, err
}

// sideBySide compares the two at the live one's position of this moment.
func (r *rebuild) sideBySide(ctx context.Context, tail *projections.Tail, write bool) (*Comparison, domain.Seq, error) {
	live, err := r.l.p.Pin()
	if err != nil {
		return nil, 0, err
	}
	defer live.Close()
	seq := live.Position().Seq
	if err := r.build(ctx, seq); err != nil {
		return nil, seq, err
	}
	made, err := r.new.Pin()
	if err != nil {
		return nil, seq, err
	}
	defer made.Close()
	if tail != nil {
		r.new.KeepTail(tail)
	}
	if a, b := live.Position(), made.Position(); a.Seq != b.Seq || a.EventID != b.EventID || a.RecordedAt != b.RecordedAt || !a.Stream.Equal(b.Stream) {
		return nil, seq, domain.Errorf(domain.Integrity, "rebuild_differs", "the projection of %s says that it goes to event %d (%s, recorded at %s), the log gives event %d (%s, recorded at %s)",
			r.l.Org(), a.Seq, a.EventID, a.RecordedAt, b.Seq, b.EventID, b.RecordedAt)
	}
	names := [2]string{}
	if write {
		names = [2]string{"old", "new"}
	}

	// Each has a processor. Whichever fails ends the other.
	both, cancel := context.WithCancel(ctx)
	defer cancel()
	var liveDigest projections.Digest
	var liveErr error
	done := make(chan struct{})
	go func() {
		defer close(done)
		if liveDigest, liveErr = r.digest(both, live, names[0], func(keys int64) { r.update(func(st *RebuildState) { st.Keys = keys }) }); liveErr != nil {
			cancel()
		}
	}()
	madeDigest, err := r.digest(both, made, names[1], nil)
	if err != nil {
		cancel()
	}
	<-done
	if ctx.Err() == nil && liveErr != nil && !isFailure(err, domain.Integrity) {
		err = liveErr // the other one's is of having been ended
	}
	if err != nil {
		return nil, seq, err
	}
	c := &Comparison{Equal: liveDigest.Equal(madeDigest), Keys: liveDigest.Keys, Bytes: liveDigest.Bytes, Live: liveDigest.Sorts, Rebuilt: madeDigest.Sorts}
	r.update(func(st *RebuildState) { st.Keys = c.Keys })
	if !c.Equal {
		c.Differences, c.Differing, err = live.Differences(ctx, made, differencesShown)
		return c, seq, err
	}
	c.Answers, err = r.answers(ctx, seq)
	return c, seq, err
}

// answers asks both the same questions, picked at random, about moments of the past: who may do something to somebody
// whom an event was about, as known at a seq behind it, and whether the other one of that event may. It fails with Integrity where
// two answers differ, and gives how many were compared.
func (r *rebuild) answers(ctx context.Context, upTo domain.Seq) (n int, err error) {
	live, err := r.l.p.At(upTo)
	if err != nil {
		return 0, err
	}
	defer live.Close()
	made, err := r.new.At(upTo)
	if err != nil {
		return 0, err
	}
	defer made.Close()
	for range answersCompared {
		if err := ctx.Err(); err != nil || upTo == 0 {
			return n, err
		}
		of := 1 + rand.N(upTo)
		known := of + rand.N(upTo-of+1)
		if err := live.MoveTo(known); err != nil {
			return n, err
		}
		if err := made.MoveTo(known); err != nil {
			return n, err
		}
		q, at, ok, err := questionAbout(live, of)
		if err != nil {
			return n, err
		}
		if !ok {
			continue
		}
		same, err := sameAnswers(live, made, q, at)
		if err != nil {
			return n, err
		}
		if !same {
			return n, domain.Errorf(domain.Integrity, "rebuild_differs", "the projection of %s: who may %s %s at %s, known at %d, is answered otherwise than by what the log gives",
				r.l.Org(), q.Action, q.Resource, at, known)
		}
		n++
	}
	return n, nil
}

// questionAbout makes a question of what the event began; ok is false where nothing can be asked of it.
func questionAbout(v *projections.View, of domain.Seq) (q domain.Question, at domain.Instant, ok bool, err error) {
	f, ok, err := v.FactAt(of)
	if err != nil || !ok {
		return q, 0, false, err
	}
	held, err := v.Fact(f)
	if err != nil || len(held.Intervals) == 0 {
		return q, 0, false, err
	}
	at = max(held.Recorded, held.Intervals[len(held.Intervals)-1].From)
	adopted, err := v.Fact(domain.Fact{Family: domain.FamilyCatalogue, Subject: domain.CatalogueRef})
	if err != nil {
		return q, 0, false, err
	}
	in, ok := adopted.At(at)
	if !ok {
		return q, 0, false, nil
	}
	cat, err := v.Catalogue(in.Began)
	if err != nil {
		return q, 0, false, err
	}
	subject, err := domain.ParseAccount(string(f.Subject))
	if err != nil { // it stands for something else, as a grant's id does
		return q, 0, false, nil
	}
	q = domain.Question{Subject: subject, Resource: domain.Resource(subject)}
	if object, err := domain.ParseResource(string(f.Object)); err == nil {
		q.Resource = object
	}
	actions := cat.Actions(q.Resource.Kind())
	if len(actions) == 0 {
		return q, 0, false, nil
	}
	q.Action = actions[rand.IntN(len(actions))]
	return q, at, true, nil
}

// mostAnswers bounds how many of a who are compared.
const mostAnswers = 100

func sameAnswers(live, made *projections.View, q domain.Question, at domain.Instant) (bool, error) {
	a, err := domain.Evaluate(live, q, at)
	if err != nil {
		return false, err
	}
	b, err := domain.Evaluate(made, q, at)
	if err != nil || !reflect.DeepEqual(a, b) {
		return false, err
	}
	whoLive, err := firstAnswers(live, q, at)
	if err != nil {
		return false, err
	}
	whoMade, err := firstAnswers(made, q, at)
	return reflect.DeepEqual(whoLive, whoMade), err
}

func firstAnswers(v *projections.View, q domain.Question, at domain.Instant) (answers []domain.Answer, err error) {
	q.Subject = ""
	for answer, err := range domain.Who(v, q, at, "") {
		if err != nil {
			return nil, err
		}
		if answers = append(answers, answer); len(answers) == mostAnswers {
			break
		}
	}
	return answers, nil
}
