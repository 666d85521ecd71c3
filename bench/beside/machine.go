package beside

import (
	"bytes"
	"os"
	"runtime"
	"strings"
)

// Machine says where a run was made: no figure means anything without it.
type Machine struct {
	CPU        string `json:"cpu"`
	Cores      int    `json:"cores"`
	Kernel     string `json:"kernel"`
	Go         string `json:"go"`
	LoadBefore string `json:"load_before"`
	LoadAfter  string `json:"load_after"`
}

// ThisMachine describes it, before a run.
func ThisMachine() Machine {
	return Machine{
		CPU: Field("/proc/cpuinfo", "model name"), Cores: runtime.NumCPU(), Kernel: firstLine("/proc/sys/kernel/osrelease"),
		Go: runtime.Version(), LoadBefore: load(),
	}
}

// Finish notes what is to be known after a run.
func (m *Machine) Finish() { m.LoadAfter = load() }

// load is the load of the last minute, "unknown" where /proc is missing.
func load() string {
	one, _, _ := strings.Cut(firstLine("/proc/loadavg"), " ")
	return one
}

func firstLine(file string) string {
	data, err := os.ReadFile(file)
	if err != nil {
		return "unknown"
	}
	line, _, _ := strings.Cut(string(data), "\n")
	return line
}

// Field returns the value of the first "key: value" line of a file.
func Field(file, key string) string {
	data, err := os.ReadFile(file)
	if err != nil {
		return "unknown " + key
	}
	for line := range bytes.Lines(data) {
		if k, v, ok := bytes.Cut(line, []byte(":")); ok && string(bytes.TrimSpace(k)) == key {
			return string(bytes.TrimSpace(v))
		}
	}
	return "unknown " + key
}
