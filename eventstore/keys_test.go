package eventstore

// The keys of personal texts: made once, found again, gone when erased.

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/permledger/permledger/domain"
)

const anna = domain.Account("client:a.n~n@a/+=-_1")

func keysOf(t testing.TB, l *Log) *Keys {
	t.Helper()
	k, err := l.Keys(t.Context())
	if err != nil {
		t.Fatalf("Keys: %v", err)
	}
	return k
}

func TestSealUnseal(t *testing.T) {
	for name, s := range map[string]*Store{
		"embedded": embedded(t),
		"external": open(t, Options{URL: startRemote(t).url()}),
	} {
		t.Run(name, func(t *testing.T) {
			k := keysOf(t, create(t, s))
			sealed, err := k.Seal(t.Context(), anna, "01E", "reason", "crisis at home")
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(sealed, "crisis") || strings.ContainsAny(sealed, "+/= ") {
				t.Errorf("sealed text %q is not base64url", sealed)
			}
			if twice, _ := k.Seal(t.Context(), anna, "01E", "reason", "crisis at home"); twice == sealed {
				t.Error("sealing twice gives the same text")
			}
			plain, ok, err := k.Unseal(t.Context(), anna, "01E", "reason", sealed)
			if plain != "crisis at home" || !ok || err != nil {
				t.Fatalf("Unseal = %q, %v, %v", plain, ok, err)
			}
			for what, unseal := range map[string]func() (string, bool, error){
				"another event": func() (string, bool, error) { return k.Unseal(t.Context(), anna, "01F", "reason", sealed) },
				"another field": func() (string, bool, error) { return k.Unseal(t.Context(), anna, "01E", "display_name", sealed) },
				"a changed text": func() (string, bool, error) {
					return k.Unseal(t.Context(), anna, "01E", "reason", sealed[:len(sealed)-4]+"AAAA")
				},
				"a cut text":       func() (string, bool, error) { return k.Unseal(t.Context(), anna, "01E", "reason", sealed[:16]) },
				"no sealed text":   func() (string, bool, error) { return k.Unseal(t.Context(), anna, "01E", "reason", "AAAA") },
				"no base64 at all": func() (string, bool, error) { return k.Unseal(t.Context(), anna, "01E", "reason", "crisis!") },
			} {
				_, ok, err := unseal()
				if ok || err == nil {
					t.Errorf("unsealing %s: ok %v, error %v", what, ok, err)
					continue
				}
				wantError(t, err, domain.Integrity, "bad_seal")
			}
			// Another account's key does not open it, nor does an account that has none.
			if _, err := k.Key(t.Context(), "client:other"); err != nil {
				t.Fatal(err)
			}
			for _, other := range []domain.Account{"client:other", "client:none"} {
				if _, ok, err := k.Unseal(t.Context(), other, "01E", "reason", sealed); ok || err != nil {
					t.Errorf("unsealing as %s: ok %v, error %v, want neither", other, ok, err)
				}
			}
		})
	}
}

func TestErase(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(t.Context(), Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	k := keysOf(t, create(t, s))
	if _, ok, err := k.Lookup(t.Context(), anna); ok || err != nil {
		t.Fatalf("Lookup before there is a key: %v, %v", ok, err)
	}
	if err := k.Erase(t.Context(), anna); err != nil {
		t.Fatalf("erasing what is not there: %v", err)
	}
	var erased, kept []byte
	for i := range 40 { // so that it lies amid others
		key, err := k.Key(t.Context(), domain.Account(fmt.Sprintf("client:c%d", i)))
		if err != nil {
			t.Fatal(err)
		}
		if i == 20 {
			if erased, err = k.Key(t.Context(), anna); err != nil {
				t.Fatal(err)
			}
		}
		kept = key
	}
	sealed, err := k.Seal(t.Context(), anna, "01E", "reason", "text")
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := k.Erase(t.Context(), anna); err != nil {
			t.Fatalf("Erase: %v", err)
		}
	}
	if _, ok, err := k.Lookup(t.Context(), anna); ok || err != nil {
		t.Errorf("Lookup after the erasure: %v, %v", ok, err)
	}
	wantErased := func(k *Keys) {
		t.Helper()
		if _, ok, err := k.Unseal(t.Context(), anna, "01E", "reason", sealed); ok || err != nil {
			t.Errorf("Unseal after the erasure: ok %v, error %v, want neither", ok, err)
		}
	}
	wantErased(k)
	if inFiles(t, dir, erased) {
		t.Error("the erased key is still in a file")
	}
	if !inFiles(t, dir, kept) {
		t.Error("a key that was not erased is in no file: this test looks in the wrong place")
	}
	// A new key does not open the old text, and opens new ones.
	again, err := k.Seal(t.Context(), anna, "01F", "reason", "new")
	if err != nil {
		t.Fatal(err)
	}
	wantErased(k)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	l, err := open(t, Options{Dir: dir}).Open(t.Context(), acme)
	if err != nil {
		t.Fatal(err)
	}
	k = keysOf(t, l)
	wantErased(k)
	if plain, ok, err := k.Unseal(t.Context(), anna, "01F", "reason", again); plain != "new" || !ok || err != nil {
		t.Errorf("Unseal after reopening = %q, %v, %v", plain, ok, err)
	}
}

