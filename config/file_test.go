package config_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/caiatech/caiatop/config"
)

func TestFiles(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		says []string // nil for a good file
	}{
		"empty":                {"", nil},
		"comments":             {"# nothing\n\n", nil},
		"null sections":        {"govc:\nphase: ~\nstate: null\n", nil},
		"mark and CRLF":        {"\ufeffphase: dual\r\nlayout: fanout\r\n", nil},
		"dotted":               {"govc.repo: r\n", nil},
		"number":               {"govc: {timeout: 30, repo: 42}\n", nil},
		"reference":            {"govc:\n  token: &t abc\n  api_key: *t\n", nil},
		"unknown key":          {"phase: dual\ngovc:\n  timout: 3\n", []string{"config.yaml:3", `"govc.timout"`, `did you mean "govc.timeout"?`}},
		"unknown section":      {"govcs:\n  url: x\n", []string{"config.yaml:1", "no such setting"}},
		"nothing alike":        {"zzzzzzzzzzzz: 1\n", []string{"known are govc.url, "}},
		"too deep":             {"govc:\n  url:\n    host: x\n", []string{"govc.url (config.yaml:2)", "one plain value"}},
		"list for a value":     {"phase: [dual]\n", []string{"phase (config.yaml:1)", "one plain value"}},
		"value for a section":  {"layout: fanout\ngovc: http://h\n", []string{"govc (config.yaml:2)", "govc.url"}},
		"list":                 {"- phase: dual\n", []string{"config.yaml:1", "key and value"}},
		"text":                 {"just words\n", []string{"config.yaml:1", "key and value"}},
		"binary tag":           {"phase: !!binary ZHVhbA==\n", []string{"one plain value"}},
		"list as key":          {"? [a]\n: b\n", []string{"config.yaml:1", "no such setting"}},
		"key twice":            {"phase: dual\nlayout: fanout\nphase: primary\n", []string{"phase (config.yaml:3)", "line 1 sets this already"}},
		"section twice":        {"govc: {repo: a}\ngovc: {url: \"http://h\"}\n", []string{"govc (config.yaml:2)", "line 1 sets this already"}},
		"two documents":        {"phase: dual\n---\nphase: primary\n", []string{"config.yaml:2", "a second YAML document"}},
		"broken second":        {"phase: dual\n---\n\"\n", []string{"is not YAML"}},
		"tab":                  {"phase: dual\n\tlayout: x\n", []string{"config.yaml:2", "indented with a tab", "use spaces"}},
		"tab in a section":     {"govc:\n  repo: a\n \turl: x\n", []string{"config.yaml:3", "indented with a tab"}},
		"not YAML":             {"phase: dual\nlayout\n", []string{"config.yaml:", "is not YAML"}},
		"open quote":           {"phase: \"dual\n", []string{"config.yaml", "is not YAML"}},
		"control character":    {"# x\nphase: \x01\n", []string{"config.yaml:2", "U+0001"}},
		"zero bytes":           {"phase: dual\n\x00\x00", []string{"config.yaml:2", "U+0000"}},
		"not UTF-8":            {"layout: fanout\nphase: \xff\xfe\xfa\n", []string{"config.yaml:2", "not UTF-8", "save it as UTF-8"}},
		"UTF-16":               {"\xff\xfep\x00h\x00", []string{"UTF-16", "save it as UTF-8"}},
		"hosts":                {"http: {hosts: [A.example, 10.0.0.1, \"::1\"]}\n", nil},
		"one host":             {"http: {hosts: a.example}\n", nil},
		"no hosts":             {"http: {hosts: []}\n", nil},
		"host with a scheme":   {"http:\n  hosts:\n    - http://a\n", []string{"http.hosts (config.yaml:2)", `"http://a" is no name`}},
		"every host":           {"http: {hosts: [\"*\"]}\n", []string{`"*" is no name`}},
		"hosts in hosts":       {"http:\n  hosts:\n    - a\n    - [b]\n", []string{"http.hosts (config.yaml:4)", "each place of the list"}},
		"hosts as section":     {"http:\n  hosts: {a: b}\n", []string{"http.hosts (config.yaml:2)", "a list is expected"}},
		"hosts of themselves":  {"http: {hosts: &h [*h]}\n", []string{"http.hosts (config.yaml:1)"}},
		"two hosts in one":     {"http: {hosts: [\"a,b\"]}\n", []string{"http.hosts (config.yaml:1)"}},
		"everybody's door":     {"\nhttp:\n  addr: 0.0.0.0:80\n", []string{"http.addr (config.yaml:3)", "no token is set", "CAIATOP_HTTP_TOKEN"}},
		"a door with a key":    {"http: {addr: \":80\", token: 0123456789abcdef}\n", nil},
		"a door with half":     {"http: {addr: \":80\", read_token: t}\n", []string{"http.addr", "no token is set"}},
		"one token for both":   {"http: {token: hunter2, read_token: hunter2}\n", []string{"http.read_token (config.yaml:1)", "the same as http.token"}},
		"null twice":           {"phase:\nphase: dual\n", []string{"phase (config.yaml:2)", "line 1 sets this already"}},
		"true for a number":    {"embedded: {port: true}\n", []string{"embedded.port (config.yaml:1)", `"true" is no port`}},
		"list for a secret":    {"http: {token: [hunter2]}\n", []string{"http.token (config.yaml:1)", "one plain value"}},
		"number for a level":   {"log: {level: 3}\n", []string{"log.level (config.yaml:1)", `"3" is no level`}},
		"aliases":              {bomb(), []string{"no such setting"}},
		"endless section":      {"govc: &g {repo: r, govc: *g}\n", []string{`"govc.govc"`, "no such setting"}},
		"deep":                 {"phase: " + strings.Repeat("[", 20_000) + "\n", []string{"is not YAML"}},
		"bad value":            {"\n\ngovc:\n  timeout: soon\n", []string{"govc.timeout (config.yaml:4)", `"soon" is not a duration`}},
		"escape in a value":    {"phase: \"\\e[31mred\"\n", []string{`"\x1b[31mred" is no phase`}},
		"escape in a key":      {"\"a\\e\\nb\": 1\n", []string{`"a\x1b\nb"`}},
		"token like a pointer": {"govc: {token: *hunter2}\n", []string{"write the value in quotes"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := config.Load(config.Input{Env: env(nil), File: writeFile(t, c.text)})
			if c.says == nil {
				if err != nil {
					t.Errorf("Load: %v", err)
				}
				return
			}
			var e *config.Error
			if !errors.As(err, &e) {
				t.Fatalf("Load: %v, want a config.Error", err)
			}
			for _, want := range c.says {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q does not say %q", err, want)
				}
			}
			if strings.ContainsAny(err.Error(), "\n\r\x1b\x01") || strings.Contains(err.Error(), "hunter2") || e.Fix == "" {
				t.Errorf("not one clean line with a fix: %q", err)
			}
		})
	}
}

