package access

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"sync"
	"time"
)

const (
	day = "2006-01-02"
	// usedRetry is how long a file that could not be written is left alone.
	usedRetry = time.Minute
)

// usage remembers the day on which each key was used last. It has a file of its
// own, written by the service alone: losing it loses no right.
type usage struct {
	mu    sync.Mutex
	days  map[string]string // id of a key -> day
	retry time.Time
}

// LastUsed returns the day on which each key was used last, by its id.
func (r Register) LastUsed() (map[string]string, error) {
	data, err := r.Volume.ReadFile(filepath.Join(r.Dir, usedName))
	if errors.Is(err, fs.ErrNotExist) {
		return map[string]string{}, nil
	}
	if err != nil {
		return nil, err
	}
	var days map[string]string
	if err := json.Unmarshal(data, &days); err != nil || len(data) > maxFile {
		return nil, fmt.Errorf("%w: %s is damaged: delete it", ErrInvalid, usedName)
	}
	for id, d := range days {
		if _, err := time.Parse(day, d); err != nil {
			delete(days, id)
		}
	}
	if days == nil {
		days = map[string]string{}
	}
	return days, nil
}

// note remembers that a key was used, and writes the file on its first use of a
// day. Others who use keys meanwhile do not wait.
func (u *usage) note(r Register, id string, now time.Time, known func(id string) bool) error {
	today := now.UTC().Format(day)
	if !u.mu.TryLock() {
		return nil // somebody writes; the next use notes it
	}
	defer u.mu.Unlock()
	if u.days[id] == today || now.Before(u.retry) {
		return nil
	}
	next := maps.Clone(u.days)
	if next == nil {
		next = map[string]string{}
	}
	next[id] = today
	maps.DeleteFunc(next, func(id, _ string) bool { return !known(id) })
	data, err := json.MarshalIndent(next, "", "  ")
	if err == nil {
		err = r.Volume.WriteFile(filepath.Join(r.Dir, usedName), append(data, '\n'), 0o600)
	}
	if err != nil {
		u.retry = now.Add(usedRetry)
		return fmt.Errorf("remember the last use of key %s: %w", id, err)
	}
	u.days = next
	return nil
}
