package govcd

import (
	"testing"
	"time"
)

// TestALowDisk takes nothing new, says why, and goes on reading.
func TestALowDisk(t *testing.T) {
	s := onDisk(t, t.TempDir())
	h := s.Handler()
	want(t, ask(t, h, "POST", "/api/v2/repos", `{"id":"docs"}`), 201, "docs")
	want(t, send(t, h, "POST", docs+"/batch", batchOf(put("a", "1"))), 201, `"hash"`)
	add(t, h, "b", "2")
	setFree := func(n int64) {
		s.disk.space.mu.Lock()
		defer s.disk.space.mu.Unlock()
		s.disk.space.look = func(string) (int64, error) { return n, nil }
		s.disk.space.looked = time.Time{}
	}
	setFree(MinFree - 1)
	for path, body := range map[string]string{
		docs + "/commits": `{"message":"m"}`, docs + "/batch": batchOf(put("c", "1")), "/api/v2/repos": `{"id":"more"}`,
		docs + "/branches": `{"name":"side"}`, docs + "/tags": `{"name":"v"}`,
	} {
		want(t, ask(t, h, "POST", path, body), 507, "DISK_FULL")
	}
	want(t, ask(t, h, "GET", docs+"/files?path=a", ""), 200, `"1"`)
	want(t, ask(t, h, "GET", "/health", ""), 503, `"storage":{"status":"warning"`)
	setFree(MinFree)
	commit(t, h, "what was staged")
	want(t, ask(t, h, "GET", docs+"/files?path=b&ref=main", ""), 200, `"2"`)
}
