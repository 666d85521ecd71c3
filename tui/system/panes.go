package system

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caiatech/caiatop/backend/engine"
	"github.com/caiatech/caiatop/backend/govc"
	"github.com/caiatech/caiatop/backend/govcd"
	"github.com/caiatech/caiatop/tui/termsafe"
	"github.com/caiatech/caiatop/tui/ui"
)

const (
	// labelWidth is the room before a value.
	labelWidth = 12
	// maxValueLines bounds what one value takes.
	maxValueLines = 4
	// reasonLines bounds why a dialect was chosen, and what the trouble is: both
	// stay in view.
	reasonLines = 2
	// maxRights is how many rights are listed; the others are counted.
	maxRights = 8
)

// known returns a text from outside as it may be shown, "-" for none.
func known(s string) string {
	if s == "" {
		return ui.Unknown
	}
	return termsafe.Line(s).String()
}

// fact lays out a label and its value, over lines if the value is long.
func (p *Page) fact(w int, label, value string) []string { return p.toned(w, label, value, ui.Plain) }

func (p *Page) toned(w int, label, value string, tone ui.Tone) []string {
	lines := ui.Hang(value, max(w-labelWidth, 1), 0)
	if len(lines) > maxValueLines {
		lines = lines[:maxValueLines]
		lines[maxValueLines-1] += " …"
	}
	for i, line := range lines {
		lines[i] = p.o.Theme.Paint(ui.Dim, ui.Fit(label, labelWidth)) + p.o.Theme.Paint(tone, ui.Fit(line, w-labelWidth))
		label = ""
	}
	return lines
}

func (p *Page) clock(at time.Time) string {
	if at.IsZero() {
		return ui.Unknown
	}
	return at.In(p.o.Location).Format("2006-01-02 15:04:05")
}

// service says which service it is, what it speaks and how fast it answers.
func (p *Page) service(w int) []string {
	t, s, f := p.o.Theme, p.stats.Service, p.stats.Facts
	if s.URL == "" {
		text := "none: this phase keeps documents in git"
		if p.stats.Phase != engine.PhaseGitOnly {
			text = ui.Unknown
		}
		return []string{t.Paint(ui.Dim, text)}
	}
	glyph, word, tone := t.Service(s)
	address := termsafe.Line(s.URL).String()
	if s.Embedded {
		address += " (embedded)"
	}
	first := t.Paint(tone, glyph+" "+word) + "   " + address
	if f.Access.Insecure {
		first = t.Insecure() + "   " + first
	}
	lines := []string{ui.Fit(first, w)}
	lines = append(lines, p.fact(w, "dialect", strings.Join(ui.Condense(known(f.Reason), max(w-labelWidth, 1), reasonLines), " "))...)
	version := known(s.Health.Version)
	if f.Described {
		version = known(f.Version)
	}
	if f.Described && f.Implementation == "" {
		version += "   govc"
	} else if f.Described {
		version += "   " + known(f.Implementation)
	}
	lines = append(lines, p.fact(w, "version", version+"   durable: "+durable(f))...)
	l := f.Latency
	reach := ui.Breakdown(w-labelWidth, l.DNS, l.Connect, l.TLS, l.FirstByte)
	more := ""
	if s.Health.Up && l.Reused {
		more = "   connection reused"
	} else if !s.Health.Up && l.FirstByte > 0 {
		more = "   last known"
	}
	if len(reach+more) <= w-labelWidth {
		reach += more
	}
	lines = append(lines, p.fact(w, "latency", reach)...)
	if e := s.Health.Err; e != "" {
		trouble := ui.Condense(ui.Gist(termsafe.Line(e).String()), max(w-labelWidth, 1), reasonLines)
		lines = append(lines, p.toned(w, "trouble", strings.Join(trouble, " "), ui.Warn)...)
	}
	return lines
}

// durable says whether a restart of the service keeps its data.
func durable(f engine.Facts) string {
	switch {
	case !f.Described:
		return ui.Unknown
	case f.Durable == nil:
		return "not declared"
	case *f.Durable:
		return "yes"
	}
	return "no, in memory only"
}

// identity says whose repository it is.
func (p *Page) identity(w int) []string {
	s, f := p.stats, p.stats.Facts
	epoch := ui.Unknown
	if f.Epoch > 0 {
		epoch = ui.Count(f.Epoch)
	}
	lines := p.fact(w, "repository", known(s.Repository))
	lines = append(lines, p.fact(w, "lineage", known(f.Lineage))...)
	lines = append(lines, p.fact(w, "epoch", epoch)...)
	text, tone := p.ours()
	lines = append(lines, p.toned(w, "ours", text, tone)...)
	lines = append(lines, p.fact(w, "tip", known(f.Tip))...)
	lines = append(lines, p.fact(w, "tip seen", p.clock(f.TipAt))...)
	return append(lines, p.phase(w)...)
}