// bomb is a file whose aliases stand for a billion values.
func bomb() string {
	var out strings.Builder
	out.WriteString("a0: &a0 [x]\n")
	for i := range 9 {
		fmt.Fprintf(&out, "a%d: &a%d [%s]\n", i+1, i+1, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d,", i), 10), ","))
	}
	return out.String() + "http: {hosts: *a9}\n"
}

// TestCheckFindsAllMistakes: Load tells the first only.
func TestCheckFindsAllMistakes(t *testing.T) {
	in := config.Input{
		Env:   env(map[string]string{"GOVC_TIMEOUT": "soon"}),
		File:  writeFile(t, "phase: dual\nphase: primary\npase: dual\ngovc:\n  url: [a]\n  repo: a/b\nlog: {level: loud}\n"),
		Flags: map[string]string{"repos": "x", "timeouts": "y"},
	}
	var got []string
	for _, e := range config.Check(in) {
		got = append(got, e.Origin+" "+e.Key)
	}
	want := []string{
		"flag --repos ", "flag --timeouts ", "config.yaml:2 phase", `config.yaml:3 "pase"`, "config.yaml:5 govc.url",
		"config.yaml:6 govc.repo", "environment GOVC_TIMEOUT govc.timeout", "config.yaml:7 log.level",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	_, err := config.Load(in)
	if first := config.Check(in)[0]; err == nil || err.Error() != first.Error() {
		t.Errorf("Load: %v, want %v", err, first)
	}
	if found := config.Check(config.Input{Env: env(nil)}); len(found) != 0 {
		t.Errorf("defaults: %v", found)
	}
	var long strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&long, "x%d: 1\n", i)
	}
	if n := len(config.Check(config.Input{Env: env(nil), File: writeFile(t, long.String())})); n != 100 {
		t.Errorf("%d mistakes of 1000 are told, want 100", n)
	}
}

