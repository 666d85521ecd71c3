package gitrepo

import (
	"context"
	"fmt"
	"maps"
	"slices"
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
	m.objects.putStaged(objects)
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

func (m *memory) each(prefix string, fn func(name string, target Hash, err error) error) error {
	m.mu.RLock()
	names := maps.Clone(m.names)
	m.mu.RUnlock()
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if !strings.HasPrefix(name, prefix) {
			continue
		}
		if err := fn(name, names[name], nil); err != nil {
			return err
		}
	}
	return nil
}

// memoryChange is made all at once, or not at all.
type memoryChange struct {
	memory  *memory
	updates []refUpdate
}

// prepare implements refStore. It keeps nothing locked: what it found is looked
// at again by commit.
func (m *memory) prepare(ctx context.Context, updates ...refUpdate) (refChange, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	return memoryChange{m, updates}, m.possible(updates)
}

// possible looks whether updates can be made. The caller holds m.mu.
func (m *memory) possible(updates []refUpdate) error {
	for _, u := range updates {
		now, exists := m.names[u.name]
		if !u.anywhere && now != u.old {
			return fmt.Errorf("%w: %s is at %s, not at %s", ErrMoved, u.name, now, u.old)
		}
		if exists || u.target.IsZero() {
			continue
		}
		// On disk a reference is a file, and its prefixes are folders.
		for other := range m.names {
			if nested(u.name, other) {
				return fmt.Errorf("%w: %s and %s cannot both exist", ErrInvalid, u.name, other)
			}
		}
	}
	return nil
}

func (c memoryChange) commit(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	c.memory.mu.Lock()
	defer c.memory.mu.Unlock()
	if err := c.memory.possible(c.updates); err != nil {
		return err
	}
	for _, u := range c.updates {
		if u.target.IsZero() {
			delete(c.memory.names, u.name)
		} else {
			c.memory.names[u.name] = u.target
		}
	}
	return nil
}

func (memoryChange) begin() {}

func (memoryChange) abort() error { return nil }

// nested tells two names of which one would have to be a folder.
func nested(a, b string) bool {
	return strings.HasPrefix(a, b+"/") || strings.HasPrefix(b, a+"/")
}