// phase says which stores are in use, since when, what it is being changed to
// and which copies it keeps.
func (p *Page) phase(w int) []string {
	s := p.stats
	text := known(string(s.Phase))
	if !s.Change.Since.IsZero() {
		text += " since " + p.clock(s.Change.Since)
	}
	lines := p.fact(w, "phase", text)
	if c := s.Change; c.Wanted != "" {
		change := fmt.Sprintf("%s, %s: %s", c.Wanted, c.Step, c.Detail)
		lines = append(lines, p.toned(w, "changing to", termsafe.Line(strings.TrimRight(change, ": ")).String(), ui.Accent)...)
	}
	if k := s.Kept; k.Attached {
		lines = append(lines, p.fact(w, "kept copies", fmt.Sprintf("%s, %s of %s", ui.Count(k.Documents), strings.TrimSpace(ui.Bytes(k.Bytes)), strings.TrimSpace(ui.Bytes(k.Limit))))...)
	}
	return lines
}

// ours says whether the service holds the repository that this state belongs
// to, as far as that is known now.
func (p *Page) ours() (string, ui.Tone) {
	g := p.o.Theme.Glyphs
	switch p.stats.State {
	case engine.StatePrimary, engine.StateReplaying:
		return g.Good + " yes", ui.Good
	case engine.StateReseeding:
		return g.Busy + " it is being filled", ui.Accent
	case engine.StateLocked:
		return g.Bad + " locked: " + ui.Gist(termsafe.Line(p.stats.Reason).String()), ui.Bad
	case engine.StateProbing, engine.StateFallback, engine.StateNone:
	}
	return ui.Unknown, ui.Plain
}

// access says who we are to the service, and how the connection is protected.
func (p *Page) access(w int) []string {
	a := p.stats.Facts.Access
	if a.Method == "" {
		return append(p.fact(w, "credential", ui.Unknown), p.fact(w, "tls", ui.Unknown)...)
	}
	lines := p.fact(w, "credential", known(a.Method))
	if len(a.Unused) > 0 {
		lines = append(lines, p.fact(w, "not sent", known(strings.Join(a.Unused, ", ")))...)
	}
	who := known(a.Subject)
	if !a.Confirmed && a.Method != govc.MethodNone {
		who += " (not confirmed)"
	}
	lines = append(lines, p.fact(w, "who", who)...)
	lines = append(lines, p.rights(w, a)...)
	lines = append(lines, p.expires(w, a)...)
	if a.Problem != "" {
		lines = append(lines, p.toned(w, "trouble", termsafe.Line(a.Problem).String(), ui.Bad)...)
	}
	lines = append(lines, p.fact(w, "csrf", map[bool]string{true: "a token for every write", false: "no"}[a.CSRF])...)
	return append(lines, p.protection(w, a)...)
}

func (p *Page) rights(w int, a govc.Access) []string {
	if len(a.Rights) == 0 {
		return p.fact(w, "rights", ui.Unknown)
	}
	var lines []string
	names := slices.Sorted(maps.Keys(a.Rights))
	label := "rights"
	for _, name := range names[:min(len(names), maxRights)] {
		lines = append(lines, p.fact(w, label, termsafe.Line(name+": "+a.Rights[name]).String())...)
		label = ""
	}
	if left := len(names) - maxRights; left > 0 {
		lines = append(lines, p.fact(w, "", fmt.Sprintf("and %d more", left))...)
	}
	return lines
}

func (p *Page) expires(w int, a govc.Access) []string {
	text, tone := p.clock(a.Expires), ui.Plain
	switch {
	case a.Expires.IsZero():
	case !p.stats.At.Before(a.Expires):
		text, tone = text+", expired", ui.Bad
	case a.Renews:
		text += ", renewed before"
	}
	return p.toned(w, "expires", text, tone)
}

// protection says what stands between the service and an eavesdropper.
func (p *Page) protection(w int, a govc.Access) []string {
	version := known(a.TLSVersion)
	if strings.HasPrefix(strings.ToLower(p.stats.Service.URL), "http://") {
		version = "none: plain HTTP"
	}
	lines := p.fact(w, "tls", version)
	lines = append(lines, p.fact(w, "peer", known(a.Peer))...)
	trust := p.setting("govc.ca")
	switch {
	case a.Insecure:
		lines = append(lines, p.toned(w, "trust", p.o.Theme.Glyphs.Bad+" INSECURE: nobody checks the certificate", ui.Bad)...)
	case trust != "":
		lines = append(lines, p.fact(w, "trust", "own CA "+termsafe.Line(trust).String())...)
	case version != ui.Unknown && a.TLSVersion != "":
		lines = append(lines, p.fact(w, "trust", "the system's CAs")...)
	}
	if a.Proxy != "" {
		lines = append(lines, p.fact(w, "proxy", known(a.Proxy))...)
	}
	return lines
}

