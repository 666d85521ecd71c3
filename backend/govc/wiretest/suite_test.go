package wiretest

import (
	"maps"
	"strings"
	"testing"
)

// otherwise is what recorded configurations answer otherwise than the suite
// demands, and why. Nothing of ours relies on it.
var otherwise = map[string][]Difference{
	NewFull: {
		{"health", "nearly full is unhealthy (503), though every operation works", Shape{Status: []int{503}, Fields: []string{"status", "checks"}}},
	},
	NewTrue: {
		{"read what is staged", "a checkout has destroyed the file before", refusal(404, "FILE_NOT_FOUND")},
		{"read what is committed", "a checkout has destroyed the file before", refusal(404, "FILE_NOT_FOUND")},
	},
	NewRestart: {
		{"repository", "after the restart nothing is there any more", refusal(404, "REPO_NOT_FOUND")},
		{"missing file", "after the restart nothing is there any more", refusal(404, "REPO_NOT_FOUND")},
	},
	NewNoMetrics: {
		{"health", "a GET of /metrics has ended the process", Shape{Status: []int{0}}},
		{"alive", "a GET of /metrics has ended the process", Shape{Status: []int{0}}},
	},
	NewDisk:    {{"repository", "after the restart nothing is there any more", refusal(404, "REPO_NOT_FOUND")}},
	LegacyDisk: {{"repository", "after the restart nothing is there any more", refusal(404, "REPO_NOT_FOUND")}},
	NewSlow: {
		{"health", "every request runs into its time", refusal(408, "REQUEST_TIMEOUT")},
		{"alive", "every request runs into its time", refusal(408, "REQUEST_TIMEOUT")},
	},
}

// TestEveryRecordedConfigurationSatisfiesTheSuite in what was asked of it. How
// much that is differs: the numbers are there so that nothing is dropped unseen.
func TestEveryRecordedConfigurationSatisfiesTheSuite(t *testing.T) {
	recorded := map[string]int{}
	for _, configuration := range Configurations() {
		r, err := NewStrictReplay(configuration)
		if err != nil {
			t.Fatal(err)
		}
		t.Run(configuration, func(t *testing.T) {
			recorded[configuration] = RunRecorded(t, r, strings.HasPrefix(configuration, Legacy), otherwise[configuration]...)
		})
	}
	// New-auth-debug and new-idle were asked nothing of the suite: see
	// TestOurServiceAnswersAsRecorded.
	want := map[string]int{
		New: 47, NewExplicit: 3, NewTrue: 5, NewAuth: 4, NewAuthFull: 4, NewAuthDebug: 0, NewFull: 2, NewRestart: 6, NewSlow: 1, NewMillisecond: 1, NewNoMetrics: 2,
		NewCORS: 1, NewDisk: 6, NewIdle: 0, Legacy: 34, LegacyDisk: 4, LegacyIdle: 5,
	}
	if !maps.Equal(recorded, want) {
		t.Errorf("recorded are %v, want %v", recorded, want)
	}
}
