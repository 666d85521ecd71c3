package config

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
)

// fileFlag names the configuration file on the command line.
const fileFlag = "config"

// Env looks up an environment variable, as os.LookupEnv does.
type Env func(name string) (string, bool)

// get treats an empty variable as one that is not set, as shells' users do.
func (e Env) get(name string) string {
	if e == nil || name == "" {
		return ""
	}
	value, _ := e(name)
	return value
}

func (e Env) home() string {
	if home := e.get("HOME"); filepath.IsAbs(home) {
		return home
	}
	return ""
}

// folder returns the folder of an XDG variable, or the fallback below HOME, or
// "". The XDG specification says to ignore relative paths.
func (e Env) folder(variable, fallback string) string {
	if dir := e.get(variable); filepath.IsAbs(dir) {
		return filepath.Join(dir, "caiatop")
	}
	if home := e.home(); home != "" {
		return filepath.Join(home, fallback, "caiatop")
	}
	return ""
}

// Input is what Load reads from.
type Input struct {
	// Flags holds the flags that were given, without dashes; see Flags. The
	// flag "config" stands for File where that is empty.
	Flags map[string]string
	// Env is the environment. Other variables than ours are ignored, also those
	// that look alike: others use them. Empty ones count as not set.
	Env Env
	// File is the path of --config, "" for the default place, where the file
	// may be missing.
	File string
}

// Load returns the settings: flags before environment before file before
// defaults. Errors are *Error.
func Load(in Input) (Config, error) {
	if in.File == "" {
		in.File = in.Flags[fileFlag]
	}
	if err := checkFlags(in.Flags); err != nil {
		return Config{}, err
	}
	file, err := readFile(in)
	if err != nil {
		return Config{}, err
	}
	c := Config{
		Govc:   Govc{Repo: DefaultRepo, Timeout: DefaultTimeout},
		Phase:  PhaseDual,
		Layout: LayoutFanOut,
		State:  State{Dir: in.Env.folder("XDG_STATE_HOME", ".local/state")},
		File:   file.path,
	}
	for _, s := range settings {
		from, err := s.load(&c, in, file)
		if err != nil {
			return Config{}, err
		}
		c.origins = append(c.origins, Origin{s.key, s.show(c), from, s.help})
	}
	if c.State.Dir == "" {
		return Config{}, noFolder(in.Env)
	}
	return c, nil
}

// noFolder says why there is no default place for the state.
func noFolder(env Env) *Error {
	why, fix := "HOME is not set", "set HOME, XDG_STATE_HOME or CAIATOP_STATE_DIR, or use --state-dir"
	if home := env.get("HOME"); home != "" {
		why = fmt.Sprintf("HOME is %q, which is no absolute path", home)
		fix = "set HOME to an absolute path, or use --state-dir"
	}
	return &Error{Key: "state.dir", Origin: "default", Problem: "no folder can be found because " + why, Fix: fix}
}

func checkFlags(given map[string]string) error {
	var unknown []string
	for name := range given {
		if name == fileFlag {
			continue
		}
		if !slices.ContainsFunc(settings, func(s setting) bool { return s.flag == name && name != "" }) {
			unknown = append(unknown, name)
		}
	}
	if len(unknown) == 0 {
		return nil
	}
	name := slices.Min(unknown)
	known := []string{fileFlag}
	for _, f := range Flags() {
		known = append(known, f.Name)
	}
	return &Error{Origin: "flag --" + name, Problem: "there is no such setting", Fix: suggest(name, known)}
}

// load stores the first value that is given and returns where it came from.
func (s setting) load(c *Config, in Input, file fileValues) (string, error) {
	value, from, err := s.find(in, file)
	if err == nil && from != "" {
		err = s.set(c, value, in.Env)
	}
	var p *problem
	switch {
	case errors.As(err, &p):
		return "", &Error{Key: s.key, Origin: from, Problem: p.what, Fix: p.fix}
	case err != nil:
		return "", &Error{Key: s.key, Origin: from, Problem: err.Error(), Cause: err}
	case from == "":
		return "default", nil
	}
	return from, nil
}

func (s setting) find(in Input, file fileValues) (value, from string, err error) {
	if s.flag != "" {
		if value, ok := in.Flags[s.flag]; ok {
			return value, "flag --" + s.flag, nil
		}
	}
	if value := in.Env.get(s.env); value != "" {
		from := "environment " + s.env
		if s.env == phaseVariable {
			value, err = phaseOfVariable(value)
		}
		return value, from, err
	}
	if v, ok := file.values[s.key]; ok {
		return v.text, file.at(v.line), nil
	}
	return "", "", nil
}

// suggest names the known word that is nearest to what was written, or all of
// them if none is near.
func suggest(word string, known []string) string {
	best, nearest := "", len(word)/2+1
	for _, k := range known {
		if d := distance(word, k); d < nearest {
			best, nearest = k, d
		}
	}
	if best == "" {
		return "known are " + strings.Join(known, ", ")
	}
	return fmt.Sprintf("did you mean %q?", best)
}

// distance is the number of letters to insert, remove or replace between a and
// b.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(row[j+1]+1, row[j]+1, diagonal+cost)
		}
	}
	return row[len(b)]
}
