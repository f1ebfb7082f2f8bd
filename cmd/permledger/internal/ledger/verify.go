package ledger

// Verifying: is the live projection what the log gives, is the log what the projection saw, and is what lies on the disk
// what was written? It changes nothing that is live, and says what it compared and how much.

import (
	"cmp"
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/permledger/permledger/domain"
	"github.com/permledger/permledger/projections"
)

// VerifyOptions say how much is verified.
type VerifyOptions struct {
	// Sample is how many events, picked at random, are read from the log and folded again, each on what the projection says
	// stood before it. 0: all of the log is read, and a whole projection made of it and compared.
	Sample int
}

// Verified says what was compared, how much of it, and what was found.
type Verified struct {
	Org     domain.Org `json:"org"`
	Full    bool       `json:"full"`
	Seq     domain.Seq `json:"seq"` // up to which
	Seconds float64    `json:"seconds"`

	// Log is of the log: how many of its events were read and decoded, up to the first that is wrong. Where it is read whole
	// each must be the one after the one before, have the id that it is stored under, and not be recorded before the one before.
	Log struct {
		Events  uint64         `json:"events"`
		Created domain.Instant `json:"created"` // its creation, which is the one that the projection was made from
		Newest  domain.EventID `json:"newest"`  // the id of the event at Seq, which is the one that was applied
	} `json:"log"`

	// Files is of the projections' tables, of all organisations together: every block was read and checked.
	Files struct {
		Tables int   `json:"tables"`
		Bytes  int64 `json:"bytes"`
	} `json:"files"`

	KeysFolded  int `json:"keys_folded,omitempty"` // compared for a sample
	*Comparison     // of a whole one
}

// Verify verifies an organisation's ledger. progress is as for Rebuild. Errors: Conflict where a rebuild is under way;
// Integrity where something is not as it should be, with everything that was found in what it gives; what kept it from
// looking.
func (s *Service) Verify(ctx context.Context, org domain.Org, o VerifyOptions, progress func(RebuildState)) (Verified, error) {
	out := Verified{Org: org, Full: o.Sample == 0}
	err := s.beside(ctx, org, "verify", progress, func(ctx context.Context, r *rebuild) error {
		began := time.Now()
		defer func() { out.Seconds = time.Since(began).Seconds() }()
		return r.verify(ctx, o, &out)
	})
	return out, err
}

func (r *rebuild) verify(ctx context.Context, o VerifyOptions, out *Verified) error {
	if err := r.find(ctx, out.Org); err != nil {
		return err
	}
	pos := r.l.p.Position()
	if err := r.l.belongs(ctx, pos); err != nil {
		return err
	}
	out.Seq, out.Log.Created, out.Log.Newest = pos.Seq, domain.InstantOf(r.l.log.Created()), pos.EventID
	tables, size, damaged := r.s.db.CheckFiles(ctx)
	out.Files.Tables, out.Files.Bytes = tables, size
	if damaged != nil && !isFailure(damaged, domain.Integrity) {
		return damaged
	}
	look := r.whole // also where a file is damaged: what that did is looked for
	if o.Sample > 0 {
		look = r.sample
	}
	return together(damaged, look(ctx, o, out))
}

// together makes one error of damage that was found and of what came of looking on, either of which may be nil: the kind and
// code of the first, and both in one line.
func together(damaged, then error) error {
	var e *domain.Error
	if then == nil || !errors.As(damaged, &e) {
		return cmp.Or(damaged, then)
	}
	return domain.Errorf(e.Failure, e.Code, "%s; and %v", e.Message, then)
}

// whole makes a projection of the whole log and compares. It leaves nothing of it: a verification begins anew each time.
func (r *rebuild) whole(ctx context.Context, _ VerifyOptions, out *Verified) (err error) {
	defer func() {
		if e := r.clear(); err == nil { // what was found counts for more
			err = e
		}
	}()
	if err := r.open(ctx); err != nil {
		return err
	}
	err = r.catchUp(ctx)
	if err == nil {
		r.update(func(st *RebuildState) { st.Phase = PhaseComparing })
		out.Comparison, out.Seq, err = r.sideBySide(ctx, nil, false)
	}
	out.Log.Events = uint64(r.new.Position().Seq) // also where it got no further
	if err != nil {
		return err
	}
	out.Log.Newest = r.new.Position().EventID
	if !out.Equal {
		return r.wrong(out.Differing, out.Seq)
	}
	return nil
}

func (r *rebuild) wrong(n int64, seq domain.Seq) error {
	return domain.Errorf(domain.Integrity, "projections_damaged", "the projection of %s is not what its log gives: %s at event %d: permledger rebuild --replace-damaged makes it again from the log",
		r.l.Org(), differing(n), seq)
}

// sample reads events picked at random and folds each again.
func (r *rebuild) sample(ctx context.Context, o VerifyOptions, out *Verified) error {
	n := o.Sample
	r.update(func(st *RebuildState) { r.read, st.Phase, st.Target = time.Now(), PhaseReading, domain.Seq(n) })
	c := &Comparison{}
	for range n {
		if out.Seq == 0 {
			break
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		e, err := r.stored(ctx, 1+rand.N(out.Seq))
		if err != nil {
			return err
		}
		if err := r.inTime(e); err != nil {
			return err
		}
		wrong, keys, err := r.l.p.CheckEvent(e)
		if err != nil {
			return err
		}
		out.Log.Events++
		out.KeysFolded += keys
		c.Differing += int64(len(wrong))
		c.Differences = append(c.Differences, wrong[:min(len(wrong), differencesShown-len(c.Differences))]...)
		r.update(func(st *RebuildState) { st.Seq++ })
	}
	if c.Differing > 0 {
		out.Comparison = c
		return r.wrong(c.Differing, out.Seq)
	}
	return nil
}

// stored reads one event from the log.
func (r *rebuild) stored(ctx context.Context, seq domain.Seq) (*domain.Event, error) {
	entry, err := r.l.log.Get(ctx, seq)
	if isFailure(err, domain.Unknown) {
		return nil, domain.Errorf(domain.Integrity, "log_gap", "the log of %s has no event %d, and was applied up to %d", r.l.Org(), seq, r.l.p.Position().Seq)
	} else if err != nil {
		return nil, err
	}
	return r.l.decode(entry)
}

// inTime checks that the projection has the event at the time that it says it was recorded at.
func (r *rebuild) inTime(e *domain.Event) error {
	before, err := r.l.p.SeqAt(e.RecordedAt - 1)
	if err != nil {
		return err
	}
	last, err := r.l.p.SeqAt(e.RecordedAt)
	if err != nil {
		return err
	}
	if before < e.Seq && e.Seq <= last {
		return nil
	}
	return domain.Errorf(domain.Integrity, "projections_damaged", "the projection of %s has events %d to %d at %s, and event %d was recorded then: permledger rebuild --replace-damaged makes it again from the log",
		r.l.Org(), before+1, last, e.RecordedAt, e.Seq)
}

// SetAside moves the projections in a data directory out of the way, where not even their database can be opened, and gives
// where to. The ledgers then make new ones from their logs when they are opened. Nothing may have the directory open.
func SetAside(data string) (string, error) { return projections.SetAside(projectionDir(data)) }
