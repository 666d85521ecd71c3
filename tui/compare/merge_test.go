package compare

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"
	"pgregory.net/rapid"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// gitMerge is what git makes of three texts.
func gitMerge(t *rapid.T, dir, base, mine, theirs string) (merged string, clean bool) {
	var names []string
	for name, text := range map[string]string{"0mine": mine, "1base": base, "2theirs": theirs} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		names = append(names, path)
	}
	slices.Sort(names)
	args := append([]string{"merge-file", "--diff3", "-p", "-L", "mine", "-L", "base", "-L", "theirs"}, names...)
	out, err := exec.Command("git", args...).Output()
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || exit.ExitCode() < 0 || exit.ExitCode() > 127) {
		t.Fatalf("git merge-file: %v", err)
	}
	return string(out), err == nil
}

// edited draws lines with some of them changed, removed or added. New lines are
// named after who made them, or, now and then, alike on both sides.
func edited(t *rapid.T, lines []string, who string) []string {
	var out []string
	for i, line := range lines {
		switch rapid.IntRange(0, 11).Draw(t, "what") {
		case 0:
		case 1:
			out = append(out, fmt.Sprintf("%s changed %d\n", who, i))
		case 2:
			out = append(out, line, fmt.Sprintf("%s new %d\n", who, i))
		case 3:
			out = append(out, fmt.Sprintf("both %d\n", i))
		case 4:
			if i == len(lines)-1 {
				line = strings.TrimSuffix(line, "\n")
			}
			out = append(out, line)
		default:
			out = append(out, line)
		}
	}
	return out
}

// Lines that stand once in each text (and no NUL, which git refuses) leave no choice in what changed: a merge is
// clean for git if and only if it is for us, and then the same.
func TestMergeIsThatOfGit(t *testing.T) {
	dir := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		ending := rapid.SampledFrom([]string{"\n", "\r\n", "\xff\n"}).Draw(t, "ending")
		var lines []string
		for i := range rapid.IntRange(0, 40).Draw(t, "lines") {
			lines = append(lines, fmt.Sprintf("line %d%s", i, ending))
		}
		if n := len(lines); n > 0 && rapid.Bool().Draw(t, "no newline at the end") {
			lines[n-1] = strings.TrimSuffix(lines[n-1], "\n")
		}
		base := strings.Join(lines, "")
		mine := strings.Join(edited(t, lines, "mine"), "")
		theirs := strings.Join(edited(t, lines, "theirs"), "")
		want, wantClean := gitMerge(t, dir, base, mine, theirs)
		got, clean := Merge(base, mine, theirs)
		if clean != wantClean || (clean && got != want) {
			t.Fatalf("base %q\nmine %q\ntheirs %q\n got %v %q\nwant %v %q", base, mine, theirs, clean, got, wantClean, want)
		}
		nothingLost(t, base, mine, theirs, got)
	})
}

// With lines that stand many times, both may judge otherwise, but seldom.
func TestMergeOfEqualLines(t *testing.T) {
	dir := t.TempDir()
	total, other := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		line := rapid.SampledFrom([]string{"a\n", "b\n", "}\n", "\n", "c\n", "d\n"})
		lines := rapid.SliceOfN(line, 0, 20).Draw(t, "base")
		base := strings.Join(lines, "")
		mine := strings.Join(edited(t, lines, "mine"), "")
		theirs := strings.Join(edited(t, lines, "theirs"), "")
		got, clean := Merge(base, mine, theirs)
		want, wantClean := gitMerge(t, dir, base, mine, theirs)
		total++
		if clean != wantClean || (clean && got != want) {
			other++
		}
		nothingLost(t, base, mine, theirs, got)
	})
	t.Logf("%d of %d merges differ from those of git", other, total)
	if other*5 > total {
		t.Errorf("%d of %d merges differ from those of git", other, total)
	}
}

