package documents

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	tea "github.com/charmbracelet/bubbletea"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/engine"
	"github.com/caiatech/caiatop/tui/drafts"
	"github.com/caiatech/caiatop/tui/editor"
	"github.com/caiatech/caiatop/tui/task"
	"github.com/caiatech/caiatop/tui/termsafe"
	"github.com/caiatech/caiatop/tui/ui"
)

// maxFileName bounds the name of the file that is edited, in bytes.
const maxFileName = 60

// errNoEditor: neither variable names a program.
var errNoEditor = errors.New("neither VISUAL nor EDITOR names an editor")

// file is a text on its way through an editor of the operator's own.
type file struct {
	dir, path string
	found     engine.Found
}

// Steps of an edit with an editor of the operator's own: its file is written, it
// has ended, what it wrote was read back.
type (
	preparedMsg struct {
		seq  uint64
		file file
		argv []string
		err  error
	}
	endedMsg struct {
		seq  uint64
		file file
		err  error
	}
	readBackMsg struct {
		seq     uint64
		file    file
		text    string
		ended   error // how the editor ended
		problem error // why the text could not be read
	}
)

// prepareEditor writes the text into a file that nobody else can read.
func (p *Page) prepareEditor(found engine.Found) tea.Cmd {
	reply := preparedMsg{seq: p.opening.seq}
	cmd, cancel := p.o.Tasks.Start("preparing the editor", readLimit, func(context.Context) tea.Msg {
		if reply.argv, reply.err = editorCommand(os.Getenv); reply.err == nil {
			reply.file, reply.err = writeFile(found)
		}
		return reply
	})
	p.opening.cancel = cancel
	return cmd
}

// editorCommand returns the program that the operator edits with, and its
// arguments.
func editorCommand(getenv func(string) string) ([]string, error) {
	for _, name := range []string{"VISUAL", "EDITOR"} {
		argv := words(getenv(name))
		if len(argv) == 0 {
			continue
		}
		path, err := exec.LookPath(argv[0])
		if err != nil {
			return nil, fmt.Errorf("the editor that %s names cannot be run: %w", name, err)
		}
		return append([]string{path}, argv[1:]...), nil
	}
	return nil, errNoEditor
}

// words splits a command line at spaces that are neither quoted nor escaped.
func words(s string) []string {
	var out []string
	var word strings.Builder
	begun, quote, escaped := false, rune(0), false
	for _, r := range s {
		switch {
		case escaped:
			word.WriteRune(r)
			escaped = false
		case r == '\\' && quote != '\'':
			escaped, begun = true, true
		case quote != 0 && r == quote:
			quote = 0
		case quote == 0 && (r == '\'' || r == '"'):
			quote, begun = r, true
		case quote == 0 && (r == ' ' || r == '\t'):
			if begun {
				out = append(out, word.String())
			}
			word.Reset()
			begun = false
		default:
			word.WriteRune(r)
			begun = true
		}
	}
	if begun {
		out = append(out, word.String())
	}
	return out
}

