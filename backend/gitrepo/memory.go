package gitrepo

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"strings"
	"sync"

	"github.com/go-git/go-git/v5/plumbing"
)

// memory keeps objects and references in maps. It grows with the history,
// whose only copy it is.
type memory struct {
	mu      sync.RWMutex
	objects map[Hash]object
	names   map[string]Hash
}

func newMemory() *memory {
	return &memory{objects: make(map[Hash]object), names: make(map[string]Hash)}
}

func (m *memory) object(h Hash) (object, error) {
	m.mu.RLock()
	o, ok := m.objects[h]
	m.mu.RUnlock()
	if !ok {
		return object{}, fmt.Errorf("object %s: %w", h, ErrNotFound)
	}
	return o, nil
}

func (m *memory) store(ctx context.Context, objects []staged) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, s := range objects {
		if _, ok := m.objects[s.hash]; ok {
			continue
		}
		if s.kind == plumbing.BlobObject {
			s.data = bytes.Clone(s.data) // the only bytes that the caller may change
		}
		m.objects[s.hash] = s.object
	}
	return nil
}

func (m *memory) close() error { return nil }

func (m *memory) ref(name string) (Hash, error) {
	m.mu.RLock()
	h, ok := m.names[name]
	m.mu.RUnlock()
	if !ok {
		return Hash{}, fmt.Errorf("%s: %w", name, ErrNotFound)
	}
	return h, nil
}

func (m *memory) list(prefix string) (map[string]Hash, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	out := maps.Clone(m.names)
	maps.DeleteFunc(out, func(name string, _ Hash) bool { return !strings.HasPrefix(name, prefix) })
	return out, nil
}

func (m *memory) set(ctx context.Context, name string, old, target Hash) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.names[name] != old {
		return fmt.Errorf("%s: %w", name, ErrMoved)
	}
	if target.IsZero() {
		delete(m.names, name)
		return nil
	}
	if old.IsZero() {
		// On disk a reference is a file, and its prefixes are folders.
		for other := range m.names {
			if nested(name, other) {
				return fmt.Errorf("%w: %s and %s cannot both exist", ErrInvalid, name, other)
			}
		}
	}
	m.names[name] = target
	return nil
}

// nested tells two names of which one would have to be a folder.
func nested(a, b string) bool {
	return strings.HasPrefix(a, b+"/") || strings.HasPrefix(b, a+"/")
}