// nothingLost holds that every line that a side added is in the merge.
func nothingLost(t *rapid.T, base, mine, theirs, merged string) {
	known := map[string]bool{}
	for _, line := range splitLines(base) {
		known[strings.TrimRight(line, "\r\n")] = true
	}
	have := map[string]bool{}
	for _, line := range splitLines(merged) {
		have[strings.TrimRight(line, "\r\n")] = true
	}
	for _, line := range append(splitLines(mine), splitLines(theirs)...) {
		line = strings.TrimRight(line, "\r\n")
		if !known[line] && !have[line] {
			t.Fatalf("lost %q of\nbase %q\nmine %q\ntheirs %q\nin %q", line, base, mine, theirs, merged)
		}
	}
}

func TestMerge(t *testing.T) {
	tests := []struct {
		name, base, mine, theirs, want string
		clean                          bool
	}{
		{"nothing", "", "", "", "", true},
		{"only mine", "a\nb\n", "a\nc\n", "a\nb\n", "a\nc\n", true},
		{"only theirs", "a\nb", "a\nb", "a\nb\n", "a\nb\n", true},
		{"apart", "a\nb\nc\n", "A\nb\nc\n", "a\nb\nC\n", "A\nb\nC\n", true},
		{"the same", "a\n", "b\n", "b\n", "b\n", true},
		{"invalid bytes and NUL", "\xff\n\x00\nb\n", "\xfe\n\x00\nb\n", "\xff\n\x00\nB", "\xfe\n\x00\nB", true},
		{"line ends of one side", "a\r\nb\r\nc\r\n", "a\nb\r\nc\r\n", "a\r\nb\r\nc\n", "a\nb\r\nc\n", true},
		{
			"both", "a\nb\nc\n", "a\nM\nc\n", "a\nT\nc\n",
			"a\n<<<<<<< mine\nM\n||||||| base\nb\n=======\nT\n>>>>>>> theirs\nc\n", false,
		},
		{
			"removed and changed, without a newline", "a\nb", "a\n", "a\nT",
			"a\n<<<<<<< mine\n||||||| base\nb\n=======\nT\n>>>>>>> theirs\n", false,
		},
		{
			"markers end as the lines do", "a\r\n", "M\r\n", "T",
			"<<<<<<< mine\r\nM\r\n||||||| base\r\na\r\n=======\r\nT\r\n>>>>>>> theirs\r\n", false,
		},
		{"both made new", "", "M", "T", "<<<<<<< mine\nM\n||||||| base\n=======\nT\n>>>>>>> theirs\n", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, clean := Merge(tt.base, tt.mine, tt.theirs)
			if got != tt.want || clean != tt.clean {
				t.Errorf("%v %q, want %v %q", clean, got, tt.clean, tt.want)
			}
		})
	}
}

func TestMergeMetadata(t *testing.T) {
	base := map[string]any{"same": "1", "mine": "1", "theirs": "1", "both": "1", "gone": "1", "kept": "1", "cut": "1", "also": "1"}
	mine := map[string]any{"same": "1", "mine": "2", "theirs": "1", "both": "2", "kept": "1", "new": "m", "also": "2"}
	theirs := map[string]any{"same": "1", "mine": "1", "theirs": "2", "both": "3", "gone": "1", "cut": "2", "new": "m", "also": "2"}
	merged, conflicts := MergeMetadata(base, mine, theirs)
	want := map[string]any{"same": "1", "mine": "2", "theirs": "2", "both": "2", "cut": "2", "new": "m", "also": "2"}
	if fmt.Sprint(merged) != fmt.Sprint(want) {
		t.Errorf("merged %v, want %v", merged, want)
	}
	if want := []string{"both", "cut"}; !slices.Equal(conflicts, want) {
		t.Errorf("conflicts %v, want %v", conflicts, want)
	}
	if merged, conflicts := MergeMetadata(nil, nil, nil); merged != nil || conflicts != nil {
		t.Errorf("nothing became %v, %v", merged, conflicts)
	}
}
