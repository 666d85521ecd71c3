package wiretest

import (
	"bufio"
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
)

//go:embed testdata/*.jsonl
var recorded embed.FS

// The recorded configurations. The names are those of files in testdata.
const (
	New            = "new"             // the default: API v2
	NewExplicit    = "new-explicit"    // development.use_new_architecture: true
	NewTrue        = "new-true"        // ... used through API v1 above all
	NewAuth        = "new-auth"        // auth.enabled: true
	NewAuthFull    = "new-auth-full"   // ... all that was asked of it
	NewAuthDebug   = "new-auth-debug"  // ... and debug: true
	NewFull        = "new-full"        // the last of max_repos is made
	NewRestart     = "new-restart"     // restarted with everything in memory
	NewSlow        = "new-slow"        // every request runs into request_timeout
	NewMillisecond = "new-millisecond" // request_timeout: 1ms
	NewNoMetrics   = "new-no-metrics"  // metrics.enabled: false
	NewCORS        = "new-cors"        // CORS for one origin
	NewDisk        = "new-disk"        // storage.type: disk, with a restart
	NewIdle        = "new-idle"        // pool.max_idle_time 2 s, pool.max_repositories 3
	Legacy         = "legacy"          // development.use_new_architecture: false
	LegacyDisk     = "legacy-disk"     // ... with storage.type: disk, and a restart
	LegacyIdle     = "legacy-idle"     // ... with pool.max_idle_time 2 s
)

// Configurations are all of them.
func Configurations() []string {
	return []string{
		New, NewExplicit, NewTrue, NewAuth, NewAuthFull, NewAuthDebug, NewFull, NewRestart, NewSlow, NewMillisecond, NewNoMetrics, NewCORS, NewDisk, NewIdle,
		Legacy, LegacyDisk, LegacyIdle,
	}
}

// Exchange is one recorded request and its answer.
type Exchange struct {
	Line            int               `json:"line"` // of the full record
	Method          string            `json:"method"`
	Path            string            `json:"path"` // with the query
	Headers         map[string]string `json:"headers"`
	Body            string            `json:"body"`
	BodyBase64      []byte            `json:"body_base64"`
	Status          int               `json:"status"` // 0: the connection failed
	ResponseHeaders map[string]string `json:"response_headers"`
	Response        string            `json:"response"`
}

// Record returns what was recorded of a configuration, in order.
func Record(configuration string) ([]Exchange, error) {
	text, err := recorded.ReadFile("testdata/" + configuration + ".jsonl")
	if err != nil {
		return nil, fmt.Errorf("wiretest: %w", err)
	}
	var out []Exchange
	lines := bufio.NewScanner(bytes.NewReader(text))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var e Exchange
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			return nil, fmt.Errorf("wiretest: %s: %w", configuration, err)
		}
		if len(e.BodyBase64) > 0 {
			e.Body = string(e.BodyBase64)
		}
		out = append(out, e)
	}
	return out, lines.Err()
}
