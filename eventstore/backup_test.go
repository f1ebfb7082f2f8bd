package eventstore

// All keys of a ledger at once, and putting them back.

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/permledger/permledger/domain"
)

func TestAllKeysAndBack(t *testing.T) {
	for name, s := range map[string]*Store{"embedded": embedded(t), "external": open(t, Options{URL: startRemote(t).url()})} {
		t.Run(name, func(t *testing.T) {
			l := create(t, s)
			keys, err := l.Keys(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			want := map[domain.Account][]byte{}
			all := func(k *Keys) map[domain.Account][]byte {
				t.Helper()
				got := map[domain.Account][]byte{}
				for key, err := range k.All(t.Context()) {
					if err != nil {
						t.Fatalf("All: %v", err)
					}
					if got[key.Account] != nil {
						t.Fatalf("All gave the key of %s twice", key.Account)
					}
					got[key.Account] = key.Raw
				}
				return got
			}
			same := func(got map[domain.Account][]byte) {
				t.Helper()
				if len(got) != len(want) {
					t.Fatalf("got %d keys, want %d", len(got), len(want))
				}
				for account, raw := range want {
					if !bytes.Equal(got[account], raw) {
						t.Fatalf("the key of %s is not the one that was made", account)
					}
				}
			}
			same(all(keys))
			for i := range 30 {
				account := domain.Account(fmt.Sprintf("client:c/%d", i))
				if want[account], err = keys.Key(t.Context(), account); err != nil {
					t.Fatal(err)
				}
			}
			same(all(keys))
			for _, gone := range []int{0, 7, 29} { // the first, one between, the last
				account := domain.Account(fmt.Sprintf("client:c/%d", gone))
				if err := keys.Erase(t.Context(), account); err != nil {
					t.Fatal(err)
				}
				delete(want, account)
			}
			same(all(keys))

			im, err := s.Import(t.Context(), "restored")
			if err != nil {
				t.Fatal(err)
			}
			if err := im.Add(event(1)); err != nil {
				t.Fatal(err)
			}
			for key := range keys.All(t.Context()) {
				if err := im.AddKey(t.Context(), key); err != nil {
					t.Fatal(err)
				}
			}
			wantError(t, im.AddKey(t.Context(), StoredKey{"client:short", []byte("short")}), domain.Malformed, "bad_key")
			written, err := im.Written(t.Context()) // it can be read, and is no ledger yet
			if err != nil {
				t.Fatal(err)
			}
			n := 0
			for e, err := range written.Read(t.Context(), 0, 1) {
				if n++; err != nil || e.Seq != 1 {
					t.Fatalf("reading what was written: event %d, %v", e.Seq, err)
				}
			}
			if same(all(im.Keys())); n != 1 {
				t.Fatalf("what was written has %d events, want 1", n)
			}
			_, err = s.Open(t.Context(), "restored")
			wantError(t, err, domain.Integrity, "import_unfinished")
			again, err := im.Commit(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if keys, err = again.Keys(t.Context()); err != nil {
				t.Fatal(err)
			}
			same(all(keys))
		})
	}
}

// TestRestoringAKeyTwice: an account has one key, so the commit fails.
func TestRestoringAKeyTwice(t *testing.T) {
	im, err := embedded(t).Import(t.Context(), acme)
	if err != nil {
		t.Fatal(err)
	}
	if err := im.Add(event(1)); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := im.AddKey(t.Context(), StoredKey{"client:c1", make([]byte, keyBytes)}); err != nil {
			t.Fatal(err)
		}
	}
	_, err = im.Commit(t.Context())
	wantError(t, err, domain.Unavailable, "keys_unavailable")
	if err := im.Abort(t.Context()); err != nil {
		t.Fatal(err)
	}
}
