package eventstore

// The lock on a data directory, and syncing one to disk. nats-server locks nothing: two in one directory would
// interleave their blocks. Nothing here knows what the files hold.

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/gofrs/flock"

	"github.com/permledger/permledger/domain"
)

// dirLock is an advisory lock of the operating system: it ends with the process, however that ends. The file stays;
// what it says is who had it last.
type dirLock struct{ file *flock.Flock }

func lockDir(dir string) (*dirLock, error) {
	path := filepath.Join(dir, "lock")
	file := flock.New(path, flock.SetPermissions(0o600))
	got, err := file.TryLock()
	if err != nil {
		return nil, domain.Errorf(domain.Unreachable, "data_directory", "locking the data directory %s: %v", dir, err)
	}
	if !got {
		holder := "another process"
		if pid, err := os.ReadFile(path); err == nil && len(pid) > 0 {
			holder = "process " + strings.TrimSpace(string(pid))
		}
		return nil, domain.Errorf(domain.Unreachable, "in_use", "the data directory %s is in use by %s; stop it, or ask it with --server", dir, holder)
	}
	if err := os.WriteFile(path, []byte(strconv.Itoa(os.Getpid())+"\n"), 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("writing our pid into %s: %w", path, err), file.Close())
	}
	return &dirLock{file}, nil
}

func (l *dirLock) release() error { return l.file.Close() }

// syncTree makes every file and directory under dir durable. Files that vanish meanwhile are no error: the server
// replaces its own by renaming.
func syncTree(dir string) error {
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && (d.IsDir() || d.Type().IsRegular()) {
			err = syncPath(path)
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("syncing %s to disk: %w", dir, err)
	}
	return nil
}

func syncPath(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
