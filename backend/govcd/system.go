package govcd

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"runtime"
	runtimemetrics "runtime/metrics"
	"time"

	"github.com/caiatech/caiatop/backend/govcd/access"
)

type check struct {
	Status    string    `json:"status"`
	Message   string    `json:"message"`
	Timestamp time.Time `json:"timestamp"`
	Duration  string    `json:"duration"`
}

// wellness is how the service is as a whole.
type wellness uint8

const (
	healthy   wellness = iota
	degraded           // all is served as before, and its operator should look
	unhealthy          // 503
)

// checks looks at each part of the service. Nearly full is a warning that
// makes the whole answer unhealthy, though every operation still works: that
// is how clients of govc know it. What only the operator can mend, and takes
// nothing from clients, leaves the answer at 200. The messages are for everybody:
// details are in the log.
func (s *Service) checks() (found map[string]check, worst wellness) {
	found = map[string]check{}
	look := func(name, good, bad string, severity wellness, ok bool, start time.Time) {
		c := check{Status: "healthy", Message: good, Timestamp: s.now(), Duration: time.Since(start).String()}
		if !ok {
			c.Status, c.Message = "warning", bad
			worst = max(worst, severity)
		}
		found[name] = c
	}
	run := func(name, good, bad string, ok bool, start time.Time) { look(name, good, bad, unhealthy, ok, start) }
	start := time.Now()
	run("repositories", "Repository system is operational", "Repository count is approaching limit", s.count()*10 <= s.maxRepos*9, start)
	if n := s.broken(); n > 0 { // no reason to keep clients from the others
		c := found["repositories"]
		c.Status, c.Message = "warning", fmt.Sprintf("%d repositories cannot be opened; the log says why", n)
		found["repositories"] = c
		worst = max(worst, degraded)
	}
	start = time.Now()
	run("storage", "Storage is accessible", "Stored content is approaching limit", s.stored.Load() <= s.maxBytes/10*9, start)
	if s.diskRoom() != nil {
		run("storage", "", "The disk is full: changes are refused", false, start)
	}
	if s.readOnly() {
		run("storage", "", "The folder of the service cannot be written to: changes are refused", false, start)
	}
	if n := s.vanished(); n > 0 {
		c := found["storage"]
		c.Status, c.Message = "unhealthy", fmt.Sprintf("The folders of %d repositories are gone: put them back, or delete these repositories", n)
		found["storage"] = c
		worst = unhealthy
	}
	start = time.Now()
	run("memory", "Memory usage is normal", "", true, start)
	start = time.Now()
	if problem := s.access.Problem(); problem != nil || s.access.Mode() != access.ModeOpen {
		look("access", "The rights in force are those that are set up", s.accessTrouble(problem), degraded, problem == nil, start)
	}
	if s.cert != nil {
		start = time.Now()
		look("certificate", "The certificate is in force", "The files of the certificate cannot be used, or it is not valid now", degraded,
			s.cert.Problem() == nil, start)
	}
	if s.audit != nil {
		start = time.Now()
		run("audit", "Changes can be recorded", "Changes are refused because they cannot be recorded", s.records(), start)
	}
	return found, worst
}

// accessTrouble says what an access file that is not in force means.
func (s *Service) accessTrouble(problem error) string {
	switch {
	case errors.Is(problem, fs.ErrNotExist):
		return "The access file is gone: no API key and no grant holds any more"
	case s.access.Mode() == access.ModeOpen:
		return "The access file cannot be used: nobody is asked for a credential, as before it was there"
	}
	return "The access file cannot be used: the rights read before are in force"
}

// answer is the status and the word for it; degraded has one of its own.
func (w wellness) answer(good, bad string) (status int, word string) {
	switch w {
	case unhealthy:
		return http.StatusServiceUnavailable, bad
	case degraded:
		return http.StatusOK, "degraded"
	case healthy:
	}
	return http.StatusOK, good
}

func (s *Service) health(w http.ResponseWriter, _ *http.Request, _ target) error {
	checks, worst := s.checks()
	status, word := worst.answer("healthy", "unhealthy")
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
	checks, worst := s.checks()
	if worst == degraded {
		worst = healthy // it is as ready as before
	}
	status, word := worst.answer("ready", "not_ready")
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