func TestUnreadableFiles(t *testing.T) {
	folder := t.TempDir()
	plain := filepath.Join(folder, "plain.yaml")
	if err := os.WriteFile(plain, []byte("phase: dual\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	loop := filepath.Join(folder, "loop.yaml")
	if err := os.Symlink("loop.yaml", loop); err != nil {
		t.Fatal(err)
	}
	padded := func(name string, size int) string {
		path := filepath.Join(folder, name)
		text := "phase: dual\n#"
		if err := os.WriteFile(path, []byte(text+strings.Repeat("x", size-len(text))), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	load(t, config.Input{Env: env(nil), File: padded("at-limit.yaml", config.MaxFile)})
	for name, c := range map[string]struct{ path, says string }{
		"missing":           {filepath.Join(folder, "none.yaml"), "no such file"},
		"folder":            {folder, "a folder"},
		"device":            {os.DevNull, "not a regular file"},
		"below a file":      {filepath.Join(plain, "config.yaml"), "not a directory"},
		"loop of links":     {loop, "cannot be read"},
		"too large":         {padded("past-limit.yaml", config.MaxFile+1), "1 MiB"},
		"control character": {filepath.Join(folder, "a\x1b[31m\nb"), `a\x1b[31m\nb`},
	} {
		_, err := config.Load(config.Input{Env: env(nil), File: c.path})
		if err == nil || !strings.Contains(err.Error(), c.says) || strings.ContainsAny(err.Error(), "\n\x1b") {
			t.Errorf("%s: %v, want one line that says %q", name, err, c.says)
		}
	}
	_, err := config.Load(config.Input{Env: env(nil), File: filepath.Join(folder, "none.yaml")})
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the cause is lost: %v", err)
	}
}

func TestPermissions(t *testing.T) {
	path := writeFile(t, "phase: dual\n")
	if err := os.Chmod(path, 0); err != nil {
		t.Fatal(err)
	}
	loaded := make(chan error, 1)
	go func() {
		if os.Geteuid() == 0 { // root may read everything: be nobody, on a thread that is not used again
			runtime.LockOSThread()
			if err := syscall.Setfsuid(65534); err != nil {
				loaded <- err
				return
			}
		}
		_, err := config.Load(config.Input{Env: env(nil), File: path})
		loaded <- err
	}()
	if err := <-loaded; !errors.Is(err, fs.ErrPermission) {
		t.Errorf("Load: %v, want a permission error", err)
	}
}

func TestDefaultPlace(t *testing.T) {
	root := t.TempDir()
	put := func(folder, repo string) string {
		t.Helper()
		path := filepath.Join(root, folder, "caiatop", "config.yaml")
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("govc: {repo: "+repo+"}\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	inHome, inXDG := put("home/.config", "home"), put("xdg", "xdg")
	vars := map[string]string{"HOME": filepath.Join(root, "home")}
	if c := load(t, config.Input{Env: env(vars)}); c.Govc.Repo != "home" || c.File != inHome {
		t.Errorf("repo %q of %q, want the one below HOME", c.Govc.Repo, c.File)
	}
	vars["XDG_CONFIG_HOME"] = filepath.Join(root, "xdg")
	if c := load(t, config.Input{Env: env(vars)}); c.Govc.Repo != "xdg" || c.File != inXDG {
		t.Errorf("repo %q of %q, want that of XDG_CONFIG_HOME", c.Govc.Repo, c.File)
	}
	other := writeFile(t, "govc: {repo: other}\n")
	if c := load(t, config.Input{Env: env(vars), File: other}); c.Govc.Repo != "other" || c.File != other {
		t.Errorf("repo %q of %q, want that of --config", c.Govc.Repo, c.File)
	}
	if c := load(t, config.Input{Env: env(vars), Flags: map[string]string{"config": other}}); c.Govc.Repo != "other" {
		t.Errorf("repo %q, want that of the flag config", c.Govc.Repo)
	}
	vars["XDG_CONFIG_HOME"] = filepath.Join(root, "nowhere")
	if c := load(t, config.Input{Env: env(vars)}); c.Govc.Repo != config.DefaultRepo || c.File != "" {
		t.Errorf("repo %q of %q, want the default", c.Govc.Repo, c.File)
	}
	// A file that is there but broken is never passed over.
	if err := os.WriteFile(inXDG, []byte("pase: dual\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	vars["XDG_CONFIG_HOME"] = filepath.Join(root, "xdg")
	if _, err := config.Load(config.Input{Env: env(vars)}); err == nil {
		t.Error("a broken file in the default place was passed over")
	}
}