// setting returns the value of a setting, "" if it is not set or not known.
func (p *Page) setting(key string) string {
	for _, o := range p.o.Settings {
		if o.Key == key {
			return o.Value
		}
	}
	return ""
}

// capabilities lists what the service can do, and what it means that it cannot.
func (p *Page) capabilities(w int) []string {
	t, f := p.o.Theme, p.stats.Facts
	if !f.Described {
		return []string{t.Paint(ui.Dim, ui.Unknown)}
	}
	const nameWidth = 17
	var lines []string
	for _, c := range f.Capabilities {
		glyph, tone := t.Glyphs.Good, ui.Good
		if !c.Has {
			glyph, tone = t.Glyphs.None, ui.Dim
		}
		means := known(c.Means)
		if c.Name == govcd.CapMatch && !c.Has {
			means += " (window " + strings.TrimSpace(ui.Duration(f.Window)) + ")"
		}
		head := t.Paint(tone, glyph) + " " + ui.Fit(known(c.Name), nameWidth)
		for _, line := range ui.Wrap(means, max(w-nameWidth-2, 8), maxValueLines) {
			lines = append(lines, head+line)
			head = strings.Repeat(" ", nameWidth+2)
		}
	}
	return lines
}

// process describes what runs here.
func (p *Page) process(w int) []string {
	q := p.o.Process
	pid, up := ui.Unknown, ui.Unknown
	if q.PID > 0 {
		pid = strconv.Itoa(q.PID)
	}
	if !q.Started.IsZero() {
		up = ui.Age(max(p.stats.At.Sub(q.Started), 0))
	}
	address := "off"
	if q.HTTP != "" {
		address = "http://" + termsafe.Line(q.HTTP).String()
	}
	var lines []string
	for _, f := range [][2]string{
		{"caiatop", known(q.Version) + "   " + known(q.Go)},
		{"process", pid + "   up " + up},
		{"memory", strings.TrimSpace(ui.Bytes(p.memory))},
		{"state", known(p.stats.StateDir)},
		{"git", p.below(p.stats.GitDir)},
		{"socket", p.below(q.Socket)},
		{"http", address},
		{"log", p.below(q.Log)},
	} {
		lines = append(lines, p.fact(w, f[0], f[1])...)
	}
	return lines
}

// below shortens a path in the state folder, which is named above it.
func (p *Page) below(path string) string {
	if dir := p.stats.StateDir; dir != "" {
		if name, ok := strings.CutPrefix(path, dir+"/"); ok {
			return "…/" + termsafe.Line(name).String()
		}
	}
	return known(path)
}

// configuration lists every setting and where it comes from.
func (p *Page) configuration(w int) []string {
	t := p.o.Theme
	file := "none"
	if p.o.File != "" {
		file = termsafe.Line(p.o.File).String()
	}
	lines := p.fact(w, "file", file)
	columns, wide := settingColumns(w)
	if wide {
		lines = append(lines, columns.Head(t, w))
	}
	for _, o := range p.o.Settings {
		tone := ui.Plain
		if o.From == "default" {
			tone = ui.Dim
		}
		if !wide {
			lines = append(lines, t.Paint(ui.Accent, known(o.Key))+" "+t.Paint(tone, known(o.Value)), t.Paint(ui.Dim, "  "+known(o.From)))
			continue
		}
		cells := []string{known(o.Key), "", ""}
		values := ui.Hang(known(o.Value), w-columns[0].Width-columns[2].Width-2, 0)
		origins := ui.Hang(known(o.From), columns[2].Width, 0)
		for i := range min(max(len(values), len(origins)), maxValueLines) {
			cells[1], cells[2] = nth(values, i), nth(origins, i)
			lines = append(lines, columns.Row(t, w, cells, ui.Accent, tone, ui.Dim))
			cells[0] = ""
		}
	}
	return lines
}

func nth(lines []string, i int) string {
	if i < len(lines) {
		return lines[i]
	}
	return ""
}

// settingColumns are those of the configuration; a narrow pane has none.
func settingColumns(w int) (table ui.Table, wide bool) {
	const keyWidth, least = 19, 12
	from := (w - keyWidth - 2) / 2
	return ui.Table{{Title: "setting", Width: keyWidth}, {Title: "value"}, {Title: "from", Width: from}}, from >= least
}
