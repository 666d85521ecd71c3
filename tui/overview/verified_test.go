package overview

import (
	"strings"
	"testing"
	"time"

	"github.com/caiatech/caiatop/backend/engine"
)

func TestTheLastVerificationIsSaidInOneLine(t *testing.T) {
	hourAgo := noon.Add(-time.Hour)
	for want, v := range map[string]engine.Verification{
		"":                      {State: engine.VerifyNone},
		"index, 5 of 10":        {State: engine.VerifyRunning, Part: engine.PartIndex, Parts: []engine.VerifyPart{{Name: engine.PartIndex, Checked: 5, Total: 10}}},
		"1h 00m ago":            {State: engine.VerifyDone, Ended: hourAgo, Found: 2, Mended: 2},
		"1 wrong, 1h":           {State: engine.VerifyDone, Ended: hourAgo, Found: 2, Mended: 1},
		"in part, 1h 00m ago":   {State: engine.VerifyDone, Ended: hourAgo, Parts: []engine.VerifyPart{{Name: engine.PartGovc, Unknown: "away"}}},
		"verified stopped, 1h ": {State: engine.VerifyStopped, Ended: hourAgo},
	} {
		p := newPage()
		p.SetSize(120, 40)
		p.SetStats(&engine.Stats{At: noon, State: engine.StatePrimary, Documents: 5, Writes: 1, Verify: v})
		shown := strings.Join(p.View(), "\n")
		if strings.Contains(shown, "verified") != (want != "") || !strings.Contains(shown, want) {
			t.Errorf("%+v: no %q in\n%s", v, want, shown)
		}
	}
}
