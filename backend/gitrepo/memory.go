package gitrepo

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"sync"
)

// memory keeps objects and references. It grows with the history, whose only
// copy it is.
type memory struct {
	objects *table
	mu      sync.RWMutex // guards names
	names   map[string]Hash
}

func newMemory() *memory {
	return &memory{objects: newTable(0, 0), names: make(map[string]Hash)}
}

func (m *memory) object(h Hash) (object, error) {
	if o, ok := m.objects.get(h); ok {
		return o, nil
	}
	return object{}, fmt.Errorf("object %s: %w", h, ErrNotFound)
}

func (m *memory) store(ctx context.Context, objects []staged) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	for i := range objects {
		m.objects.putStaged(&objects[i])
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
