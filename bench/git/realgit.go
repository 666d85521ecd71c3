package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
)

// realGit runs the git command in a folder, without any configuration of this
// machine.
type realGit struct{ dir string }

func (g realGit) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Dir = g.dir
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "GIT_") {
			cmd.Env = append(cmd.Env, v)
		}
	}
	cmd.Env = append(cmd.Env, "LC_ALL=C", "GIT_CONFIG_GLOBAL="+os.DevNull, "GIT_CONFIG_SYSTEM="+os.DevNull, "GIT_TERMINAL_PROMPT=0",
		"GIT_AUTHOR_NAME="+author.Name, "GIT_AUTHOR_EMAIL="+author.Email, "GIT_COMMITTER_NAME="+author.Name, "GIT_COMMITTER_EMAIL="+author.Email)
	return cmd
}

// run returns what git wrote to its output, without the last line end.
func (g realGit) run(ctx context.Context, stdin io.Reader, args ...string) (string, error) {
	cmd := g.command(ctx, args...)
	cmd.Stdin = stdin
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("git %s: %w: %s", strings.Join(args, " "), err, bytes.TrimSpace(errs.Bytes()))
	}
	return strings.TrimRight(out.String(), "\n"), nil
}

// initPeer makes a repository that syncs all it writes and never collects
// garbage by itself while it is measured.
func initPeer(ctx context.Context, dir string) (realGit, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return realGit{}, err
	}
	g := realGit{dir}
	for _, args := range [][]string{
		{"init", "-q", "--initial-branch=main"},
		{"config", "core.fsync", "all"},
		{"config", "core.fsyncMethod", "fsync"},
		{"config", "gc.auto", "0"},
		{"config", "maintenance.auto", "false"},
	} {
		if _, err := g.run(ctx, nil, args...); err != nil {
			return g, err
		}
	}
	return g, nil
}

// fsck lets real git judge a repository; not a word is accepted.
func (g realGit) fsck(ctx context.Context) error {
	cmd := g.command(ctx, "fsck", "--strict", "--full", "--no-dangling", "--no-progress")
	out, err := cmd.CombinedOutput()
	if err != nil || len(bytes.TrimSpace(out)) > 0 {
		return fmt.Errorf("git fsck of %s: %s: %w", g.dir, bytes.TrimSpace(out), errors.Join(err, errBroken))
	}
	return nil
}

// errBroken: what was measured did not do its work.
var errBroken = errors.New("the repository is not what it should be")

// files counts the files of a commit.
func (g realGit) files(ctx context.Context, commit string) (int, error) {
	out, err := g.run(ctx, nil, "ls-tree", "-r", "--name-only", commit)
	if err != nil || out == "" {
		return 0, err
	}
	return strings.Count(out, "\n") + 1, nil
}

// catFile is a git that stays and answers one lookup after the other.
type catFile struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

func (g realGit) catFile(ctx context.Context) (*catFile, error) {
	c := &catFile{cmd: g.command(ctx, "cat-file", "--batch")}
	var err error
	if c.in, err = c.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	c.out = bufio.NewReaderSize(out, 64<<10)
	return c, c.cmd.Start()
}

// read returns the object that a name like HEAD:path means.
func (c *catFile) read(name string) ([]byte, error) {
	if _, err := io.WriteString(c.in, name+"\n"); err != nil {
		return nil, err
	}
	head, err := c.out.ReadString('\n')
	if err != nil {
		return nil, err
	}
	fields := strings.Fields(head)
	if len(fields) != 3 {
		return nil, fmt.Errorf("git cat-file: %q", head)
	}
	size, err := strconv.Atoi(fields[2])
	if err != nil {
		return nil, fmt.Errorf("git cat-file: %q", head)
	}
	data := make([]byte, size+1)
	_, err = io.ReadFull(c.out, data)
	return data[:size], err
}

func (c *catFile) close() error { return errors.Join(c.in.Close(), c.cmd.Wait()) }
