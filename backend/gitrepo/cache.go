package gitrepo

import (
	"container/list"
	"sync"
)

// entryOverhead is what an entry costs besides its bytes: map, list, headers.
const entryOverhead = 200

// cache keeps the objects that were used last, within a bound of bytes.
type cache struct {
	mu      sync.Mutex
	limit   int64
	size    int64
	entries map[Hash]*list.Element
	order   *list.List // of cached, the last used first
}

type cached struct {
	hash Hash
	object
}

func newCache(limit int64) *cache {
	return &cache{limit: limit, entries: make(map[Hash]*list.Element), order: list.New()}
}

func (c *cache) get(h Hash) (object, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.entries[h]
	if !ok {
		return object{}, false
	}
	c.order.MoveToFront(e)
	return e.Value.(cached).object, true //nolint:forcetypeassert // the list holds nothing else
}

// put keeps o unless it would fill too much of the cache by itself.
func (c *cache) put(h Hash, o object) {
	cost := int64(len(o.data)) + entryOverhead
	if cost > c.limit/8 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.entries[h]; ok {
		return
	}
	c.entries[h] = c.order.PushFront(cached{h, o})
	c.size += cost
	for c.size > c.limit {
		last := c.order.Back()
		gone := c.order.Remove(last).(cached) //nolint:forcetypeassert // the list holds nothing else
		delete(c.entries, gone.hash)
		c.size -= int64(len(gone.data)) + entryOverhead
	}
}