func inFiles(t *testing.T, dir string, key []byte) (found bool) {
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		found = found || bytes.Contains(b, key)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// Two servers at once make one key, and what one erases the other does not use any more.
func TestKeysOfTwoServers(t *testing.T) {
	r := startRemote(t)
	a := create(t, open(t, Options{URL: r.url()}))
	b, err := open(t, Options{URL: r.url()}).Open(t.Context(), acme)
	if err != nil {
		t.Fatal(err)
	}
	rings := []*Keys{keysOf(t, a), keysOf(t, b), keysOf(t, a), keysOf(t, b)}
	for i := range 30 {
		account := domain.Account(fmt.Sprintf("client:c%d", i))
		keys := make([][]byte, len(rings))
		var wg sync.WaitGroup
		for j, k := range rings {
			wg.Go(func() {
				var err error
				if keys[j], err = k.Key(t.Context(), account); err != nil {
					t.Errorf("Key: %v", err)
				}
			})
		}
		wg.Wait()
		for _, key := range keys {
			if len(key) != keyBytes || !bytes.Equal(key, keys[0]) {
				t.Fatalf("%s has the keys %x", account, keys)
			}
		}
	}
	sealed, err := rings[0].Seal(t.Context(), "client:c1", "01E", "reason", "text")
	if err != nil {
		t.Fatal(err)
	}
	if plain, ok, err := rings[1].Unseal(t.Context(), "client:c1", "01E", "reason", sealed); plain != "text" || !ok || err != nil {
		t.Fatalf("the other server's Unseal = %q, %v, %v", plain, ok, err)
	}
	if err := rings[0].Erase(t.Context(), "client:c1"); err != nil {
		t.Fatal(err)
	}
	if _, ok, err := rings[1].Unseal(t.Context(), "client:c1", "01E", "reason", sealed); ok || err != nil {
		t.Fatalf("the other server still unseals after the erasure: %v, %v", ok, err)
	}
}

// During an import keys are made without waiting, in more accounts than the cache holds.
func TestKeysOfAnImport(t *testing.T) {
	s := open(t, Options{Dir: t.TempDir(), Relaxed: true})
	im := importer(t, s)
	k := im.Keys()
	const accounts = 2*cachedKeys + 500
	account := func(i int) domain.Account { return domain.Account(fmt.Sprintf("client:c%d", i)) }
	sealed := make([]string, accounts)
	for i := range accounts {
		var err error
		if sealed[i], err = k.Seal(t.Context(), account(i), "01E", "reason", "text"); err != nil {
			t.Fatal(err)
		}
	}
	if len(k.young)+len(k.old) > 2*cachedKeys {
		t.Errorf("the cache holds %d keys, at most %d are allowed", len(k.young)+len(k.old), 2*cachedKeys)
	}
	first, err := k.Seal(t.Context(), account(0), "01F", "reason", "again") // long out of the cache
	if err != nil {
		t.Fatal(err)
	}
	if err := k.Erase(t.Context(), account(5)); err != nil {
		t.Fatal(err)
	}
	add(t, im, events(1, 3))
	l, err := im.Commit(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	k = keysOf(t, l)
	for i := 0; i < accounts; i += 97 {
		if plain, ok, err := k.Unseal(t.Context(), account(i), "01E", "reason", sealed[i]); plain != "text" || !ok || err != nil {
			t.Fatalf("Unseal of %s = %q, %v, %v", account(i), plain, ok, err)
		}
	}
	if plain, ok, err := k.Unseal(t.Context(), account(0), "01F", "reason", first); plain != "again" || !ok || err != nil {
		t.Fatalf("Unseal of the second text of %s = %q, %v, %v", account(0), plain, ok, err)
	}
	if _, ok, err := k.Unseal(t.Context(), account(5), "01E", "reason", sealed[5]); ok || err != nil {
		t.Fatalf("Unseal of the erased one: %v, %v", ok, err)
	}
}

// A key that the import made but the log refused would lose what was sealed under it: Commit must not pass over it.
func TestImportNoticesARefusedKey(t *testing.T) {
	s := open(t, Options{Dir: t.TempDir(), Relaxed: true})
	im := importer(t, s)
	if _, err := s.js.Publish(t.Context(), im.Keys().subject(anna), make([]byte, keyBytes)); err != nil {
		t.Fatal(err)
	}
	if _, err := im.Keys().Seal(t.Context(), anna, "01E", "reason", "text"); err != nil {
		t.Fatal(err)
	}
	add(t, im, events(1, 3))
	_, err := im.Commit(t.Context())
	wantError(t, err, domain.Unavailable, "keys_unavailable")
	_, err = s.Open(t.Context(), acme)
	wantError(t, err, domain.Integrity, "import_unfinished")
}
