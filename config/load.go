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

// homeless says why home returns "".
func (e Env) homeless() string {
	if home := e.get("HOME"); home != "" {
		return fmt.Sprintf("HOME is %s, which is no absolute path", quote(home))
	}
	return "HOME is not set"
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
// defaults. The error is the first of those that Check finds, an *Error.
func Load(in Input) (Config, error) {
	c, mistakes := load(in)
	if len(mistakes) > 0 {
		return Config{}, mistakes[0]
	}
	return c, nil
}

// Check returns everything that is wrong with the settings, in the order of the
// file and then of Keys, nil if nothing is. Of a file with more mistakes than
// anybody reads it returns the first 100.
func Check(in Input) []*Error {
	_, mistakes := load(in)
	return mistakes
}

func load(in Input) (Config, []*Error) {
	if in.File == "" {
		in.File = in.Flags[fileFlag]
	}
	mistakes := checkFlags(in.Flags)
	file, found := readFile(in)
	mistakes = append(mistakes, found...)
	c := Config{
		Govc:    Govc{Repo: DefaultRepo, Timeout: DefaultTimeout},
		Phase:   PhaseDual,
		Engine:  Engine{KeptBytes: DefaultKeptBytes},
		Layout:  LayoutFanOut,
		State:   State{Dir: in.Env.folder("XDG_STATE_HOME", ".local/state")},
		Backup:  Backup{Interval: DefaultInterval},
		Gitrepo: Gitrepo{Cache: DefaultGitCache},
		File:    file.path,
	}
	for _, s := range settings {
		from, err := s.load(&c, in, file)
		if err != nil {
			mistakes = append(mistakes, err)
			continue
		}
		c.origins = append(c.origins, Origin{s.key, s.show(c), from, s.help})
	}
	if len(mistakes) == 0 && c.State.Dir == "" {
		mistakes = append(mistakes, noFolder(in.Env))
	}
	for _, check := range []func() *Error{c.checkGovc, c.checkTokens} {
		if err := check(); err != nil && len(mistakes) == 0 {
			mistakes = append(mistakes, err)
		}
	}
	return c, mistakes
}

// noFolder says why there is no default place for the state.
func noFolder(env Env) *Error {
	fix := "set HOME, XDG_STATE_HOME or CAIATOP_STATE_DIR, or use --state-dir"
	if env.get("HOME") != "" {
		fix = "set HOME to an absolute path, or use --state-dir"
	}
	return &Error{Key: "state.dir", Origin: "default", Problem: "no folder can be found because " + env.homeless(), Fix: fix}
}

const newToken = "make another with: openssl rand -hex 32"

// checkTokens refuses to answer other machines without a token or with one that
// can be guessed, and to let whoever may only read do everything.
func (c Config) checkTokens() *Error {
	e := &Error{}
	switch {
	case !c.HTTP.Token.IsSet() && !isLoopback(c.HTTP.Addr):
		e.Key, e.Problem = addrKey, "other machines reach "+quote(c.HTTP.Addr)+", and no token is set that keeps them out"
		e.Fix = "set http.token or CAIATOP_HTTP_TOKEN, or answer on 127.0.0.1 only"
	case !isLoopback(c.HTTP.Addr) && len(c.HTTP.Token.Reveal()) < MinRemoteToken:
		e.Key, e.Problem = tokenKey, fmt.Sprintf("it has fewer than %d bytes, and other machines reach %s", MinRemoteToken, quote(c.HTTP.Addr))
		e.Fix = newToken
	case !isLoopback(c.HTTP.Addr) && c.HTTP.ReadToken.IsSet() && len(c.HTTP.ReadToken.Reveal()) < MinRemoteToken:
		e.Key, e.Problem = readTokenKey, fmt.Sprintf("it has fewer than %d bytes, and other machines reach %s", MinRemoteToken, quote(c.HTTP.Addr))
		e.Fix = newToken
	case c.HTTP.Token.IsSet() && c.HTTP.Token.Reveal() == c.HTTP.ReadToken.Reveal():
		e.Key, e.Problem = readTokenKey, "it is the same as http.token, so whoever may only read could do everything"
		e.Fix = newToken
	default:
		return nil
	}
	return c.located(e)
}

func checkFlags(given map[string]string) (mistakes []*Error) {
	var unknown []string
	for name := range given {
		if name == fileFlag {
			continue
		}
		if !slices.ContainsFunc(settings, func(s setting) bool { return s.flag == name && name != "" }) {
			unknown = append(unknown, name)
		}
	}
	known := []string{fileFlag}
	for _, f := range Flags() {
		known = append(known, f.Name)
	}
	slices.Sort(unknown)
	for _, name := range unknown {
		mistakes = append(mistakes, &Error{Origin: "flag --" + name, Problem: "there is no such setting", Fix: suggest(name, known)})
	}
	return mistakes
}

// load stores the first value that is given and returns where it came from.
func (s setting) load(c *Config, in Input, file fileValues) (string, *Error) {
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
	if v, ok := file.values[s.key]; ok && !v.empty {
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
