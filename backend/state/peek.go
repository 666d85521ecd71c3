package state

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// ErrUnsettled: the state file was not closed, so that a part of it lies in
// files beside it, which only Open takes in.
var ErrUnsettled = errors.New("it was not closed")

// Peek returns settings of the state file in dir without changing a byte there,
// not even by a file beside it: "" for those that were never set, and for all if
// there is no state file. Nobody may have the file open. What a killed process
// left is ErrUnsettled.
func Peek(ctx context.Context, dir string, keys ...string) (values []string, err error) {
	file := filepath.Join(dir, stateFile)
	values = make([]string, len(keys))
	if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
		return values, nil
	}
	if info, err := os.Stat(file + "-wal"); err == nil && info.Size() > 0 {
		return nil, fmt.Errorf("look into the state file %s: %w", file, ErrUnsettled)
	}
	db, err := sql.Open("sqlite", strings.Replace(dataSource(file, "query_only(1)"), "?", "?mode=ro&immutable=1&", 1))
	if err != nil {
		return nil, wrap(err, "look into", file)
	}
	defer func() { err = wrap(errors.Join(err, db.Close()), "look into", file) }()
	for i, key := range keys {
		err := db.QueryRowContext(ctx, `SELECT value FROM meta WHERE key = ?`, key).Scan(&values[i])
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return nil, err
		}
	}
	return values, nil
}
