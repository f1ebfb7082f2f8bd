package api

// What commands would come to (?dry_run=true): the shape of the answer. What it says is domain's.

import (
	"net/http"

	"github.com/permledger/permledger/cmd/permledger/internal/ledger"
	"github.com/permledger/permledger/domain"
)

// previewLimit is how many gains, and how many losses, a preview lists when no limit is given.
const previewLimit = 1000

// previewAnswer says what would be recorded, and who would gain and lose what by it. Of a type as a whole it names
// "type:*", and the resources of it that would stay as they are under except.
type previewAnswer struct {
	DryRun bool `json:"dry_run"` // always true: nothing was recorded
	moments
	Events      []*domain.Event  `json:"events"`
	Gained      []previewEffect  `json:"gained"`
	Lost        []previewEffect  `json:"lost"`
	GainedTotal int              `json:"gained_total"` // how many there are, listed or not
	LostTotal   int              `json:"lost_total"`
	Complete    bool             `json:"complete"` // all are listed
	Warnings    []previewWarning `json:"warnings"`
}

type previewEffect struct {
	Subject    domain.Account    `json:"subject"`
	Resource   domain.Resource   `json:"resource"`
	Actions    []domain.Action   `json:"actions"`
	Except     []domain.Resource `json:"except,omitempty"`
	From       *domain.Instant   `json:"from,omitempty"` // absent: at once
	ValidUntil *domain.Instant   `json:"valid_until"`    // of what is gained: when it could end by itself; null: never, as far as is known
}

type previewWarning struct {
	Code     string           `json:"code"`
	Text     string           `json:"text"`
	Accounts []domain.Account `json:"accounts"`
}

func preview(w http.ResponseWriter, r *http.Request, l *ledger.Ledger, p params, cmds []domain.Command) error {
	limit, err := p.limit(previewLimit, maxLimit)
	if err != nil {
		return err
	}
	lang, err := p.lang()
	if err != nil {
		return err
	}
	f, err := l.Preview(r.Context(), cmds, limit)
	if err != nil {
		return err
	}
	a := previewAnswer{
		DryRun: true, moments: moments{f.At, f.KnownAt}, Events: append([]*domain.Event{}, f.Events...),
		Gained: previewEffects(f.Gained), Lost: previewEffects(f.Lost), GainedTotal: f.GainedTotal, LostTotal: f.LostTotal,
		Complete: f.GainedTotal == len(f.Gained) && f.LostTotal == len(f.Lost),
		Warnings: []previewWarning{},
	}
	for _, x := range f.Warnings {
		a.Warnings = append(a.Warnings, previewWarning{x.Code, x.In(lang), append([]domain.Account{}, x.Accounts...)})
	}
	return writeJSON(w, a)
}

func previewEffects(effects []domain.ForeseenEffect) []previewEffect {
	list := make([]previewEffect, len(effects))
	for i, e := range effects {
		list[i] = previewEffect{Subject: e.Subject, Resource: e.Resource, Actions: e.Actions, Except: e.Except}
		if e.From != 0 {
			list[i].From = &e.From
		}
		if e.Gained && e.ValidUntil != domain.Forever {
			list[i].ValidUntil = &e.ValidUntil
		}
	}
	return list
}