// writeFile makes the file in a folder of its own, both for this user alone.
func writeFile(found engine.Found) (file, error) {
	dir, err := os.MkdirTemp("", "caiatop-")
	if err != nil {
		return file{}, fmt.Errorf("a folder for the editor: %w", err)
	}
	f := file{dir: dir, path: filepath.Join(dir, fileName(found.Document)), found: found}
	out, err := os.OpenFile(f.path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err == nil {
		_, err = out.WriteString(found.Document.Content.Text)
		err = errors.Join(err, out.Close())
	}
	if err != nil {
		return file{}, errors.Join(fmt.Errorf("a file for the editor: %w", err), os.RemoveAll(dir))
	}
	return f, nil
}

// suffixes of types that editors know under another name.
var suffixes = map[string]string{"text": "txt", "markdown": "md", "javascript": "js", "python": "py", "yaml": "yaml"}

// fileName is a name that says what is edited and that every editor takes.
func fileName(d document.Document) string {
	plain := func(s string) string {
		return strings.Trim(strings.Map(func(r rune) rune {
			if r == '_' || r == '-' || r == '.' || (r >= '0' && r <= '9') || (r >= 'a' && r <= 'z') || (r >= 'A' && r <= 'Z') {
				return r
			}
			return '-'
		}, s), "-.")
	}
	suffix := plain(d.Source.Type.String())
	if known, ok := suffixes[suffix]; ok {
		suffix = known
	}
	if suffix == "" || len(suffix) > 12 {
		suffix = "txt"
	}
	name := strings.TrimSuffix(plain(d.ID.String()), "."+suffix)
	name = strings.Trim(name[:min(len(name), maxFileName)], "-.")
	if name == "" {
		name = "document"
	}
	return name + "." + suffix
}

func (p *Page) onPrepared(msg preparedMsg) tea.Cmd {
	o := p.opening
	if o == nil || o.seq != msg.seq {
		if msg.err == nil {
			return p.removeFolder(msg.file)
		}
		return nil
	}
	p.revision++
	if msg.err != nil {
		p.opening = nil
		return tell(task.Warn("Not edited: %s; e opens the built-in editor", task.Reason(msg.err)))
	}
	o.running, o.file = true, msg.file
	c := exec.Command(msg.argv[0], append(msg.argv[1:len(msg.argv):len(msg.argv)], msg.file.path)...)
	return p.o.Exec(c, func(err error) tea.Msg { return endedMsg{seq: msg.seq, file: msg.file, err: err} })
}

// onEnded reads what the editor wrote.
func (p *Page) onEnded(msg endedMsg) tea.Cmd {
	reply := readBackMsg{seq: msg.seq, file: msg.file, ended: msg.err}
	return p.o.Tasks.Go("reading what the editor wrote", readLimit, func(context.Context) tea.Msg {
		reply.text, reply.problem = readFile(msg.file.path)
		return reply
	})
}

func readFile(path string) (string, error) {
	in, err := os.Open(path)
	if err != nil {
		return "", err
	}
	text, err := io.ReadAll(io.LimitReader(in, editor.MaxBytes+1))
	return string(text), errors.Join(err, in.Close())
}

// onReadBack saves what the editor wrote as if it had been typed here, so that
// whatever stands in the way leaves the text in the built-in editor. What cannot
// be is told with the path first: the end of a notice is cut on narrow terminals.
func (p *Page) onReadBack(msg readBackMsg) tea.Cmd {
	if p.opening != nil && p.opening.seq == msg.seq {
		p.opening = nil
	}
	p.revision++
	name, f := termsafe.Line(msg.file.found.Document.ID.String()), msg.file
	unchanged := msg.problem == nil && msg.text == f.found.Document.Content.Text
	switch {
	case errors.Is(msg.problem, fs.ErrNotExist):
		return tea.Batch(p.removeFolder(f), tell(task.Warn("The editor removed its file; %s is as it was", name)))
	case msg.problem != nil:
		return tell(task.Warn("Not saved: %s cannot be read: %s", f.path, task.Reason(msg.problem)))
	case msg.ended != nil && unchanged:
		return tea.Batch(p.removeFolder(f), tell(task.Warn("The editor failed: %s. %s is as it was", msg.ended, name)))
	case msg.ended != nil:
		return tell(task.Warn("Not saved: %s holds what was made of %s; the editor failed: %s", f.path, name, msg.ended))
	case unchanged:
		return tea.Batch(p.removeFolder(f), tell(task.Result("Nothing changed, nothing was written")))
	case editor.Holds(msg.text) != nil:
		return tell(task.Warn("Not saved: %s is larger than %s, the most that a document holds; %s is as it was", f.path, strings.TrimSpace(ui.Bytes(editor.MaxBytes)), name))
	case p.edit != nil:
		return tell(task.Warn("Not saved: %s holds what was made of %s; another document is being edited", f.path, name))
	}
	e := p.newEdit(f.found)
	e.text.Replace(msg.text)
	e.file, p.edit = &f, e
	return tea.Batch(p.save(), p.drafted(e), p.changed())
}

// removeFile removes what an editor of the operator's own wrote, once it is safe
// elsewhere.
func (p *Page) removeFile(e *edit) tea.Cmd {
	if e.file == nil {
		return nil
	}
	f := *e.file
	e.file = nil
	return p.removeFolder(f)
}

func (p *Page) removeFolder(f file) tea.Cmd {
	return p.o.Tasks.Go("removing a file", readLimit, func(context.Context) tea.Msg {
		if err := os.RemoveAll(f.dir); err != nil {
			return task.Warn("The edited file could not be removed: %s", err)
		}
		return nil
	})
}

// keepFile makes a draft of what an editor wrote that was ended together with
// the console.
func (p *Page) keepFile(f file) tea.Cmd {
	if p.drafts == nil {
		return func() tea.Msg { return Kept{Err: errNoDrafts} }
	}
	k, n, now, owner := p.drafts, p.next(), p.o.Now, p.o.Owner
	return p.o.Tasks.Go("keeping a draft", draftLimit, func(ctx context.Context) tea.Msg {
		text, err := readFile(f.path)
		switch {
		case err == nil && editor.Holds(text) != nil:
			return Kept{Err: editor.Holds(text)}
		case err == nil && text != f.found.Document.Content.Text:
			d := drafts.Draft{ID: f.found.Document.ID, Base: f.found.Hash, Document: f.found.Document.Clone(), At: now().UTC(), Owner: owner}
			d.Document.Content.Text = text
			err = k.do(d.ID, n, func() error { return k.store.Save(ctx, d) })
		case errors.Is(err, fs.ErrNotExist):
			err = nil
		}
		if err == nil {
			err = os.RemoveAll(f.dir)
		}
		return Kept{Err: err}
	})
}
