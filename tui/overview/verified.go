package overview

import (
	"fmt"

	"github.com/caiatech/caiatop/backend/engine"
	"github.com/caiatech/caiatop/tui/termsafe"
	"github.com/caiatech/caiatop/tui/ui"
)

// verified says what the last verification came to, or how far the one is that
// runs; "" if there was none.
func (p *Page) verified() string {
	v, g := p.stats.Verify, p.theme.Glyphs
	switch {
	case v.State == engine.VerifyRunning:
		text := g.Busy
		if part, ok := v.Now(); ok {
			text += fmt.Sprintf(" %s, %s of %s", termsafe.Line(part.Name), ui.Count(part.Checked), ui.Count(part.Total))
		}
		return p.theme.Paint(ui.Accent, text)
	case v.Ended.IsZero():
		return ""
	}
	ago := p.since(v.Ended) + " ago"
	switch left := v.Found - v.Mended; {
	case left > 0:
		return p.theme.Paint(ui.Bad, fmt.Sprintf("%s %s wrong, %s", g.Bad, ui.Count(left), ago))
	case v.State == engine.VerifyStopped:
		return p.theme.Paint(ui.Dim, "stopped, "+ago)
	case len(v.Unknown()) > 0:
		return p.theme.Paint(ui.Good, g.Good) + " in part, " + ago
	}
	return p.theme.Paint(ui.Good, g.Good) + " " + ago
}
