package api

// Refusing filters of the feed that can never let anything through: more likely a slip than a wish, and silence would be a
// misleading answer to a slip. What a filter lets through is package consumers'.

import (
	"slices"

	"github.com/permledger/permledger/cmd/permledger/internal/ledger"
	"github.com/permledger/permledger/consumers"
	"github.com/permledger/permledger/domain"
)

// filterKnown refuses a filter about what never was, of somebody who never was, or for a kind of account that the catalogue
// does not have.
func filterKnown(l *ledger.Ledger, f consumers.Filter) error {
	if f.About == "" && f.Subject == "" && len(f.Kinds) == 0 {
		return nil
	}
	a, err := newAsking(l, "at", "", "")
	if err != nil {
		return err
	}
	defer a.close()
	cats, err := a.catalogues()
	if err != nil {
		return err
	}
	if f.About != "" {
		if err := types(cats, f.About.Kind(), ""); err != nil {
			return at("about", err)
		}
		if err := a.exists(cats, f.About, ""); err != nil {
			return err
		}
	}
	for _, k := range f.Kinds {
		known := k == consumers.Gained || k == consumers.Lost || slices.ContainsFunc(cats, func(c *domain.Catalogue) bool {
			_, ok := c.Kinds[domain.Kind(k)]
			return ok
		})
		if !known {
			return domain.Errorf(domain.Malformed, "unknown_kind", "kind %s: want gained, lost, or a kind of account; the catalogue has %s", k, list(cats, kinds))
		}
	}
	if f.Subject != "" {
		return a.Account("subject", f.Subject)
	}
	return nil
}
