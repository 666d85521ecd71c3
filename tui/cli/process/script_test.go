package process_test

import (
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// untilTime bounds how long a script waits for another process.
const untilTime = 2 * time.Minute

// TestScripts runs the commands as processes, each script in a home of its own.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "../testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("HOME", env.WorkDir+"/home")
			env.Setenv("TMPDIR", env.WorkDir+"/tmp")
			return os.MkdirAll(env.WorkDir+"/tmp", 0o700)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"until": until, "code": code},
	})
}

// until runs a program again and again until it succeeds, with ! until it
// fails: "until grep ready out".
func until(ts *testscript.TestScript, neg bool, args []string) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(untilTime)
	for {
		err := ts.Exec(args[0], args[1:]...)
		if (err == nil) != neg {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			ts.Fatalf("%s: still %v", strings.Join(args, " "), err)
		}
	}
}

// code runs a program that must end with that exit code: "code 66 caiatop get
// x". Its output is in the files out and err.
func code(ts *testscript.TestScript, neg bool, args []string) {
	cmd := exec.Command(args[1], args[2:]...)
	cmd.Dir = ts.MkAbs(".")
	for _, name := range []string{"HOME", "TMPDIR", "PATH", "EDITOR", "VISUAL", "CAIATOP_BACKUP_REMOTE", "CAIATOP_GITREPO_CACHE", "CAIATOP_HTTP_ADDR", "GOVC_TIMEOUT"} {
		cmd.Env = append(cmd.Env, name+"="+ts.Getenv(name))
	}
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	ts.Check(os.WriteFile(ts.MkAbs("out"), []byte(stdout.String()), 0o600))
	ts.Check(os.WriteFile(ts.MkAbs("err"), []byte(stderr.String()), 0o600))
	if cmd.ProcessState == nil {
		ts.Fatalf("%s: %v", args[1], err)
	}
	if got := strconv.Itoa(cmd.ProcessState.ExitCode()); (got == args[0]) == neg {
		ts.Fatalf("%s: exit code %s, want %s\n%s%s", strings.Join(args[1:], " "), got, args[0], &stdout, &stderr)
	}
}
