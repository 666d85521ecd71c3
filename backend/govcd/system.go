package govcd

import (
	"fmt"
	"net/http"
	"runtime"
	runtimemetrics "runtime/metrics"
	"time"
)

type check struct {
	Status    string    `json:"status"`
	Message   string    `json:"message"`
	Timestamp time.Time `json:"timestamp"`
	Duration  string    `json:"duration"`
}

// checks looks at each part of the service. Nearly full is a warning that
// makes the whole answer unhealthy, though every operation still works: that
// is how clients of govc know it.
func (s *Service) checks() (found map[string]check, healthy bool) {
	found, healthy = map[string]check{}, true
	run := func(name, good, bad string, ok bool, start time.Time) {
		c := check{Status: "healthy", Message: good, Timestamp: s.now(), Duration: time.Since(start).String()}
		if !ok {
			c.Status, c.Message, healthy = "warning", bad, false
		}
		found[name] = c
	}
	start := time.Now()
	run("repositories", "Repository system is operational", "Repository count is approaching limit", s.count()*10 <= s.maxRepos*9, start)
	if n := s.broken(); n > 0 { // no reason to keep clients from the others
		c := found["repositories"]
		c.Status, c.Message = "warning", fmt.Sprintf("%d repositories cannot be opened; the log says why", n)
		found["repositories"] = c
	}
	start = time.Now()
	run("storage", "Storage is accessible", "Stored content is approaching limit", s.stored.Load() <= s.maxBytes/10*9 && s.diskRoom() == nil, start)
	start = time.Now()
	run("memory", "Memory usage is normal", "", true, start)
	return found, healthy
}

func (s *Service) health(w http.ResponseWriter, _ *http.Request, _ target) error {
	checks, healthy := s.checks()
	status, word := http.StatusOK, "healthy"
	if !healthy {
		status, word = http.StatusServiceUnavailable, "unhealthy"
	}
	m := readMemory()
	return answer(w, status, map[string]any{
		"status": word, "timestamp": s.now(), "version": s.version, "uptime": s.uptime().String(), "checks": checks,
		"system": map[string]any{
			"go_version": runtime.Version(), "num_goroutines": runtime.NumGoroutine(),
			"memory": map[string]any{
				"allocated_bytes": m.live, "total_allocated_bytes": m.allocated, "system_bytes": m.system, "num_gc": m.collections,
			},
		},
	})
}

func (s *Service) live(w http.ResponseWriter, _ *http.Request, _ target) error {
	return answer(w, http.StatusOK, map[string]any{"status": "alive", "timestamp": s.now()})
}

func (s *Service) ready(w http.ResponseWriter, _ *http.Request, _ target) error {
	checks, healthy := s.checks()
	status, word := http.StatusOK, "ready"
	if !healthy {
		status, word = http.StatusServiceUnavailable, "not_ready"
	}
	return answer(w, status, map[string]any{"status": word, "checks": checks, "timestamp": s.now()})
}

func (s *Service) describe(w http.ResponseWriter, _ *http.Request, _ target) error {
	return answer(w, http.StatusOK, map[string]any{
		"version": s.version, "go_version": runtime.Version(), "build_time": "unknown", "git_commit": "unknown",
		"implementation": Implementation, "durable": s.disk != nil, "embedded": s.embedded,
		"capabilities": capabilities,
	})
}

// memory is what the runtime tells without stopping the world, in bytes.
type memory struct{ live, allocated, system, collections uint64 }

func readMemory() memory {
	samples := []runtimemetrics.Sample{
		{Name: "/memory/classes/heap/objects:bytes"},
		{Name: "/gc/heap/allocs:bytes"},
		{Name: "/memory/classes/total:bytes"},
		{Name: "/gc/cycles/total:gc-cycles"},
	}
	runtimemetrics.Read(samples)
	return memory{samples[0].Value.Uint64(), samples[1].Value.Uint64(), samples[2].Value.Uint64(), samples[3].Value.Uint64()}
}
