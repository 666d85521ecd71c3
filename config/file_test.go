package config_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
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
		"two documents":        {"phase: dual\n---\nphase: primary\n", []string{"more than one YAML document"}},
		"broken second":        {"phase: dual\n---\n\"\n", []string{"is not YAML"}},
		"not YAML":             {"phase: dual\n\tlayout: x\n", []string{"config.yaml", "is not YAML", "line 2"}},
		"control character":    {"phase: \x01\n", []string{"is not YAML"}},
		"not UTF-8":            {"phase: \xff\xfe\xfa\n", []string{"is not YAML"}},
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
