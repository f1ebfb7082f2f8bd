package api

// What is wrong and what to do about it: GET /admin/doctor. What is looked at and how it is judged is package ledger's.

import (
	"net/http"

	"github.com/permledger/permledger/cmd/permledger/internal/ledger"
	"github.com/permledger/permledger/domain"
)

// doctor answers 200 whatever was found: the answer is the findings. They are of all organisations, or of the one in org,
// which is 404 where it has no ledger.
func (s *server) doctor(w http.ResponseWriter, r *http.Request) error {
	p, err := readParams(r, "org")
	if err != nil {
		return err
	}
	var only domain.Org
	if p["org"] != "" {
		if only, err = domain.ParseOrg(p["org"]); err != nil {
			return err
		}
	}
	found, err := s.service.Doctor(r.Context(), only)
	if err != nil {
		return err
	}
	return writeJSON(w, map[string][]ledger.Finding{"findings": found})
}
